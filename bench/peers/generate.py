"""Critiques by llama.cpp at its best settings, on the exported work.

Searches type of the weights, sequences at once, one cache for all or one each, flash attention, and whether
the 40 likeliest tokens are taken first (llama.cpp's own default, which spares it a sort of the vocabulary),
one after the other on a small part of the work; then does the whole with the fastest.

usage: generate.py EXPORT_FOLDER LLAMA_FOLDER [--prompts 64] [--n 8] [--max-new-tokens 128] [--threads 2] ...
LLAMA_FOLDER is one that build_llama made.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

TYPES = ("q4_1", "q4_0", "q8_0", "f16")


def prepare(export, llama):
    """The prompts as lines of ids, and the weights in every type."""
    export, llama = Path(export), Path(llama)
    prompts = llama / "prompts.txt"
    lines = (export / "responses.jsonl").read_text().splitlines()
    prompts.write_text("".join(" ".join(map(str, json.loads(line)["critique_prompt"])) + "\n" for line in lines))
    source = Path(json.loads((export / "work.json").read_text())["source"])
    if source.suffix != ".gguf":
        sys.exit(f"generate.py: the weights come from {source}; llama.cpp needs a .gguf file")
    models = {}
    for kind in TYPES:
        path = llama / f"{source.stem}.{kind}.gguf"
        if source.stem.lower().endswith(kind):
            path = source
        elif not path.exists():
            command = [llama / "llama_quantize", source, path, kind]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        models[kind] = path
    return prompts, models


def generate(llama, prompts, models, settings):
    settings = {**settings, "prompts": prompts, "model": models[settings["type"]]}
    kind = settings.pop("type")
    command = [Path(llama) / "llama_generate"]
    for name, value in settings.items():
        command += [f"--{name}", str(value)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {**json.loads(output), "type": kind, "command": " ".join(map(str, command))}


def search(run, best, choices):
    """Takes the fastest value of each setting in turn; all that was tried, by its tokens a second."""
    tried, rate = [], None
    for name, values in choices.items():
        for value in values:
            if rate is not None and value == best[name]:
                continue
            settings = {**best, name: value}
            found = run(settings)["tokens_per_second"]
            tried.append({**{key: settings[key] for key in choices}, "tokens_per_second": round(found, 1)})
            if rate is None or found > rate:
                best, rate = settings, found
    return best, tried


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("export")
    parser.add_argument("llama")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--n", type=int, default=8)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--types", default=",".join(TYPES))
    parser.add_argument("--settings", help="TYPE,SEQUENCES,UNIFIED,FLASH,TOP_K instead of the search")
    parser.add_argument("--search-prompts", type=int, default=8)
    parser.add_argument("--search-tokens", type=int, default=48)
    args = parser.parse_args()
    prompts, models = prepare(args.export, args.llama)

    run = lambda settings: generate(args.llama, prompts, models, settings)
    fixed = {"n": args.n, "threads": args.threads}
    most = args.prompts * args.n
    sequences = [count for count in (1, 2, 4, 8, 16, 32, 64) if args.n <= count <= most]
    choices = {
        "type": args.types.split(","),
        "sequences": sequences,
        "unified": [1, 0] if most > 1 else [1],
        "flash": [1, 0],
        "top-k": [0, 40],
    }
    if args.settings:
        best, tried = dict(zip(choices, args.settings.split(","))), []
        best = {**fixed, **best}
    else:
        small = {"n-prompts": min(args.prompts, args.search_prompts), "max-new-tokens": args.search_tokens}
        start = {name: values[0] for name, values in choices.items()}
        start["sequences"] = max(count for count in sequences if count <= max(32, args.n))
        best, tried = search(lambda settings: run({**settings, **small}), {**fixed, **start}, choices)
    result = run({**best, "n-prompts": args.prompts, "max-new-tokens": args.max_new_tokens})
    print(json.dumps({**result, "tried": tried}, indent=2))


if __name__ == "__main__":
    main()
