"""Logits, hidden states and greedy continuations of SmolLM2-135M-Instruct, dequantised to f32.

usage: logits.py MODEL.gguf
"""

import sys
from pathlib import Path

from golden import quiet_torch, write_json

import numpy as np
from gguf import GGUFReader
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from tokenizer import from_gguf

torch = quiet_torch(0)

COLUMNS = 64
CONTINUATION = 64
TEXTS = [
    "A reward model reads a prompt and an answer and gives a number. A critique says why the number is "
    "high or low, so that a person can check it.",
    "Question: A baker sells 12 loaves in the morning and 7 in the afternoon. Each loaf costs 3 dollars. "
    "How much money does she take in a day?\nAnswer: 12 + 7 = 19 loaves. 19 * 3 = 57 dollars.",
    "def mean(values):\n    if not values:\n        raise ValueError(\"no values\")\n"
    "    return sum(values) / len(values)\n",
    "The moon moves around the earth in about twenty-seven days. Its light is the light of the sun, thrown "
    "back by grey dust and rock.",
    "<|im_start|>system\nYou judge answers.<|im_end|>\n<|im_start|>user\nIs 17 a prime number?<|im_end|>\n"
    "<|im_start|>assistant\nYes, 17 is prime.<|im_end|>\n",
    "Liste der Zutaten: 250 g Mehl, 3 Eier, ein halber Liter Milch, etwas Salz. Alles gut verrühren und "
    "eine Stunde ruhen lassen.",
    "Dear Ms. Rivera,\n\nThank you for your letter of 4 March. We are sorry that the parcel came late, and we "
    "have sent you a new one today.\n\nKind regards,\nThe shop",
    "1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610",
    "The response is wrong in its second step: it multiplies where it should add. The rest is clear and "
    "polite, but the final result does not follow.\n\nScore: 3",
    "Why is the sky blue? 🌤️ Because air scatters short waves more than long ones (∝ 1/λ⁴), so blue light "
    "reaches us from every side.",
]
PROMPTS = [
    [{"role": "user", "content": "What is the capital of France?"}],
    [{"role": "user", "content": "Write two sentences about the sea."}],
    [{"role": "user", "content": "Tom has 5 pens and buys 8 more. How many pens has he now? Explain."}],
    [
        {"role": "system", "content": "You answer in one short sentence."},
        {"role": "user", "content": "Why do leaves fall in autumn?"},
    ],
    [
        {"role": "user", "content": "Name a fruit."},
        {"role": "assistant", "content": "Apple."},
        {"role": "user", "content": "Name another one."},
    ],
    [{
        "role": "user",
        "content": "Question: What is 7 times 6?\nAnswer: 7 times 6 is 48.\n\n"
        "Say what is right and what is wrong with this answer, then end with a line 'Score: ' "
        "and a number from 1 to 10.",
    }],
]


@torch.no_grad()
def greedy(model, ids, eos):
    """Argmax tokens, the closing one too, and each step's lead of the top token over the second."""
    out, leads, cache = [], [], None
    step = torch.tensor([ids])
    while len(out) < CONTINUATION and out[-1:] != [eos]:
        result = model(step, past_key_values=cache, use_cache=True)
        cache, top = result.past_key_values, result.logits[0, -1].topk(2)
        out.append(top.indices[0].item())
        leads.append(top.values[0] - top.values[1])
        step = top.indices[:1][None]
    return out, leads


@torch.no_grad()
def main(path):
    path = Path(path)
    template = GGUFReader(path).fields["tokenizer.chat_template"].contents()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=from_gguf(path), bos_token="<|im_start|>", eos_token="<|im_end|>", chat_template=template
    )
    model = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager"
    ).eval()

    runs = []
    for text in TEXTS:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        out = model(torch.tensor([ids]), output_hidden_states=True, use_cache=False)
        runs.append((text, ids, out.logits[0], out.hidden_states[-1][0, -1]))
    tops = sorted({logits[-1].argmax().item() for _, _, logits, _ in runs})
    others = np.random.default_rng(0).choice(np.setdiff1d(np.arange(model.config.vocab_size), tops), COLUMNS - len(tops), replace=False)
    columns = sorted(tops + others.tolist())
    write_json("smollm2_logits.json", {
        "columns": columns,
        "texts": [
            {
                "text": text,
                "ids": ids,
                "argmax": logits.argmax(-1),
                "argmax_lead": -torch.diff(logits.topk(2).values)[:, 0],
                "logsumexp": logits.double().logsumexp(-1).float(),
                "last_hidden": hidden,
                "logits": logits[:, columns],
            }
            for text, ids, logits, hidden in runs
        ],
    }, rows="texts")

    rows = []
    for messages in PROMPTS:
        prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        out, leads = greedy(model, ids, tokenizer.eos_token_id)
        rows.append({
            "messages": messages,
            "prompt": prompt,
            "prompt_ids": ids,
            "ids": out,
            "leads": leads,
            "stopped": out[-1] == tokenizer.eos_token_id,
            "text": tokenizer.decode(out),
        })
    write_json("smollm2_greedy.json", rows)


if __name__ == "__main__":
    main(sys.argv[1])
