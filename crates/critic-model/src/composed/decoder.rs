use super::attention::{KEYS_OF_A_BLOCK, Paths};
use super::operations::{Rotation, activate, linear, rms_norm};
use super::parameters::Parameters;
use crate::backprop::Batch;
use crate::error::ModelError;
use crate::layout::NormNames;
use candle_core::{Result, Tensor};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Hidden states at the rows that are read, after the final norm: the decoder of
/// [`Pass::forward`](crate::backprop::Pass::forward), differentiable by candle.
pub(super) fn hidden(
    parameters: &Parameters,
    batch: &Batch<'_>,
) -> std::result::Result<Tensor, ModelError> {
    let (config, device) = (parameters.config(), parameters.device());
    let (n, vocab_size) = (batch.tokens.len(), config.vocab_size);
    // A device gathers what it is told to without looking.
    if let Some(&token) = batch.tokens.iter().find(|&&token| token as usize >= vocab_size) {
        return Err(ModelError::UnknownToken { token, vocab_size });
    }
    if let Some(&row) = batch.read.iter().find(|&&row| row >= n) {
        return Err(ModelError::NoSuchRow { row, n_rows: n });
    }
    let seen = seen_by_window(parameters, batch)?;
    let tokens = Tensor::from_slice(batch.tokens, n, device)?;
    let read: Vec<u32> = batch.read.iter().map(|&row| row as u32).collect();
    let read = Tensor::from_slice(&read, read.len(), device)?;

    let mut stream = parameters.get("model.embed_tokens.weight").index_select(&tokens, 0)?;
    if config.variant.scaled_embedding {
        stream = (stream * f64::from(config.embedding_scale()))?;
    }
    let norms = NormNames::new(config);
    for layer_idx in 0..config.n_layers {
        let layer = Layer { parameters, norms: &norms, layer_idx };
        stream = layer.forward(&stream, &seen[&config.window(layer_idx)])?;
    }
    Ok(norm(parameters, "model.norm.weight", &stream.index_select(&read, 0)?)?)
}

/// What the layers with a window know of a batch.
struct Seen {
    rotation: Rotation,
    paths: Paths,
}

/// By the window of a layer.
fn seen_by_window(
    parameters: &Parameters,
    batch: &Batch<'_>,
) -> std::result::Result<BTreeMap<Option<usize>, Seen>, ModelError> {
    let (config, device) = (parameters.config(), parameters.device());
    let mut seen = BTreeMap::new();
    for window in (0..config.n_layers).map(|layer_idx| config.window(layer_idx)) {
        if let Entry::Vacant(place) = seen.entry(window) {
            let rotation = Rotation::new(parameters.rope.at(window), batch.positions, device)?;
            let n = batch.tokens.len();
            let paths = Paths::new(batch.runs, n, window, KEYS_OF_A_BLOCK, device)?;
            place.insert(Seen { rotation, paths });
        }
    }
    Ok(seen)
}

/// An RMS norm of rows as wide as its weight.
fn norm(parameters: &Parameters, name: &str, x: &Tensor) -> Result<Tensor> {
    let (config, weight) = (parameters.config(), parameters.get(name));
    match config.variant.unit_offset_norms {
        true => rms_norm(x, &(weight + 1.0)?, config.rms_norm_eps),
        false => rms_norm(x, weight, config.rms_norm_eps),
    }
}

/// A layer with its place among the parameters.
#[derive(Clone, Copy)]
struct Layer<'a> {
    parameters: &'a Parameters,
    norms: &'a NormNames,
    layer_idx: usize,
}

impl Layer<'_> {
    fn name(&self, name: &str) -> String {
        format!("model.layers.{}.{name}", self.layer_idx)
    }

    fn norm(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        norm(self.parameters, &self.name(name), x)
    }

    fn project(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let weight = self.parameters.get(&self.name(&format!("{name}.weight")));
        linear(x, weight, self.parameters.find(&self.name(&format!("{name}.bias"))))
    }

    /// A projection to queries or keys, normed by head where the family does, and rotated.
    fn heads(
        &self,
        name: &str,
        norm: Option<&str>,
        x: &Tensor,
        n_heads: usize,
        rotation: &Rotation,
    ) -> Result<Tensor> {
        let mut heads = self.project(name, x)?;
        if let Some(norm) = norm {
            let by_head = heads.reshape(((), self.parameters.config().head_dim))?;
            heads = self.norm(norm, &by_head)?.reshape(heads.shape())?;
        }
        rotation.apply(&heads, n_heads)
    }

    fn forward(&self, stream: &Tensor, seen: &Seen) -> Result<Tensor> {
        let (config, Seen { rotation, paths }) = (self.parameters.config(), seen);
        let [q_norm, k_norm] = self.norms.heads.map_or([None, None], |names| names.map(Some));
        let [attention_norm, feed_forward_norm] =
            self.norms.post.map_or([None, None], |names| names.map(Some));
        let normed = self.norm(NormNames::INPUT, stream)?;
        let q = self.heads("self_attn.q_proj", q_norm, &normed, config.n_heads, rotation)?;
        let k = self.heads("self_attn.k_proj", k_norm, &normed, config.n_kv_heads, rotation)?;
        let v = self.project("self_attn.v_proj", &normed)?;
        let attended = paths.attend(config.attention_shape(self.layer_idx), &q, &k, &v)?;
        let stream = self.join(stream, "self_attn.o_proj", attention_norm, &attended)?;
        let normed = self.norm(self.norms.feed_forward, &stream)?;
        let gate = activate(config.variant.activation, &self.project("mlp.gate_proj", &normed)?)?;
        let inner = (gate * self.project("mlp.up_proj", &normed)?)?;
        self.join(&stream, "mlp.down_proj", feed_forward_norm, &inner)
    }

    /// What a part of the layer gives, on the stream, through a norm where there is one.
    fn join(&self, stream: &Tensor, name: &str, norm: Option<&str>, x: &Tensor) -> Result<Tensor> {
        let given = self.project(name, x)?;
        match norm {
            Some(norm) => stream + self.norm(norm, &given)?,
            None => stream + given,
        }
    }
}
