"""Tiny random models of every family, with logits, losses and gradients; for GGUF see `families_gguf.py`.

usage: families.py
"""

import json
import shutil

from golden import GOLDEN, quiet_torch, write_json

import numpy as np
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, LlamaConfig, MistralConfig, Phi3Config, Qwen2Config,
    Qwen3Config,
)

import joint_loss

torch = quiet_torch(0)

FAMILIES = "families"
VOCABULARY = 48
EOS, BOS = 2, 1
LENGTHS = (1, 7, 40)
CONTINUATION = 8
CLEAR_LEAD = 0.01
SIZES = dict(
    vocab_size=VOCABULARY, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=256, bos_token_id=BOS, eos_token_id=EOS, pad_token_id=0,
)
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' + message['content'] + '<|im_end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant ' }}{% endif %}"
)


def rope(theta=10000.0, **more):
    return {"rope_type": "default", "rope_theta": theta, **more}


def models_by_name():
    """name → config; each is there for what it alone has."""
    long = dict(short_factor=[1.0, 1.1, 1.3], long_factor=[2.0, 4.0, 8.0])
    return {
        "llama_linear_biased": LlamaConfig(
            **SIZES, rms_norm_eps=1e-5, attention_bias=True, tie_word_embeddings=True,
            rope_parameters=rope(rope_type="linear", factor=4.0),
        ),
        "llama_yarn": LlamaConfig(
            **SIZES, rms_norm_eps=1e-5, tie_word_embeddings=False,
            rope_parameters=rope(
                rope_type="yarn", factor=4.0, original_max_position_embeddings=32, beta_fast=4.0,
            ),
        ),
        "mistral": MistralConfig(
            **SIZES, head_dim=8, sliding_window=9, tie_word_embeddings=False, rope_parameters=rope(),
        ),
        "qwen2_window": Qwen2Config(
            **SIZES, use_sliding_window=True, sliding_window=5, max_window_layers=1, tie_word_embeddings=True,
            rope_parameters=rope(1e6),
        ),
        "qwen3": Qwen3Config(**SIZES, head_dim=8, tie_word_embeddings=True, rope_parameters=rope(1e6)),
        "gemma2": Gemma2Config(
            **SIZES, head_dim=8, sliding_window=9, query_pre_attn_scalar=6, attn_logit_softcapping=2.0,
            final_logit_softcapping=3.0, rope_parameters=rope(),
        ),
        "gemma3": Gemma3TextConfig(
            **{**SIZES, "num_hidden_layers": 3}, head_dim=8, sliding_window=9, query_pre_attn_scalar=8,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
            rope_parameters={
                "full_attention": rope(1e6, rope_type="linear", factor=8.0), "sliding_attention": rope(1e4),
            },
        ),
        "phi3": Phi3Config(
            **SIZES, sliding_window=17, original_max_position_embeddings=256, tie_word_embeddings=False,
            rope_parameters=rope(),
        ),
        "phi3_longrope": Phi3Config(
            **{**SIZES, "hidden_size": 32}, original_max_position_embeddings=64, tie_word_embeddings=True,
            rope_parameters=rope(rope_type="longrope", partial_rotary_factor=0.75, **long),
        ),
    }


def tokenizer():
    """As many words as the models have tokens."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    words = special + ["user", "assistant", "system", "yes", "no"]
    words += [f"w{i}" for i in range(len(words), VOCABULARY)]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=special[0]))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return made


def draw(config, seed):
    """A model whose every parameter is random and clearly not zero; norms lie around what does nothing."""
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager")
    rng = torch.Generator().manual_seed(seed)
    gemma = config.model_type.startswith("gemma")
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            weight.normal_(0.0, 0.25 if weight.dim() == 2 else 0.2, generator=rng)
            if "norm" in name and not gemma:
                weight.add_(1.0)
    return model.eval()


@torch.no_grad()
def greedy(model, ids, n):
    """`n` argmax tokens past `ids`; None where a top token hardly leads."""
    ids, start = list(ids), len(ids)
    for _ in range(n):
        top = model(torch.tensor([ids]), use_cache=False).logits[0, -1].topk(2)
        if top.values[0] - top.values[1] < CLEAR_LEAD:
            return None
        ids.append(top.indices[0].item())
    return ids[start:]


@torch.no_grad()
def expected(model, seed):
    """One row a length; of the longest the logits of the last tokens alone, to keep the file small."""
    rng = np.random.default_rng(seed)
    for length in LENGTHS:
        continuation = None
        while continuation is None:
            ids = rng.integers(3, VOCABULARY, length).tolist()
            continuation = greedy(model, ids, CONTINUATION)
        out = model(torch.tensor([ids]), output_hidden_states=True, use_cache=False)
        first = max(0, length - 12)
        yield {
            "ids": ids,
            "greedy": continuation,
            "first": first,
            "hidden": out.hidden_states[-1][0, first:],
            "logits": out.logits[0, first:],
        }


def hub_config(config):
    """The config as models on the hub have it, before transformers 5."""
    value = {key: item for key, item in config.to_dict().items() if key != "rope_parameters"}
    parameters = dict(config.rope_parameters)
    if config.model_type == "gemma3_text":
        value["rope_local_base_freq"] = parameters["sliding_attention"]["rope_theta"]
        parameters = dict(parameters["full_attention"])
    value["rope_theta"] = parameters.pop("rope_theta")
    part = parameters.pop("partial_rotary_factor", 1.0)
    if part != 1.0:
        value["partial_rotary_factor"] = part
    value["rope_scaling"] = None if parameters["rope_type"] == "default" else parameters
    value["torch_dtype"] = value.pop("dtype", "float32")
    return value


def main():
    shutil.rmtree(GOLDEN / FAMILIES, ignore_errors=True)
    for seed, (name, config) in enumerate(models_by_name().items(), start=21):
        folder = GOLDEN / FAMILIES / name
        folder.mkdir(parents=True)
        model = draw(config, seed)
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        dump = lambda file, value: (folder / file).write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
        dump("config_hub.json", hub_config(model.config))
        tokenizer().save(str(folder / "tokenizer.json"), pretty=False)
        dump("tokenizer_config.json", {
            "add_bos_token": False, "bos_token": "<|im_start|>", "eos_token": "<|im_end|>",
            "chat_template": TEMPLATE, "tokenizer_class": "PreTrainedTokenizerFast",
        })
        write_json(f"{FAMILIES}/{name}/expected.json", list(expected(model, seed)))
        tensors, value = joint_loss.losses(folder, seed, VOCABULARY)
        save_file(tensors, folder / "joint_loss.safetensors")
        write_json(f"{FAMILIES}/{name}/joint_loss.json", value)


if __name__ == "__main__":
    main()
