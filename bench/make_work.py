"""Writes work/critiques.jsonl from the store of a critique run.

usage: make_work.py RUN_FOLDER
"""

import json
import sqlite3
import sys
from pathlib import Path

WORK = Path(__file__).parent / "work"


def main(run):
    store = sqlite3.connect(f"file:{Path(run) / 'store.sqlite'}?mode=ro", uri=True)
    rows = store.execute(
        "SELECT pair_id, side, idx, text, finish_reason, n_tokens FROM candidates"
    ).fetchall()
    ids = [json.loads(line)["id"] for line in (WORK / "pairs.jsonl").read_text().splitlines()]
    order = {pair_id: place for place, pair_id in enumerate(ids)}
    rows.sort(key=lambda row: (order[row[0]], row[1], row[2]))
    fields = ("pair_id", "side", "index", "text", "finish_reason", "n_tokens")
    lines = [json.dumps(dict(zip(fields, row)), ensure_ascii=False) for row in rows]
    (WORK / "critiques.jsonl").write_text("\n".join(lines) + "\n")
    print(f"{len(rows)} critiques of {len({row[0] for row in rows})} pairs")


if __name__ == "__main__":
    main(sys.argv[1])
