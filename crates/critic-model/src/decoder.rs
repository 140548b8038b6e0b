use crate::attention::Attention;
use crate::config::DecoderConfig;
use crate::error::ModelError;
use crate::matrix::{Input, Matrix, WeightFormat};
use crate::weight::Weight;
use critic_kernels::rope::{self, RopeTable};
use critic_kernels::{KernelError, rms_norm, swiglu};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A pre-norm transformer decoder without heads: Llama and Qwen2 (transformers' `LlamaModel`, `Qwen2Model`).
///
/// For inference: it maps a flat list of tokens to hidden states; which tokens see each other is the
/// business of the [`Attention`] it is given. Training has [`backprop`](crate::backprop).
#[derive(Debug, Clone)]
pub struct Decoder {
    config: DecoderConfig,
    embedding: Matrix,
    layers: Vec<Layer>,
    norm: Weight,
    lm_head: Matrix,
    rope: Arc<RopeTable>,
}

#[derive(Debug, Clone)]
struct Layer {
    input_norm: Weight,
    q: Projection,
    k: Projection,
    v: Projection,
    o: Projection,
    post_attention_norm: Weight,
    gate: Projection,
    up: Projection,
    down: Projection,
}

#[derive(Debug, Clone)]
struct Projection {
    weight: Matrix,
    bias: Option<Weight>,
}

impl Projection {
    /// `x · weightᵀ + bias` of `n` rows for each of some projections.
    fn forward<const N: usize>(
        projections: [&Self; N],
        n: usize,
        x: &[f32],
        input: &mut Input,
        mut out: [&mut Vec<f32>; N],
    ) -> Result<(), KernelError> {
        let matrices = projections.map(|projection| &projection.weight);
        Matrix::products(matrices, n, x, input, out.each_mut().map(|out| &mut **out))?;
        for (projection, out) in projections.iter().zip(out) {
            if let Some(bias) = &projection.bias {
                add_bias(bias.values(), out);
            }
        }
        Ok(())
    }
}

/// Adds `bias` to every row of `x`.
pub(crate) fn add_bias(bias: &[f32], x: &mut [f32]) {
    for row in x.chunks_exact_mut(bias.len().max(1)) {
        row.iter_mut().zip(bias).for_each(|(x, bias)| *x += bias);
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
    /// A decoder over these weights; what stays f32 is shared, not copied.
    ///
    /// # Errors
    /// [`ModelError`] naming a weight that is missing or has another shape, and when a weight that is not
    /// finite is to be rounded.
    pub fn new(
        config: &DecoderConfig,
        weights: &BTreeMap<String, Weight>,
        format: WeightFormat,
    ) -> Result<Self, ModelError> {
        let shapes = weight_shapes(config);
        let get = |name: &str| -> Result<Weight, ModelError> {
            let expected = &shapes[name];
            match weights.get(name) {
                None => Err(ModelError::MissingWeight {
                    name: name.to_owned(),
                    expected: expected.clone(),
                }),
                Some(weight) if weight.shape() != expected.as_slice() => {
                    Err(ModelError::WeightShape {
                        name: name.to_owned(),
                        found: weight.shape().to_vec(),
                        expected: expected.clone(),
                    })
                }
                Some(weight) => Ok(weight.clone()),
            }
        };
        let layers = (0..config.n_layers)
            .map(|layer| {
                let at = |name: &str| get(&format!("model.layers.{layer}.{name}"));
                let projection = |name: &str, bias: bool| -> Result<Projection, ModelError> {
                    let bias = bias.then(|| at(&format!("{name}.bias"))).transpose()?;
                    let weight = Matrix::new(&at(&format!("{name}.weight"))?, format)?;
                    Ok(Projection { weight, bias })
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
            .collect::<Result<Vec<Layer>, ModelError>>()?;
        let embedding = get("model.embed_tokens.weight")?;
        // Rounding is for the products: what a row stands for is looked up as it was loaded.
        let held = match format {
            WeightFormat::Source => format,
            _ => WeightFormat::F32,
        };
        let lm_head =
            if config.tied_embeddings { embedding.clone() } else { get("lm_head.weight")? };
        Ok(Self {
            embedding: Matrix::new(&embedding, held)?,
            layers,
            norm: get("model.norm.weight")?,
            lm_head: Matrix::new(&lm_head, format)?,
            rope: Arc::new(RopeTable::new(&config.inverse_frequencies(), config.context_length)),
            config: config.clone(),
        })
    }

    /// Its shape.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// How many matrices are held in each kind of numbers, by the kind's name in GGUF.
    pub fn kinds(&self) -> BTreeMap<&'static str, usize> {
        let of_layers = self.layers.iter().flat_map(|layer| {
            let Layer { q, k, v, o, gate, up, down, .. } = layer;
            [q, k, v, o, gate, up, down].map(|projection| projection.weight.kind())
        });
        let mut kinds = BTreeMap::new();
        for kind in of_layers.chain([self.lm_head.kind()]) {
            *kinds.entry(kind).or_default() += 1;
        }
        kinds
    }

    /// Hidden states after the final norm; a token's bits depend on its own path alone.
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
        positions: &[u32],
        attention: &mut dyn Attention,
    ) -> Result<Vec<f32>, ModelError> {
        // Inside the pool a small product does not wait for a thread to wake up.
        rayon::scope(|_| self.layers(tokens, positions, attention))
    }

    fn layers(
        &self,
        tokens: &[u32],
        positions: &[u32],
        attention: &mut dyn Attention,
    ) -> Result<Vec<f32>, ModelError> {
        let config = &self.config;
        let (n, eps) = (tokens.len(), config.rms_norm_eps);
        let shape = config.attention_shape();
        let mut x = vec![0.0; n * config.d_model];
        for (&token, x) in tokens.iter().zip(x.chunks_exact_mut(config.d_model)) {
            if !self.embedding.row(token as usize, x) {
                let vocab_size = config.vocab_size;
                return Err(ModelError::UnknownToken { token, vocab_size });
            }
        }
        let mut h = vec![0.0; x.len()];
        let mut input = Input::default();
        let [mut q, mut k, mut v, mut gate, mut up, mut inner, mut delta] =
            [const { Vec::new() }; 7];
        let mut attended = vec![0.0; n * config.n_heads * config.head_dim];
        for (layer_idx, layer) in self.layers.iter().enumerate() {
            rms_norm::forward(&x, layer.input_norm.values(), eps, &mut h)?;
            let qkv = [&layer.q, &layer.k, &layer.v];
            Projection::forward(qkv, n, &h, &mut input, [&mut q, &mut k, &mut v])?;
            rope::forward_in_place(&mut q, positions, config.n_heads, &self.rope)?;
            rope::forward_in_place(&mut k, positions, config.n_kv_heads, &self.rope)?;
            attention.attend(layer_idx, shape, &q, &k, &v, &mut attended)?;
            Projection::forward([&layer.o], n, &attended, &mut input, [&mut delta])?;
            let norm = layer.post_attention_norm.values();
            rms_norm::add_forward(&mut x, &delta, norm, eps, &mut h)?;
            let halves = [&layer.gate, &layer.up];
            Projection::forward(halves, n, &h, &mut input, [&mut gate, &mut up])?;
            inner.resize(gate.len(), 0.0);
            swiglu::forward(&gate, &up, &mut inner)?;
            Projection::forward([&layer.down], n, &inner, &mut input, [&mut delta])?;
            x.iter_mut().zip(&delta).for_each(|(x, delta)| *x += delta);
        }
        rms_norm::forward(&x, self.norm.values(), eps, &mut h)?;
        Ok(h)
    }

    /// Logits of hidden states; a row's bits do not depend on the other rows.
    ///
    /// # Shapes
    /// - `hidden`: `[n, d_model]`
    /// - `logits`: `[n, vocab_size]`, overwritten
    ///
    /// # Errors
    /// When `hidden` is not whole rows.
    pub fn logits(&self, hidden: &[f32], logits: &mut Vec<f32>) -> Result<(), ModelError> {
        let mut input = Input::default();
        let n = hidden.len() / self.config.d_model;
        Ok(Matrix::products([&self.lm_head], n, hidden, &mut input, [logits])?)
    }
}

/// Rows of the embedding.
pub(crate) fn embed(
    embedding: &[f32],
    d_model: usize,
    tokens: &[u32],
    out: &mut [f32],
) -> Result<(), ModelError> {
    let vocab_size = embedding.len() / d_model;
    for (&token, out) in tokens.iter().zip(out.chunks_exact_mut(d_model)) {
        let row = embedding.chunks_exact(d_model).nth(token as usize);
        out.copy_from_slice(row.ok_or(ModelError::UnknownToken { token, vocab_size })?);
    }
    Ok(())
}
