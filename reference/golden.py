"""Where golden files go, and how numbers are written into them."""

import json
import os
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("RAYON_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np

GOLDEN = Path(__file__).resolve().parent / "golden"


def plain(value):
    """Turn tensors and arrays into lists; f32 gets its shortest round-trip digits."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        if value.ndim == 0:
            return plain(value[()])
        return [plain(item) for item in value]
    if isinstance(value, np.float32):
        return float(str(value))
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def write_json(name, value, rows=None):
    """Write `value` to golden/`name`; the list under key `rows` gets one line an item."""
    path = GOLDEN / name
    path.parent.mkdir(parents=True, exist_ok=True)
    value = plain(value)
    dump = lambda item: json.dumps(item, ensure_ascii=False, allow_nan=False)
    if isinstance(value, list):
        text = "[\n" + ",\n".join(dump(item) for item in value) + "\n]\n"
    else:
        parts = []
        for key, item in value.items():
            if key == rows:
                body = "[\n" + ",\n".join("  " + dump(row) for row in item) + "\n ]"
            else:
                body = dump(item)
            parts.append(f" {dump(key)}: {body}")
        text = "{\n" + ",\n".join(parts) + "\n}\n"
    path.write_text(text, encoding="utf-8")
    print(f"{name}: {path.stat().st_size} bytes")


def quiet_torch(seed):
    """Two threads, deterministic kernels, f32 products in full precision."""
    import torch

    torch.set_num_threads(2)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("highest")
    return torch
