"""GGUF files of the families' models, and one tensor of every kind.

usage: families_gguf.py   (after families.py)
"""

import json
import math

from golden import GOLDEN, quiet_torch, write_json

import gguf
import numpy as np
from safetensors.numpy import load_file
from transformers import AutoConfig, AutoModelForCausalLM

from families import BOS, EOS, FAMILIES, TEMPLATE, VOCABULARY, tokenizer

torch = quiet_torch(0)

ARCHITECTURES = {"qwen3": "qwen3", "gemma2": "gemma2", "gemma3_text": "gemma3", "phi3": "phi3"}
NAMES = ("qwen3", "gemma2", "gemma3", "phi3", "phi3_longrope")
# transformers reads no rope factors from GGUF.
NOT_READ_BY_TRANSFORMERS = ("phi3_longrope",)
SIMPLE = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1")
K_QUANTS = ("Q4_K", "Q5_K", "Q6_K")
# Where the half-precision scales of a super-block lie.
SCALES = {"Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}


def write_metadata(writer, config):
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rope = config.rope_parameters
    if config.model_type == "gemma3_text":
        rope = rope["full_attention"]
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    writer.add_rope_freq_base(rope["rope_theta"])
    if config.model_type == "phi3":
        writer.add_rope_dimension_count(int(head_dim * rope["partial_rotary_factor"]))
        writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
        writer.add_sliding_window(config.sliding_window or 0)
    else:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if config.model_type.startswith("gemma"):
        writer.add_sliding_window(config.sliding_window)
    if config.model_type == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if config.model_type == "gemma3_text":
        writer.add_sliding_window_pattern([kind == "sliding_attention" for kind in config.layer_types])


def write_vocabulary(writer):
    words = sorted(tokenizer().get_vocab().items(), key=lambda item: item[1])
    kinds = gguf.TokenType
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([word for word, _ in words])
    writer.add_token_types([kinds.CONTROL if word.startswith("<|") else kinds.NORMAL for word, _ in words])
    writer.add_token_merges([])
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def write_model(name):
    folder = GOLDEN / FAMILIES / name
    config = AutoConfig.from_pretrained(folder)
    arch = ARCHITECTURES[config.model_type]
    path = GOLDEN / FAMILIES / f"{name}.gguf"
    writer = gguf.GGUFWriter(path, arch)
    writer.add_name(name)
    write_metadata(writer, config)
    write_vocabulary(writer)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[arch.upper()], config.num_hidden_layers)
    for key, data in load_file(folder / "model.safetensors").items():
        if arch.startswith("gemma") and key.endswith("norm.weight"):
            data = data + np.float32(1.0)
        writer.add_tensor(names.get_name(key, try_suffixes=(".weight", ".bias")), np.ascontiguousarray(data))
    rope = config.rope_parameters
    if rope.get("rope_type") == "longrope":
        before = config.original_max_position_embeddings
        growth = config.max_position_embeddings / before
        writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(growth) / math.log(before)))
        for kind in ("long", "short"):
            writer.add_tensor(f"rope_factors_{kind}.weight", np.array(rope[f"{kind}_factor"], dtype=np.float32))
    finish(writer, path)
    return path


def finish(writer, path):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{path.name}: {path.stat().st_size} bytes")


def check_weights(name, path):
    """transformers takes the folder's weights out of the file."""
    config = AutoConfig.from_pretrained(GOLDEN / FAMILIES / name)
    load = lambda folder, **more: AutoModelForCausalLM.from_pretrained(
        folder, config=config, dtype=torch.float32, attn_implementation="eager", **more
    )
    ours, theirs = load(GOLDEN / FAMILIES / name).state_dict(), load(path.parent, gguf_file=path.name).state_dict()
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert (value - theirs[key]).abs().max() < 1e-6, key


def blocks(kind, rng):
    """256 numbers in the file's form, and what they stand for."""
    kind_id = gguf.GGMLQuantizationType[kind]
    if kind in SIMPLE:
        raw = gguf.quants.quantize(rng.normal(0, 1, (1, 256)).astype(np.float32), kind_id)
    else:
        _, n_bytes = gguf.GGML_QUANT_SIZES[kind_id]
        raw = rng.integers(0, 256, (1, n_bytes), dtype=np.uint8)
        for at in SCALES[kind]:
            raw[0, at : at + 2] = np.array([rng.uniform(0.01, 0.1)], dtype=np.float16).view(np.uint8)
    return kind_id, raw, gguf.quants.dequantize(raw, kind_id)


def write_kinds():
    path = GOLDEN / FAMILIES / "kinds.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    rng, numbers = np.random.default_rng(5), {}
    for kind in SIMPLE + K_QUANTS:
        kind_id, raw, numbers[kind] = blocks(kind, rng)
        writer.add_tensor(kind, raw, raw_dtype=kind_id)
        numbers[kind] = numbers[kind].astype(np.float32).reshape(-1)
    finish(writer, path)
    write_json(f"{FAMILIES}/kinds.json", numbers)


def main():
    for name in NAMES:
        path = write_model(name)
        if name not in NOT_READ_BY_TRANSFORMERS:
            check_weights(name, path)
    write_kinds()


if __name__ == "__main__":
    main()
