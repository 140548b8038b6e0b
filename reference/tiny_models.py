"""Tiny random models as Hugging Face folders and GGUF files, with their logits.

usage: tiny_models.py
"""

import json
import shutil

from golden import GOLDEN, quiet_torch, write_json

import gguf
import numpy as np
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, Qwen2Config

from tokenizer import CHATML, tiny_qwen2, tiny_smollm

torch = quiet_torch(0)

SIZES = dict(
    vocab_size=512,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=512,
)
LLAMA3_ROPE = dict(
    rope_type="llama3",
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)
LLAMA_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content']"
    " + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
QWEN2_TEMPLATE = (
    "{%- if messages[0]['role'] != 'system' %}\n"
    "    {{- '<|im_start|>system\\nYou are a tiny test model.<|im_end|>\\n' }}\n"
    "{%- endif %}\n"
    "{%- for message in messages %}\n"
    "    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n"
    "    {{- '<|im_start|>assistant\\n' }}\n"
    "{%- endif %}\n"
)
LENGTHS = (1, 7, 16, 40)
CONTINUATION = 64
CLEAR_LEAD = 0.01
NOT_ON_HUB = {
    "_name_or_path", "chunk_size_feed_forward", "head_dim", "id2label", "is_encoder_decoder", "label2id",
    "layer_types", "output_attentions", "output_hidden_states", "problem_type", "return_dict",
}


def models():
    """name → (config, seed, tokenizer, chat template)."""
    chatml = lambda tok: dict(
        bos_token_id=tok.token_to_id("<|im_start|>"),
        eos_token_id=tok.token_to_id("<|im_end|>"),
        pad_token_id=tok.token_to_id("<|endoftext|>"),
    )
    smollm, qwen2 = tiny_smollm(), tiny_qwen2()
    rope = lambda **more: {"rope_type": "default", "rope_theta": 10000.0, **more}
    llama = dict(**SIZES, **chatml(smollm), rms_norm_eps=1e-5)
    return {
        "tiny_llama": (
            LlamaConfig(**llama, rope_parameters=rope(), tie_word_embeddings=True),
            1, smollm, LLAMA_TEMPLATE,
        ),
        "tiny_llama3_untied": (
            LlamaConfig(**llama, rope_parameters=rope(**LLAMA3_ROPE), tie_word_embeddings=False),
            2, smollm, LLAMA_TEMPLATE,
        ),
        "tiny_qwen2": (
            Qwen2Config(
                **SIZES, **chatml(qwen2), rms_norm_eps=1e-6, use_sliding_window=False,
                rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
                tie_word_embeddings=False,
            ),
            3, qwen2, QWEN2_TEMPLATE,
        ),
    }


def draw(config, seed):
    """A model whose every parameter, norms and biases too, is random and clearly not zero."""
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager")
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            std = 0.3 if weight.dim() == 2 and "embed" not in name else 0.2
            weight.normal_(0.0, std, generator=rng)
            if "norm" in name:
                weight.add_(1.0)
    return model.eval()


def hub_config(config):
    """The config as models on the hub have it: `rope_theta` and `rope_scaling` side by side."""
    value = config.to_dict()
    rope = value.pop("rope_parameters")
    value["rope_theta"] = rope.pop("rope_theta")
    value["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    value["torch_dtype"] = value.pop("dtype", "float32")
    value["architectures"] = ["LlamaForCausalLM" if config.model_type == "llama" else "Qwen2ForCausalLM"]
    return {key: item for key, item in value.items() if key not in NOT_ON_HUB}


def tokenizer_config(tokenizer, template):
    return {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": {
            str(tokenizer.token_to_id(token)): {
                "content": token, "lstrip": False, "normalized": False,
                "rstrip": False, "single_word": False, "special": True,
            }
            for token in CHATML
        },
        "bos_token": "<|im_start|>",
        "chat_template": template,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "model_max_length": SIZES["max_position_embeddings"],
        "pad_token": "<|endoftext|>",
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "<|endoftext|>",
    }


