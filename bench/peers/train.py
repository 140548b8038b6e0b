"""Joint training on critiques and preference the way CLoud does it, on the exported work.

Each (x, y, z) is its own row, padded to the longest of its micro-batch; logits are made for every token of a
row; the loss is 0.5 x cross entropy on the critique tokens + 0.5 x Bradley-Terry on the rewards that a linear
head reads at the last tokens of a chosen and a rejected row. AdamW (PyTorch's fused one), no gradient
checkpointing. K = 0 is the scalar baseline: rows (x, y), Bradley-Terry alone.

usage: train.py EXPORT_FOLDER [--critiques-per-response 4] [--precision f32|bf16] [--pairs N] [--take N] ...
"""

import argparse
import json
import math
import time

import peer
import torch
from torch.nn import functional as F

ADAMW = dict(lr=2e-5, betas=(0.9, 0.95), eps=1e-8, fused=True)
HEAD_RATE = 1e-3
WEIGHT_DECAY = 0.01
MAX_GRAD_NORM = 1.0


class Row:
    def __init__(self, tokens, label_span):
        self.tokens, self.label_span = tokens, label_span


def read_pairs(export, k):
    """Of each pair its comparisons: (chosen row, rejected row)."""
    by_pair = {}
    for line in peer.lines(f"{export}/training.jsonl"):
        rows = [Row(c["tokens"], c["label_span"]) for c in line["critiques"][:k]] if k else [Row(line["tokens"], None)]
        by_pair.setdefault(line["pair_id"], {})[line["side"]] = rows
    return [list(zip(sides["chosen"], sides["rejected"])) for sides in by_pair.values()]


def rows_of(comparisons):
    return [row for comparison in comparisons for row in comparison]


def counts(pairs):
    """Distinct tokens, rows that predict, attended pairs, and tokens of the rows one by one."""
    n_tokens = n_target_rows = n_attended = unshared = 0
    for pair in pairs:
        prefixes, targets = set(), set()
        for row in rows_of(pair):
            path = 0
            unshared += len(row.tokens)
            for position, token in enumerate(row.tokens):
                path = hash((path, token))
                if path not in prefixes:
                    prefixes.add(path)
                    n_attended += position + 1
                if row.label_span and row.label_span[0] - 1 <= position < row.label_span[1] - 1:
                    targets.add(path)
        n_tokens += len(prefixes)
        n_target_rows += len(targets)
    return n_tokens, n_target_rows, n_attended, unshared


class Trainer:
    def __init__(self, export, precision):
        self.lm, head = peer.load(export)
        self.lm.train()
        self.head = torch.nn.Linear(head.shape[1], 1, bias=False)
        self.head.weight.data.copy_(head)
        self.precision = precision
        decayed = [w for w in self.lm.parameters() if w.dim() == 2]
        plain = [w for w in self.lm.parameters() if w.dim() != 2]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": WEIGHT_DECAY},
                {"params": plain, "weight_decay": 0.0},
                {"params": self.head.parameters(), "weight_decay": WEIGHT_DECAY, "lr": HEAD_RATE},
            ],
            **ADAMW,
        )

    def micro_batch(self, comparisons, n_targets, n_comparisons):
        """Forward and backward; the sums of both losses, and the tokens that were computed."""
        rows = rows_of(comparisons)
        ids, mask = peer.pad([row.tokens for row in rows])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            hidden = self.lm.model(ids, attention_mask=mask, use_cache=False).last_hidden_state
            rewards = self.head(hidden[torch.arange(len(rows)), mask.sum(1) - 1]).squeeze(-1).float()
            preference = F.softplus(-(rewards[0::2] - rewards[1::2])).sum()
            loss, critique = preference / n_comparisons, None
            if n_targets:
                labels = torch.full_like(ids, -100)
                for i, row in enumerate(rows):
                    start, end = row.label_span
                    labels[i, start - 1 : end - 1] = ids[i, start:end]
                logits = self.lm.lm_head(hidden)
                critique = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="sum")
                loss = 0.5 * loss + 0.5 * critique / n_targets
        loss.backward()
        return preference.item(), critique.item() if n_targets else 0.0, ids.numel()

    def step(self, comparisons, size, update=True):
        """One optimizer step over these comparisons in micro-batches of `size`."""
        n_targets = sum(row.label_span[1] - row.label_span[0] for row in rows_of(comparisons) if row.label_span)
        sums = [0.0, 0.0, 0]
        for start in range(0, len(comparisons), size):
            parts = self.micro_batch(comparisons[start : start + size], n_targets, len(comparisons))
            sums = [total + part for total, part in zip(sums, parts)]
        if update:
            weights = [*self.lm.parameters(), *self.head.parameters()]
            torch.nn.utils.clip_grad_norm_(weights, MAX_GRAD_NORM)
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        preference, critique = sums[0] / len(comparisons), sums[1] / n_targets if n_targets else None
        joint = preference if critique is None else 0.5 * preference + 0.5 * critique
        return {"joint": joint, "critique": critique, "preference": preference}, sums[2]

    def warm_up(self, comparisons, size):
        """A step that leaves nothing behind but the optimizer's memory; its seconds."""
        start = time.perf_counter()
        weights = [*self.lm.parameters(), *self.head.parameters()]
        before = [weight.detach().clone() for weight in weights]
        self.step(comparisons, size)
        with torch.no_grad():
            for weight, value in zip(weights, before):
                weight.copy_(value)
            for state in self.optimizer.state.values():
                for value in state.values():
                    value.zero_()
        return time.perf_counter() - start


