"""Rewards without critique by PyTorch: rows (x, y) sorted by length, batched and padded, on the exported work.

usage: score.py EXPORT_FOLDER [--precision f32|bf16] [--pairs N] [--take N] [--batch N] [--threads 2]
"""

import argparse
import json
import time

import peer
import torch


@torch.inference_mode()
def score(model, head, rows, size):
    """The rewards in the order of `rows`, and the tokens that were computed."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    rewards, computed = [0.0] * len(rows), 0
    for start in range(0, len(rows), size):
        places = order[start : start + size]
        ids, mask = peer.pad([rows[i] for i in places])
        hidden = model.model(ids, attention_mask=mask, use_cache=False).last_hidden_state
        last = hidden[torch.arange(len(places)), mask.sum(1) - 1].float()
        for i, reward in zip(places, (last @ head.float().T).squeeze(-1).tolist()):
            rewards[i] = reward
        computed += ids.numel()
    return rewards, computed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("export")
    parser.add_argument("--precision", choices=peer.DTYPES, default="f32")
    parser.add_argument("--pairs", type=int, help="only the first pairs of the work")
    parser.add_argument("--take", type=int, help="run only the first pairs, and extrapolate the seconds to all")
    parser.add_argument("--batch", type=int, help="rows of a pass [default: the fastest]")
    parser.add_argument("--batches", default="1,4,8,16,32", help="what is tried")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    model, head = peer.load(args.export, peer.DTYPES[args.precision])
    model.eval()
    work = [line["tokens"] for line in peer.lines(f"{args.export}/responses.jsonl")]
    work = work[: args.pairs and 2 * args.pairs]
    rows = work[: args.take and 2 * args.take]
    sizes = [args.batch] if args.batch else [int(size) for size in args.batches.split(",")]
    score(model, head, rows[:2], 2)
    tried = {}
    for size in sizes:
        start = time.perf_counter()
        rewards, computed = score(model, head, rows, size)
        tried[size] = time.perf_counter() - start
    size = min(tried, key=tried.get)
    share = sum(map(len, work)) / sum(map(len, rows))
    seconds = tried[size] * share
    print(json.dumps({
        "program": peer.program(),
        "threads": args.threads,
        "precision": args.precision,
        "n_pairs": len(work) // 2,
        "n_pairs_run": len(rows) // 2,
        "is_extrapolated": len(rows) < len(work),
        "rows_per_batch": size,
        "seconds_tried_by_rows": {size: round(seconds, 3) for size, seconds in tried.items()},
        "unshared_tokens": sum(map(len, work)),
        "seconds": seconds,
        "pairs_per_second": len(work) / 2 / seconds,
        "peak_memory_bytes": peer.peak_memory_bytes(),
        "rewards": rewards[:8],
    }, indent=2))


if __name__ == "__main__":
    main()