def write_folder(name, model, tokenizer, template):
    """A hub folder; the llama3 one is as transformers 5 writes it, its hub form stands beside."""
    folder = GOLDEN / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    dump = lambda file, value: (folder / file).write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        del state["lm_head.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    if "llama3" in name:
        model.config.architectures = ["LlamaForCausalLM"]
        model.config.save_pretrained(folder)
        dump("config_hub.json", hub_config(model.config))
    else:
        dump("config.json", hub_config(model.config))
    dump("generation_config.json", {
        key: getattr(model.config, key) for key in ("bos_token_id", "eos_token_id", "pad_token_id")
    })
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    dump("tokenizer_config.json", tokenizer_config(tokenizer, template))
    return folder


def sequence(rng, length, vocabulary):
    return rng.integers(3, vocabulary - 3, length).tolist()


@torch.no_grad()
def greedy(model, ids, n):
    """`n` argmax tokens past `ids` without any stop; None where a top token hardly leads."""
    ids = list(ids)
    start = len(ids)
    for _ in range(n):
        top = model(torch.tensor([ids]), use_cache=False).logits[0, -1].topk(2)
        if top.values[0] - top.values[1] < CLEAR_LEAD:
            return None
        ids.append(top.indices[0].item())
    return ids[start:]


@torch.no_grad()
def expected(model, seed, vocabulary):
    """One row a length, with the first random ids whose greedy continuation is clear-cut."""
    rng = np.random.default_rng(seed)
    for length in LENGTHS:
        continuation = None
        while continuation is None:
            ids = sequence(rng, length, vocabulary)
            continuation = greedy(model, ids, CONTINUATION)
        out = model(torch.tensor([ids]), output_hidden_states=True, use_cache=False)
        yield {
            "ids": ids,
            "greedy": continuation,
            "last_hidden": out.hidden_states[-1][0, -1],
            "logits": out.logits[0],
        }


def permute(weight, heads):
    """Rows of a q or k projection from half-split to interleaved rotation, as llama's GGUF has them."""
    shape = weight.shape
    return weight.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def write_gguf(name, model, tokenizer, template, pre, quantise=False):
    config, arch = model.config, model.config.model_type
    writer = gguf.GGUFWriter(GOLDEN / f"{name}.gguf", arch)
    writer.add_name(name)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    if arch == "llama":
        writer.add_vocab_size(config.vocab_size)
        writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if quantise else gguf.LlamaFileType.ALL_F32)

    description = json.loads(tokenizer.to_str())
    vocabulary = {i: token for token, i in tokenizer.get_vocab(with_added_tokens=True).items()}
    kinds = gguf.TokenType
    rows = []
    for i in range(config.vocab_size):
        token = vocabulary.get(i, f"[PAD{i}]")
        kind = kinds.UNUSED if i not in vocabulary else kinds.CONTROL if token in CHATML else kinds.NORMAL
        rows.append((token, kind))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([token for token, _ in rows])
    writer.add_token_types([kind for _, kind in rows])
    writer.add_token_merges([" ".join(merge) for merge in description["model"]["merges"]])
    writer.add_bos_token_id(config.bos_token_id)
    writer.add_eos_token_id(config.eos_token_id)
    writer.add_pad_token_id(config.pad_token_id)
    writer.add_add_bos_token(False)
    writer.add_chat_template(template)

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[arch.upper()], config.num_hidden_layers)
    state = dict(model.state_dict())
    if config.tie_word_embeddings:
        del state["lm_head.weight"]
    for key, tensor in state.items():
        data = tensor.numpy()
        if arch == "llama" and "q_proj" in key:
            data = permute(data, config.num_attention_heads)
        if arch == "llama" and "k_proj" in key:
            data = permute(data, config.num_key_value_heads)
        target, raw = names.get_name(key, try_suffixes=(".weight", ".bias")), None
        if quantise and data.ndim == 2:
            raw = gguf.GGMLQuantizationType.Q8_0
            data = gguf.quants.quantize(data, raw)
        writer.add_tensor(target, np.ascontiguousarray(data), raw_dtype=raw)
    if config.rope_parameters["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_divisors(model))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{name}.gguf: {(GOLDEN / f'{name}.gguf').stat().st_size} bytes")


def llama3_divisors(model):
    """What each rotary frequency is divided by, as llama.cpp reads it."""
    size = model.config.hidden_size // model.config.num_attention_heads
    plain = 10000.0 ** (-torch.arange(0, size, 2, dtype=torch.float32) / size)
    return (plain / model.model.rotary_emb.inv_freq).numpy()


def dequantised(model):
    """The same model with every matrix rounded to Q8_0."""
    q8 = gguf.GGMLQuantizationType.Q8_0
    twin = AutoModelForCausalLM.from_config(model.config, dtype=torch.float32, attn_implementation="eager")
    twin.load_state_dict(model.state_dict())
    with torch.no_grad():
        for weight in twin.parameters():
            if weight.dim() == 2:
                blocks = gguf.quants.quantize(weight.numpy(), q8)
                weight.copy_(torch.from_numpy(gguf.quants.dequantize(blocks, q8)))
    return twin.eval()


def check_same(model, folder, **more):
    """Another reading of the files gives the same logits."""
    other = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", **more)
    ids = torch.tensor([sequence(np.random.default_rng(9), 40, 500)])
    with torch.no_grad():
        gap = (model(ids).logits - other.eval()(ids).logits).abs().max().item()
    assert gap < 1e-4, (folder, more, gap)


def main():
    for name, (config, seed, tokenizer, template) in models().items():
        model = draw(config, seed)
        folder = write_folder(name, model, tokenizer, template)
        check_same(model, folder)
        vocabulary = tokenizer.get_vocab_size()
        write_json(f"{name}_expected.json", list(expected(model, seed, vocabulary)))
        pre = "qwen2" if name == "tiny_qwen2" else "smollm"
        write_gguf(f"{name}_f32", model, tokenizer, template, pre)
        if name != "tiny_llama3_untied":
            check_same(model, GOLDEN, gguf_file=f"{name}_f32.gguf")
        if name == "tiny_llama":
            rounded = dequantised(model)
            write_gguf(f"{name}_q8_0", model, tokenizer, template, pre, quantise=True)
            check_same(rounded, GOLDEN, gguf_file=f"{name}_q8_0.gguf")
            write_json(f"{name}_q8_0_expected.json", list(expected(rounded, seed, vocabulary)))
        assert len(load_file(folder / "model.safetensors")) > 0
        loaded = AutoTokenizer.from_pretrained(folder)
        text = "Score: 10<|im_end|>"
        assert loaded(text)["input_ids"] == tokenizer.encode(text).ids
        assert loaded.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)


if __name__ == "__main__":
    main()