def fastest_size(trainer, comparisons, sizes):
    """The size whose micro-batches take the same comparisons forward and backward fastest, and all seconds."""
    seconds = {}
    for size in sizes:
        start = time.perf_counter()
        trainer.step(comparisons[: max(sizes)], size, update=False)
        seconds[size] = round(time.perf_counter() - start, 3)
    return min(seconds, key=seconds.get), seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("export")
    parser.add_argument("--critiques-per-response", type=int, default=4)
    parser.add_argument("--precision", choices=peer.DTYPES, default="f32")
    parser.add_argument("--pairs", type=int, help="only the first pairs of the work")
    parser.add_argument("--take", type=int, help="run only the first pairs, and extrapolate the seconds to all")
    parser.add_argument("--pairs-per-step", type=int, default=4)
    parser.add_argument("--micro-batch", type=int, help="comparisons (two rows each) of a pass [default: the fastest]")
    parser.add_argument("--micro-batches", default="1,2,4,8", help="what is tried")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)

    work = read_pairs(args.export, args.critiques_per_response)[: args.pairs]
    pairs = work[: args.take]
    steps = [
        [comparison for pair in pairs[start : start + args.pairs_per_step] for comparison in pair]
        for start in range(0, len(pairs), args.pairs_per_step)
    ]
    trainer = Trainer(args.export, args.precision)
    start = time.perf_counter()
    sizes = [args.micro_batch] if args.micro_batch else [int(size) for size in args.micro_batches.split(",")]
    trainer.step(steps[0][:1], 1, update=False)
    warm_up = time.perf_counter() - start
    size, tried = fastest_size(trainer, steps[0], sizes) if len(sizes) > 1 else (sizes[0], {})
    warm_up += trainer.warm_up(steps[0], size)
    peak_before = peer.peak_flops(args.precision)

    start = time.perf_counter()
    done = [trainer.step(step, size) for step in steps]
    seconds = time.perf_counter() - start
    peak = max(peak_before, peer.peak_flops(args.precision))

    n_tokens, n_target_rows, n_attended, unshared = counts(pairs)
    *whole, whole_unshared = counts(work)
    share = whole_unshared / unshared
    computed = sum(n for _, n in done)
    padded = []
    for step in steps:
        for at in range(0, len(step), size):
            rows = rows_of(step[at : at + size])
            padded.append((len(rows), max(len(row.tokens) for row in rows)))
    config = trainer.lm.config
    model_flops = peer.training_flops(config, n_tokens, n_target_rows, n_attended)
    computed_flops = peer.training_flops(
        config,
        computed,
        computed if args.critiques_per_response else 0,
        sum(n_rows * longest * (longest + 1) // 2 for n_rows, longest in padded),
    )
    print(json.dumps({
        "program": peer.program(),
        "threads": args.threads,
        "precision": args.precision,
        "n_pairs": len(work),
        "n_pairs_run": len(pairs),
        "is_extrapolated": len(pairs) < len(work),
        "critiques_per_response": args.critiques_per_response,
        "pairs_per_step": args.pairs_per_step,
        "n_steps_run": len(steps),
        "rows_per_micro_batch": 2 * size,
        "seconds_tried_by_comparisons": tried,
        "warm_up_seconds": warm_up,
        "seconds_run": seconds,
        "seconds": seconds * share,
        "computed_tokens": math.ceil(computed * share),
        "distinct_tokens": whole[0],
        "unshared_tokens": whole_unshared,
        "tokens_per_second": computed / seconds,
        "distinct_tokens_per_second": n_tokens / seconds,
        "peak_flops_per_second": peak,
        "flop_utilisation": model_flops / seconds / peak,
        "computed_flop_utilisation": computed_flops / seconds / peak,
        "peak_memory_bytes": peer.peak_memory_bytes(),
        "losses": [losses for losses, _ in done],
    }, indent=2))


if __name__ == "__main__":
    main()
