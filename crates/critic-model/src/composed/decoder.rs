use super::attention::{KEYS_OF_A_BLOCK, Paths};
use super::operations::{Rotation, linear, rms_norm};
use super::parameters::Parameters;
use crate::backprop::Batch;
use crate::error::ModelError;
use candle_core::{Result, Tensor};

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
    let (frequencies, context) = (config.inverse_frequencies(), config.context_length);
    let rotation = Rotation::new(&frequencies, context, batch.positions, device)?;
    let paths = Paths::new(batch.runs, n, KEYS_OF_A_BLOCK, device)?;
    let tokens = Tensor::from_slice(batch.tokens, n, device)?;
    let read: Vec<u32> = batch.read.iter().map(|&row| row as u32).collect();
    let read = Tensor::from_slice(&read, read.len(), device)?;

    let mut stream = parameters.get("model.embed_tokens.weight").index_select(&tokens, 0)?;
    for layer_idx in 0..config.n_layers {
        stream = Layer { parameters, layer_idx }.forward(&stream, &rotation, &paths)?;
    }
    let norm = parameters.get("model.norm.weight");
    Ok(rms_norm(&stream.index_select(&read, 0)?, norm, config.rms_norm_eps)?)
}

/// A layer with its place among the parameters.
#[derive(Clone, Copy)]
struct Layer<'a> {
    parameters: &'a Parameters,
    layer_idx: usize,
}

impl Layer<'_> {
    fn name(&self, name: &str) -> String {
        format!("model.layers.{}.{name}", self.layer_idx)
    }

    fn norm(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let eps = self.parameters.config().rms_norm_eps;
        rms_norm(x, self.parameters.get(&self.name(&format!("{name}.weight"))), eps)
    }

    fn project(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let weight = self.parameters.get(&self.name(&format!("{name}.weight")));
        linear(x, weight, self.parameters.find(&self.name(&format!("{name}.bias"))))
    }

    fn forward(&self, stream: &Tensor, rotation: &Rotation, paths: &Paths) -> Result<Tensor> {
        let config = self.parameters.config();
        let normed = self.norm("input_layernorm", stream)?;
        let q = rotation.apply(&self.project("self_attn.q_proj", &normed)?, config.n_heads)?;
        let k = rotation.apply(&self.project("self_attn.k_proj", &normed)?, config.n_kv_heads)?;
        let v = self.project("self_attn.v_proj", &normed)?;
        let attended = paths.attend(config.attention_shape(), &q, &k, &v)?;
        let stream = (stream + self.project("self_attn.o_proj", &attended)?)?;
        let normed = self.norm("post_attention_layernorm", &stream)?;
        let gate = self.project("mlp.gate_proj", &normed)?.silu()?;
        let inner = (gate * self.project("mlp.up_proj", &normed)?)?;
        stream + self.project("mlp.down_proj", &inner)?
    }
}
