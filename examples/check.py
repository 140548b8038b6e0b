#!/usr/bin/env python3
"""Prints the make-up of the example data and what shallow rules reach on it.

Exit status 1: a rule on length alone reaches 60 % on a split, or a text stands twice.
"""

import json
import math
import re
import sys
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
SPLITS = ("train", "eval")
DOMAINS = ("chat", "math", "code", "safety")
LIMIT = 0.60


def read(split):
    with open(HERE / f"{split}.jsonl", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def words(text):
    return len(text.split())


def wins(differences):
    """Share of positive differences; a tie counts half."""
    return sum((d > 0) + 0.5 * (d == 0) for d in differences) / len(differences)


def longer_wins(rows, measure):
    return wins([measure(r["chosen"]) - measure(r["rejected"]) for r in rows])


def tokens(text):
    return re.findall(r"\w+(?:'\w+)*|[^\w\s]", text.lower())


def bags(rows):
    return [(Counter(tokens(r["chosen"])), Counter(tokens(r["rejected"]))) for r in rows]


class NaiveBayes:
    """Multinomial, add-one smoothing, over the words of chosen and rejected texts."""

    def __init__(self, pairs):
        self.counts = (Counter(), Counter())
        for pair in pairs:
            self.move(pair, 1)

    def move(self, pair, sign):
        for counts, bag in zip(self.counts, pair):
            for token, n in bag.items():
                counts[token] += sign * n

    def margins(self, pairs):
        vocabulary = {t for counts in self.counts for t, n in counts.items() if n > 0}
        chosen, rejected = (sum(counts.values()) + len(vocabulary) for counts in self.counts)

        def score(bag):
            return sum(
                n * math.log((self.counts[0][t] + 1) * rejected / (self.counts[1][t] + 1) / chosen)
                for t, n in bag.items()
                if t in vocabulary
            )

        return [score(good) - score(bad) for good, bad in pairs]


def leave_one_out(rows):
    pairs = bags(rows)
    model = NaiveBayes(pairs)
    margins = []
    for pair in pairs:
        model.move(pair, -1)
        margins += model.margins([pair])
        model.move(pair, 1)
    return wins(margins)


def transfer(train, rows):
    return wins(NaiveBayes(bags(train)).margins(bags(rows)))


def duplicates(rows):
    found = [p for p, n in Counter(r["prompt"] for r in rows).items() if n > 1]
    answers = Counter(r[side] for r in rows for side in ("chosen", "rejected"))
    found += [a for a, n in answers.items() if n > 1]
    found += [i for i, n in Counter(r["id"] for r in rows).items() if n > 1]
    return found


def main():
    data = {split: read(split) for split in SPLITS}
    failures = []

    print("split domain  pairs kinds |  words: prompt chosen rejected | longer wins: chars words")
    for split in SPLITS:
        for domain in DOMAINS + ("all",):
            rows = [r for r in data[split] if domain in (r["domain"], "all")]
            mean = [sum(words(r[c]) for r in rows) / len(rows) for c in ("prompt", "chosen", "rejected")]
            chars, by_words = longer_wins(rows, len), longer_wins(rows, words)
            print(
                f"{split:5} {domain:7} {len(rows):5} {len({r['subset'] for r in rows}):5} |"
                f" {mean[0]:14.1f} {mean[1]:6.1f} {mean[2]:8.1f} |"
                f" {100 * chars:18.1f} {100 * by_words:5.1f}"
            )
            if domain == "all":
                for name, share in (("characters", chars), ("words", by_words)):
                    if max(share, 1 - share) >= LIMIT:
                        failures.append(f"{split}: a rule on length in {name} reaches {max(share, 1 - share):.1%}")

    print("\nnaive Bayes on words, pair accuracy in %")
    print("domain   leave-one-out on train   train to eval   train to eval, all domains as training")
    for domain in DOMAINS + ("all",):
        train, held = ([r for r in data[s] if domain in (r["domain"], "all")] for s in SPLITS)
        print(
            f"{domain:7} {100 * leave_one_out(train):23.1f} {100 * transfer(train, held):15.1f}"
            f" {100 * transfer(data['train'], held):40.1f}"
        )

    repeated = duplicates([r for rows in data.values() for r in rows])
    print(f"\nduplicates: {len(repeated)}")
    failures += [f"stands twice: {text!r}" for text in repeated]

    for failure in failures:
        print(f"FAIL {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
