"""Rewards of a folder that critic-rm wrote, by transformers' classes for causal models and for classification.

usage: sequence_classification.py MODEL_FOLDER PAIRS.jsonl

The golden is made from `critic-rm bench export FOLDER --set model=reference/golden/tiny_llama --work WORK` (its
seeded reward head) and the first six pairs of examples/eval.jsonl.
"""

import json
import sys

import torch
import transformers
from golden import write_json
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

folder, pairs = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(folder)
causal, loading = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
print("the causal model leaves out", loading["unexpected_keys"], "and lacks", loading["missing_keys"])
model, loading = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, output_loading_info=True)
print("the classifier leaves out", loading["unexpected_keys"], "and lacks", loading["missing_keys"])
assert not loading["missing_keys"]


@torch.no_grad()
def reward(prompt, response):
    """At the token that closes the response, the last one that is an end of turn."""
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
    ids = tokenizer.apply_chat_template(turns, return_dict=False)
    end = tokenizer.eos_token_id
    ids = torch.tensor([ids[: len(ids) - ids[::-1].index(end)]])
    found = model(ids).logits.item()
    hidden = causal.model(ids).last_hidden_state[0, -1]
    assert abs(found - (model.score.weight[0] @ hidden).item()) < 1e-5
    return found


rows = [json.loads(line) for line in open(pairs)]
write_json(
    "tiny_llama_rewards.json",
    {
        "transformers": transformers.__version__,
        "rewards": [[reward(row["prompt"], row[side]) for side in ("chosen", "rejected")] for row in rows],
    },
)
