use crate::attention::Attention;
use crate::config::DecoderConfig;
use crate::error::ModelError;
use crate::ops;
use candle_core::{Device, Result, Tensor};
use critic_kernels::attention::AttentionShape;
use critic_kernels::rope::RopeTable;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A pre-norm transformer decoder without heads: Llama and Qwen2 (transformers' `LlamaModel`, `Qwen2Model`).
///
/// It maps a flat list of tokens to hidden states; which tokens see each other is the business of the
/// [`Attention`] it is given.
#[derive(Debug, Clone)]
pub struct Decoder {
    config: DecoderConfig,
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: Tensor,
    lm_head: Option<Tensor>,
    rope: Arc<RopeTable>,
}

#[derive(Debug, Clone)]
struct Layer {
    input_norm: Tensor,
    q: Projection,
    k: Projection,
    v: Projection,
    o: Projection,
    post_attention_norm: Tensor,
    gate: Projection,
    up: Projection,
    down: Projection,
}

#[derive(Debug, Clone)]
struct Projection {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Projection {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = ops::linear(x, &self.weight)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

/// Name and shape of every weight of a decoder, in the names of Hugging Face.
pub fn weight_shapes(config: &DecoderConfig) -> BTreeMap<String, Vec<usize>> {
    let (d, kv) = (config.d_model, config.n_kv_heads * config.head_dim);
    let q = config.n_heads * config.head_dim;
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
        put("input_layernorm.weight", vec![d]);
        put("post_attention_layernorm.weight", vec![d]);
        for (name, rows) in [("q_proj", q), ("k_proj", kv), ("v_proj", kv)] {
            put(&format!("self_attn.{name}.weight"), vec![rows, d]);
            if config.qkv_bias {
                put(&format!("self_attn.{name}.bias"), vec![rows]);
            }
        }
        put("self_attn.o_proj.weight", vec![d, q]);
        put("mlp.gate_proj.weight", vec![config.d_ff, d]);
        put("mlp.up_proj.weight", vec![config.d_ff, d]);
        put("mlp.down_proj.weight", vec![d, config.d_ff]);
    }
    shapes
}

impl Decoder {
    /// A decoder over these weights; they are shared, not copied, so a decoder over variables trains them.
    ///
    /// # Errors
    /// [`ModelError`] naming a weight that is missing or has another shape.
    pub fn new(
        config: &DecoderConfig,
        weights: &BTreeMap<String, Tensor>,
    ) -> std::result::Result<Self, ModelError> {
        let shapes = weight_shapes(config);
        let get = |name: &str| -> std::result::Result<Tensor, ModelError> {
            let expected = &shapes[name];
            match weights.get(name) {
                None => Err(ModelError::MissingWeight {
                    name: name.to_owned(),
                    expected: expected.clone(),
                }),
                Some(tensor) if tensor.dims() != expected.as_slice() => {
                    Err(ModelError::WeightShape {
                        name: name.to_owned(),
                        found: tensor.dims().to_vec(),
                        expected: expected.clone(),
                    })
                }
                Some(tensor) => Ok(tensor.clone()),
            }
        };
        let layers = (0..config.n_layers)
            .map(|layer| {
                let at = |name: &str| get(&format!("model.layers.{layer}.{name}"));
                let projection =
                    |name: &str, bias: bool| -> std::result::Result<Projection, ModelError> {
                        let bias = bias.then(|| at(&format!("{name}.bias"))).transpose()?;
                        Ok(Projection { weight: at(&format!("{name}.weight"))?, bias })
                    };
                Ok(Layer {
                    input_norm: at("input_layernorm.weight")?,
                    q: projection("self_attn.q_proj", config.qkv_bias)?,
                    k: projection("self_attn.k_proj", config.qkv_bias)?,
                    v: projection("self_attn.v_proj", config.qkv_bias)?,
                    o: projection("self_attn.o_proj", false)?,
                    post_attention_norm: at("post_attention_layernorm.weight")?,
                    gate: projection("mlp.gate_proj", false)?,
                    up: projection("mlp.up_proj", false)?,
                    down: projection("mlp.down_proj", false)?,
                })
            })
            .collect::<std::result::Result<Vec<Layer>, ModelError>>()?;
        Ok(Self {
            embedding: get("model.embed_tokens.weight")?,
            layers,
            norm: get("model.norm.weight")?,
            lm_head: if config.tied_embeddings { None } else { Some(get("lm_head.weight")?) },
            rope: Arc::new(RopeTable::new(&config.inverse_frequencies(), config.context_length)),
            config: config.clone(),
        })
    }

    /// Its shape.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The LM head, `[vocab_size, d_model]`; the embedding itself when they are tied.
    pub fn lm_head(&self) -> &Tensor {
        self.lm_head.as_ref().unwrap_or(&self.embedding)
    }

    /// Hidden states after the final norm.
    ///
    /// # Shapes
    /// - `tokens`, `positions`: `[n_tokens]`
    /// - returns `[n_tokens, d_model]`
    ///
    /// # Errors
    /// When a token is not in the vocabulary, a position is beyond the context, or the attention fails.
    pub fn hidden(
        &self,
        tokens: &[u32],
        positions: &Arc<[u32]>,
        attention: &mut dyn Attention,
    ) -> Result<Tensor> {
        let config = &self.config;
        let shape = AttentionShape {
            n_heads: config.n_heads,
            n_kv_heads: config.n_kv_heads,
            head_dim: config.head_dim,
            scale: (config.head_dim as f32).powf(-0.5),
        };
        let ids = Tensor::from_slice(tokens, tokens.len(), &Device::Cpu)?;
        let mut x = self.embedding.index_select(&ids, 0)?;
        for (layer_idx, layer) in self.layers.iter().enumerate() {
            let h = ops::rms_norm(&x, &layer.input_norm, config.rms_norm_eps)?;
            let q = ops::rope(&layer.q.forward(&h)?, positions, config.n_heads, &self.rope)?;
            let k = ops::rope(&layer.k.forward(&h)?, positions, config.n_kv_heads, &self.rope)?;
            let v = layer.v.forward(&h)?;
            let attended = attention.attend(layer_idx, shape, &q, &k, &v)?;
            x = (x + layer.o.forward(&attended)?)?;
            let h = ops::rms_norm(&x, &layer.post_attention_norm, config.rms_norm_eps)?;
            let inner = ops::swiglu(&layer.gate.forward(&h)?, &layer.up.forward(&h)?)?;
            x = (x + layer.down.forward(&inner)?)?;
        }
        ops::rms_norm(&x, &self.norm, config.rms_norm_eps)
    }
}
