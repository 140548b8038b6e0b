"""Weights in GGUF's formats by the reference quantisers of the `gguf` package.

usage: quantized_blocks.py
"""

from golden import write_json

import numpy as np
from gguf import GGMLQuantizationType
from gguf.quants import dequantize, quantize

FORMATS = ["Q8_0", "Q4_0", "Q4_1", "F16", "BF16"]
WIDTH = 64


def rows():
    draws = np.random.default_rng(20)
    normal = draws.normal(size=(4, WIDTH)) * [[1.0], [0.02], [300.0], [1e-5]]
    ramp = np.arange(WIDTH) / 8.0 - 4.0
    single = np.zeros(WIDTH)
    single[[5, 40]] = [-0.75, 3.0]
    ties = np.tile([127.0, 0.5, -0.5, 1.5, -2.5, 3.5, 126.5, -126.5], WIDTH // 8)
    block_of_zeros = np.where(np.arange(WIDTH) < WIDTH // 2, 0.0, 0.125)
    above = 5.0 + np.arange(WIDTH) / WIDTH
    return np.vstack([normal, ramp, -ramp, single, ties, block_of_zeros, above]).astype(np.float32)


def entry(name, x):
    kind = GGMLQuantizationType[name]
    blocks = quantize(x, kind)
    return {"format": name, "blocks": blocks.tobytes().hex(), "numbers": dequantize(blocks, kind)}


if __name__ == "__main__":
    x = rows()
    write_json("quantized_blocks.json", {
        "shape": list(x.shape),
        "x": x,
        "formats": [entry(name, x) for name in FORMATS],
    }, rows="formats")
