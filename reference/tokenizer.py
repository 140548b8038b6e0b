"""Token ids of SmolLM2 (from its GGUF) and of two tiny byte-level BPE tokenizers.

usage: tokenizer.py MODEL.gguf DATA_FOLDER
"""

import gzip
import hashlib
import json
import sys
from pathlib import Path

from golden import write_json

from gguf import GGUFReader
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from texts import CASES, PROSE

CHATML = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CONTROL = 3
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SHARED = [
    f"{part}/{name}.jsonl.gz"
    for part, names in {
        "train": ["gsm8k_modelpairs", "ukpconvarg1", "hh_helpful-base", "hh_harmless-base"],
        "eval": ["humanevalpack", "llmbar", "pandalm_test", "verify_cot_date", "game24_cot"],
    }.items()
    for name in names
]


def smollm_style(bpe):
    """Every digit alone, then GPT-2's split; the form of SmolLM2's tokenizer.json."""
    tokenizer = Tokenizer(bpe)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def qwen2_style(bpe):
    """NFC and Qwen2's split; the form of Qwen2's tokenizer.json."""
    tokenizer = Tokenizer(bpe)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def specials(tokens):
    return [AddedToken(token, special=True, normalized=False) for token in tokens]


def from_gguf(path):
    """SmolLM2's tokenizer out of its GGUF metadata."""
    fields = GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = smollm_style(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.add_special_tokens(specials(t for t, kind in zip(tokens, kinds) if kind == CONTROL))
    return tokenizer


def train(style, size):
    """A tiny tokenizer on our own texts; ids 0–2 are ChatML's, or its last three for Qwen2."""
    tokenizer = style(models.BPE())
    first = [] if style is qwen2_style else CHATML
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(CHATML) + len(first),
        special_tokens=specials(first),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        min_frequency=1,
        show_progress=False,
    )
    tokenizer.train_from_iterator(PROSE, trainer)
    tokenizer.add_special_tokens(specials(CHATML))
    assert tokenizer.get_vocab_size() == size, tokenizer.get_vocab_size()
    return tokenizer


def tiny_smollm():
    return train(smollm_style, 512)


def tiny_qwen2():
    return train(qwen2_style, 506)


def encode(tokenizer, text, parse_special=True):
    tokenizer.encode_special_tokens = not parse_special
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    tokenizer.encode_special_tokens = False
    return ids


def own_rows(tokenizer):
    for text in CASES:
        ids = encode(tokenizer, text)
        yield {
            "text": text,
            "ids": ids,
            "ids_without_specials": encode(tokenizer, text, parse_special=False),
            "decoded": tokenizer.decode(ids, skip_special_tokens=False),
        }


def shared_rows(tokenizer, folder):
    for file in SHARED:
        with gzip.open(Path(folder) / file, "rt", encoding="utf-8") as lines:
            for row, line in zip(range(100), lines):
                record = json.loads(line)
                for column in ("prompt", "chosen", "rejected"):
                    ids = encode(tokenizer, record[column])
                    packed = b"".join(i.to_bytes(4, "little") for i in ids)
                    yield {
                        "file": file,
                        "row": row,
                        "column": column,
                        "n_tokens": len(ids),
                        "sha256": hashlib.sha256(packed).hexdigest()[:16],
                    }


if __name__ == "__main__":
    smollm2 = from_gguf(sys.argv[1])
    write_json("tokens_own.json", list(own_rows(smollm2)))
    write_json("tokens_own_tiny_llama.json", list(own_rows(tiny_smollm())))
    write_json("tokens_own_tiny_qwen2.json", list(own_rows(tiny_qwen2())))
    write_json("tokens_shared.json", list(shared_rows(smollm2, sys.argv[2])))
