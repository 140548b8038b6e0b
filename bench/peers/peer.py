"""What the PyTorch sides share: the exported work, the model, memory, and the measured peak."""

import json
import platform
import time
from pathlib import Path

import torch
import transformers
from safetensors import safe_open
from transformers import AutoModelForCausalLM

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def program():
    return f"PyTorch {torch.__version__}, transformers {transformers.__version__}, Python {platform.python_version()}"


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def load(export, dtype=torch.float32):
    """The exported decoder and the weight of its reward head, [1, d_model]."""
    folder = Path(export) / "model"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa")
    with safe_open(folder / "model.safetensors", framework="pt") as weights:
        head = weights.get_tensor("score.weight")
    return model, head


def peak_memory_bytes():
    """The most memory that this process has had resident, loading included; none where Linux does not tell."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1])


def peak_flops(precision, at_least=0.4):
    """Floating-point operations a second of 2048 x 1536 x 576, the fastest repeat."""
    a = torch.rand(2048, 576).sub(0.5).to(DTYPES[precision])
    b = torch.rand(1536, 576).sub(0.5).to(DTYPES[precision])
    fastest, repeats, start = float("inf"), 0, time.perf_counter()
    torch.nn.functional.linear(a, b)
    while repeats < 3 or time.perf_counter() - start < at_least:
        repeat = time.perf_counter()
        torch.nn.functional.linear(a, b)
        fastest = min(fastest, time.perf_counter() - repeat)
        repeats += 1
    return 2 * 2048 * 1536 * 576 / fastest


def pad(rows):
    """Token ids and mask of rows padded on the right to the longest, [n_rows, longest]."""
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return ids, mask


def training_flops(config, n_tokens, n_target_rows, n_attended):
    """Operations of a forward and backward pass; the same formula as the program's own side."""
    head_dim = config.hidden_size // config.num_attention_heads
    heads = 2 * head_dim * (config.num_attention_heads + config.num_key_value_heads)
    linear = config.num_hidden_layers * config.hidden_size * (heads + 3 * config.intermediate_size)
    return (
        6 * linear * n_tokens
        + 6 * config.vocab_size * config.hidden_size * n_target_rows
        + 12 * config.num_hidden_layers * config.num_attention_heads * head_dim * n_attended
    )
