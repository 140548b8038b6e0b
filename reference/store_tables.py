"""Whether pyarrow and `datasets` read the tables of a run's store as `critic-rm data export` writes them.

usage: store_tables.py FOLDER   (of TABLE.jsonl and TABLE.parquet for each table)

Prints each table's rows and columns, and fails where the two forms differ or a number is not the same.
"""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
from datasets import load_dataset

folder = Path(sys.argv[1])
tables = sorted(path.stem for path in folder.glob("*.parquet"))
assert tables, f"{folder} holds no Parquet file"
for table in tables:
    lines = [json.loads(line) for line in (folder / f"{table}.jsonl").read_text().splitlines()]
    parquet = pq.read_table(folder / f"{table}.parquet")
    assert parquet.to_pylist() == lines, f"{table}: pyarrow reads other rows from Parquet"
    for form in ("parquet", "json"):
        path = folder / f"{table}.{'parquet' if form == 'parquet' else 'jsonl'}"
        loaded = load_dataset(form, data_files=str(path), split="train")
        assert loaded.to_list() == lines, f"{table}: datasets reads other rows from {form}"
    print(f"{table}: {len(lines)} rows; " + ", ".join(f"{f.name} {f.type}" for f in parquet.schema))
