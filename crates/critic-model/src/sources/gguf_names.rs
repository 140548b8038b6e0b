//! llama.cpp's names of tensors and Hugging Face's.

use crate::config::Architecture;

const TOP: [(&str, &str); 3] = [
    ("token_embd.weight", "model.embed_tokens.weight"),
    ("output_norm.weight", "model.norm.weight"),
    ("output.weight", "lm_head.weight"),
];

/// Parts of a layer, those of one family before those of all.
fn parts(architecture: Architecture) -> impl Iterator<Item = (&'static str, &'static str)> {
    let family: &[(&str, &str)] = match architecture {
        Architecture::Gemma2 | Architecture::Gemma3 => &[
            ("post_attention_norm", "post_attention_layernorm"),
            ("ffn_norm", "pre_feedforward_layernorm"),
            ("post_ffw_norm", "post_feedforward_layernorm"),
        ],
        Architecture::Phi3 => &[("ffn_up", "mlp.gate_up_proj")],
        _ => &[],
    };
    let all = [
        ("attn_qkv", "self_attn.qkv_proj"),
        ("attn_q_norm", "self_attn.q_norm"),
        ("attn_k_norm", "self_attn.k_norm"),
        ("attn_norm", "input_layernorm"),
        ("ffn_norm", "post_attention_layernorm"),
        ("attn_q", "self_attn.q_proj"),
        ("attn_k", "self_attn.k_proj"),
        ("attn_v", "self_attn.v_proj"),
        ("attn_output", "self_attn.o_proj"),
        ("ffn_gate", "mlp.gate_proj"),
        ("ffn_up", "mlp.up_proj"),
        ("ffn_down", "mlp.down_proj"),
    ];
    family.iter().copied().chain(all)
}

/// The name in Hugging Face's spelling of a tensor in llama.cpp's.
pub(crate) fn hugging_face_name(architecture: Architecture, name: &str) -> Option<String> {
    if let Some((_, theirs)) = TOP.iter().find(|(ours, _)| *ours == name) {
        return Some((*theirs).to_owned());
    }
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    let (part, kind) = rest.rsplit_once('.')?;
    let (_, part) = parts(architecture).find(|(gguf, _)| *gguf == part)?;
    Some(format!("model.layers.{layer}.{part}.{kind}"))
}

/// The name in llama.cpp's spelling of a tensor in Hugging Face's.
pub(crate) fn gguf_name(architecture: Architecture, name: &str) -> Option<String> {
    if let Some((ours, _)) = TOP.iter().find(|(_, theirs)| *theirs == name) {
        return Some((*ours).to_owned());
    }
    let (layer, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    let (part, kind) = rest.rsplit_once('.')?;
    let (part, _) = parts(architecture).find(|(_, hf)| *hf == part)?;
    Some(format!("blk.{layer}.{part}.{kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::of_family;
    use crate::sources::fused::file_shapes;

    #[test]
    fn every_weight_of_every_family_has_one_name_in_each_spelling() {
        for architecture in Architecture::ALL {
            for name in file_shapes(&of_family(architecture)).keys() {
                let gguf = gguf_name(architecture, name).unwrap();
                assert_eq!(hugging_face_name(architecture, &gguf).as_ref(), Some(name), "{gguf}");
            }
        }
    }
}
