"""Probabilities that transformers' logits processors leave, for random logits and settings.

usage: sampling.py
"""

from golden import quiet_torch, write_json

import numpy as np
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

torch = quiet_torch(0)
VOCABULARY = 24


def processors(sampling):
    """In the order of `GenerationMixin._get_logits_processor`; neutral settings have none."""
    chain = LogitsProcessorList()
    if sampling["repetition_penalty"] != 1.0:
        chain.append(RepetitionPenaltyLogitsProcessor(sampling["repetition_penalty"]))
    if sampling["temperature"] != 1.0:
        chain.append(TemperatureLogitsWarper(sampling["temperature"]))
    if sampling["top_k"] != 0:
        chain.append(TopKLogitsWarper(sampling["top_k"]))
    if sampling["top_p"] < 1.0:
        chain.append(TopPLogitsWarper(sampling["top_p"]))
    if sampling["min_p"] > 0.0:
        chain.append(MinPLogitsWarper(sampling["min_p"]))
    return chain


def rows():
    rng = np.random.default_rng(11)
    pick = lambda *values: values[rng.integers(len(values))]
    for _ in range(60):
        sampling = {
            "temperature": pick(0.3, 0.9, 1.0, 2.5),
            "top_p": pick(1.0, 0.95, 0.6, 0.1),
            "top_k": pick(0, 0, 1, 5, 12, 100),
            "min_p": pick(0.0, 0.0, 0.05, 0.4, 1.0),
            "repetition_penalty": pick(1.0, 1.0, 1.3, 0.7),
            "max_new_tokens": 1,
        }
        logits = torch.from_numpy(rng.normal(0.0, pick(1.0, 4.0), VOCABULARY).astype(np.float32))
        if rng.random() < 0.3:
            logits[3] = logits[7]
        seen = rng.integers(0, VOCABULARY, rng.integers(1, 12)).tolist()
        left = processors(sampling)(torch.tensor([seen]), logits[None].clone())[0]
        yield {
            "sampling": sampling,
            "seen": seen,
            "logits": logits,
            "probabilities": left.double().softmax(0),
        }


write_json("sampling.json", list(rows()))
