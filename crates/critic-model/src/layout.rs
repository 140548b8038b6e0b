use crate::config::DecoderConfig;
use std::collections::BTreeMap;

/// Where Hugging Face's files keep the norms of a layer, which they name by family.
pub(crate) struct NormNames {
    /// Before the feed-forward network.
    pub(crate) feed_forward: &'static str,
    /// After the attention and after the feed-forward network.
    pub(crate) post: Option<[&'static str; 2]>,
    /// Of queries and keys.
    pub(crate) heads: Option<[&'static str; 2]>,
}

impl NormNames {
    pub(crate) const INPUT: &str = "input_layernorm.weight";

    pub(crate) fn new(config: &DecoderConfig) -> Self {
        const POST_ATTENTION: &str = "post_attention_layernorm.weight";
        let variant = &config.variant;
        let heads = ["self_attn.q_norm.weight", "self_attn.k_norm.weight"];
        Self {
            feed_forward: match variant.post_norms {
                true => "pre_feedforward_layernorm.weight",
                false => POST_ATTENTION,
            },
            post: variant
                .post_norms
                .then_some([POST_ATTENTION, "post_feedforward_layernorm.weight"]),
            heads: variant.qk_norm.then_some(heads),
        }
    }
}

/// Name and shape of every weight of a decoder, in the names of Hugging Face.
pub fn weight_shapes(config: &DecoderConfig) -> BTreeMap<String, Vec<usize>> {
    let (d, kv) = (config.d_model, config.n_kv_heads * config.head_dim);
    let q = config.n_heads * config.head_dim;
    let norms = NormNames::new(config);
    let mut shapes = BTreeMap::from([
        ("model.embed_tokens.weight".to_owned(), vec![config.vocab_size, d]),
        ("model.norm.weight".to_owned(), vec![d]),
    ]);
    if !config.tied_embeddings {
        shapes.insert("lm_head.weight".to_owned(), vec![config.vocab_size, d]);
    }
    for layer in 0..config.n_layers {
        let mut put = |name: &str, shape: Vec<usize>| {
            shapes.insert(format!("model.layers.{layer}.{name}"), shape)
        };
        let wide = [NormNames::INPUT, norms.feed_forward];
        for name in wide.into_iter().chain(norms.post.into_iter().flatten()) {
            put(name, vec![d]);
        }
        for name in norms.heads.into_iter().flatten() {
            put(name, vec![config.head_dim]);
        }
        for (name, rows) in [("q_proj", q), ("k_proj", kv), ("v_proj", kv)] {
            put(&format!("self_attn.{name}.weight"), vec![rows, d]);
            if config.qkv_bias {
                put(&format!("self_attn.{name}.bias"), vec![rows]);
            }
        }
        put("self_attn.o_proj.weight", vec![d, q]);
        if config.variant.o_bias {
            put("self_attn.o_proj.bias", vec![d]);
        }
        put("mlp.gate_proj.weight", vec![config.d_ff, d]);
        put("mlp.up_proj.weight", vec![config.d_ff, d]);
        put("mlp.down_proj.weight", vec![d, config.d_ff]);
    }
    shapes
}
