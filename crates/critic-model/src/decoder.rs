use crate::attention::Attention;
use crate::config::DecoderConfig;
use crate::error::ModelError;
use crate::layout::{NormNames, weight_shapes};
use crate::matrix::{Input, Matrix, WeightFormat};
use crate::rope_tables::RopeTables;
use crate::weight::Weight;
use critic_kernels::{KernelError, gated, rms_norm, rope, softcap};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A pre-norm transformer decoder without heads: Llama and what differs from it as
/// [`Variant`](crate::config::Variant) says (transformers' `LlamaModel`, `Gemma2Model`, ...).
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
    rope: Arc<RopeTables>,
}

#[derive(Debug, Clone)]
struct Layer {
    input_norm: Weight,
    q: Projection,
    k: Projection,
    v: Projection,
    /// Of queries and keys.
    head_norms: Option<[Weight; 2]>,
    o: Projection,
    feed_forward_norm: Weight,
    gate: Projection,
    up: Projection,
    down: Projection,
    /// After the attention and after the feed-forward network.
    post_norms: Option<[Weight; 2]>,
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
                add_bias(&bias.values(), out);
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
        let names = NormNames::new(config);
        let norm = |weight: Weight| -> Result<Weight, ModelError> {
            match config.variant.unit_offset_norms {
                true => Weight::new(weight.shape(), offset_by_one(&weight.values())),
                false => Ok(weight),
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
                let pair = |names: Option<[&str; 2]>| -> Result<Option<[Weight; 2]>, ModelError> {
                    let Some([first, second]) = names else { return Ok(None) };
                    Ok(Some([norm(at(first)?)?, norm(at(second)?)?]))
                };
                Ok(Layer {
                    input_norm: norm(at(NormNames::INPUT)?)?,
                    q: projection("self_attn.q_proj", config.qkv_bias)?,
                    k: projection("self_attn.k_proj", config.qkv_bias)?,
                    v: projection("self_attn.v_proj", config.qkv_bias)?,
                    head_norms: pair(names.heads)?,
                    o: projection("self_attn.o_proj", config.variant.o_bias)?,
                    feed_forward_norm: norm(at(names.feed_forward)?)?,
                    gate: projection("mlp.gate_proj", false)?,
                    up: projection("mlp.up_proj", false)?,
                    down: projection("mlp.down_proj", false)?,
                    post_norms: pair(names.post)?,
                })
            })
            .collect::<Result<Vec<Layer>, ModelError>>()?;
        let mut embedding = get("model.embed_tokens.weight")?;
        // Rounding is for the products: what a row stands for is looked up as it was loaded.
        let held = match format {
            WeightFormat::Source => format,
            _ => WeightFormat::F32,
        };
        if held == WeightFormat::F32 {
            // Once for both where they are tied.
            embedding = embedding.to_f32();
        }
        let lm_head =
            if config.tied_embeddings { embedding.clone() } else { get("lm_head.weight")? };
        Ok(Self {
            embedding: Matrix::new(&embedding, held)?,
            layers,
            norm: norm(get("model.norm.weight")?)?,
            lm_head: Matrix::new(&lm_head, format)?,
            rope: Arc::new(RopeTables::new(config)?),
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
        let mut x = vec![0.0; n * config.d_model];
        let scale = config.embedding_scale();
        for (&token, x) in tokens.iter().zip(x.chunks_exact_mut(config.d_model)) {
            if !self.embedding.row(token as usize, x) {
                let vocab_size = config.vocab_size;
                return Err(ModelError::UnknownToken { token, vocab_size });
            }
            x.iter_mut().for_each(|x| *x *= scale);
        }
        let mut h = vec![0.0; x.len()];
        let mut input = Input::default();
        let [mut q, mut k, mut v, mut gate, mut up, mut inner, mut delta, mut plain] =
            [const { Vec::new() }; 8];
        let mut attended = vec![0.0; n * config.n_heads * config.head_dim];
        for (layer_idx, layer) in self.layers.iter().enumerate() {
            let shape = config.attention_shape(layer_idx);
            let rope = self.rope.at(shape.window);
            rms_norm::forward(&x, &layer.input_norm.values(), eps, &mut h)?;
            let qkv = [&layer.q, &layer.k, &layer.v];
            Projection::forward(qkv, n, &h, &mut input, [&mut q, &mut k, &mut v])?;
            if let Some([q_norm, k_norm]) = &layer.head_norms {
                norm_in_place(&mut q, q_norm, eps, &mut plain)?;
                norm_in_place(&mut k, k_norm, eps, &mut plain)?;
            }
            rope::forward_in_place(&mut q, positions, config.n_heads, rope)?;
            rope::forward_in_place(&mut k, positions, config.n_kv_heads, rope)?;
            attention.attend(layer_idx, shape, &q, &k, &v, &mut attended)?;
            Projection::forward([&layer.o], n, &attended, &mut input, [&mut delta])?;
            if let Some([attention_norm, _]) = &layer.post_norms {
                norm_in_place(&mut delta, attention_norm, eps, &mut plain)?;
            }
            let norm = layer.feed_forward_norm.values();
            rms_norm::add_forward(&mut x, &delta, &norm, eps, &mut h)?;
            let halves = [&layer.gate, &layer.up];
            Projection::forward(halves, n, &h, &mut input, [&mut gate, &mut up])?;
            inner.resize(gate.len(), 0.0);
            gated::forward(config.variant.activation, &gate, &up, &mut inner)?;
            Projection::forward([&layer.down], n, &inner, &mut input, [&mut delta])?;
            if let Some([_, feed_forward_norm]) = &layer.post_norms {
                norm_in_place(&mut delta, feed_forward_norm, eps, &mut plain)?;
            }
            x.iter_mut().zip(&delta).for_each(|(x, delta)| *x += delta);
        }
        rms_norm::forward(&x, &self.norm.values(), eps, &mut h)?;
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
        Matrix::products([&self.lm_head], n, hidden, &mut input, [&mut *logits])?;
        if let Some(cap) = self.config.variant.final_softcap {
            softcap::forward_in_place(logits, cap);
        }
        Ok(())
    }
}

/// An RMS norm of rows as wide as its weight; `plain` is room for them.
fn norm_in_place(
    x: &mut Vec<f32>,
    weight: &Weight,
    eps: f32,
    plain: &mut Vec<f32>,
) -> Result<(), KernelError> {
    std::mem::swap(x, plain);
    x.resize(plain.len(), 0.0);
    rms_norm::forward(plain, &weight.values(), eps, x)
}

/// What a norm of Gemma multiplies by.
pub(crate) fn offset_by_one(weight: &[f32]) -> Vec<f32> {
    weight.iter().map(|weight| 1.0 + weight).collect()
}

/// Rows of the embedding, scaled as the family does.
pub(crate) fn embed(
    embedding: &Weight,
    config: &DecoderConfig,
    tokens: &[u32],
    out: &mut [f32],
) -> Result<(), ModelError> {
    let (d_model, vocab_size) = (config.d_model, config.vocab_size);
    let scale = config.embedding_scale();
    for (&token, out) in tokens.iter().zip(out.chunks_exact_mut(d_model)) {
        if !embedding.row(token as usize, out) {
            return Err(ModelError::UnknownToken { token, vocab_size });
        }
        out.iter_mut().for_each(|x| *x *= scale);
    }
    Ok(())
}
