"""Sentence BLEU of short texts by NLTK, with its smoothing method 1."""

import json
from pathlib import Path

from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

OUT = Path(__file__).parent / "golden" / "self_bleu.json"
CASES = [
    ("the sum is wrong", ["the sum is right", "it is wrong"]),
    ("step two says 14 where it must say 12", ["step two says 14 where it must say 12"]),
    ("good", ["bad answer", "good answer and short"]),
    ("the answer adds 3 and 4 to 8 which is wrong", ["the answer adds 3 and 4 to 7 which is right", "which is wrong the answer"]),
    ("a a a", ["a b", "a a"]),
    ("nothing shared", ["one two"]),
]

smooth = SmoothingFunction().method1
rows = [
    {
        "text": text,
        "references": references,
        "bleu": float(sentence_bleu([r.split() for r in references], text.split(), smoothing_function=smooth)),
    }
    for text, references in CASES
]
OUT.write_text(json.dumps(rows, indent=1) + "\n")
