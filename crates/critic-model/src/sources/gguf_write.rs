//! A model as a GGUF file.

mod check;
mod metadata;
#[cfg(test)]
mod tests;

use super::{LoadedModel, fused, gguf_names, weights};
use crate::config::{Architecture, DecoderConfig};
use crate::error::ModelError;
use crate::weight::Weight;
use candle_core::quantized::{GgmlDType, QTensor, gguf_file};
use candle_core::{Device, Tensor};
use critic_types::atomic_file;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// How the matrices of a GGUF file hold their numbers; norms and biases are always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GgufFormat {
    /// Exactly.
    F32,
    /// Half precision.
    F16,
    /// Brain floats.
    Bf16,
    /// Blocks of 32 numbers of 8 bits; matrices whose rows are not whole blocks are in half precision.
    Q8_0,
}

impl GgufFormat {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Bf16, Self::Q8_0];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8_0",
        }
    }

    /// How a tensor of this shape is held.
    fn dtype(self, shape: &[usize]) -> GgmlDType {
        let n_in = shape.last().copied().unwrap_or(1);
        match self {
            _ if shape.len() < 2 => GgmlDType::F32,
            Self::F32 => GgmlDType::F32,
            Self::Bf16 => GgmlDType::BF16,
            Self::Q8_0 if n_in.is_multiple_of(GgmlDType::Q8_0.block_size()) => GgmlDType::Q8_0,
            Self::F16 | Self::Q8_0 => GgmlDType::F16,
        }
    }

    /// llama.cpp's `llama_ftype`.
    fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 7,
            Self::Bf16 => 32,
        }
    }
}

/// Writes a model as a GGUF file that llama.cpp and [`load_gguf`](super::load_gguf) read, as llama.cpp's
/// `convert_hf_to_gguf.py` writes it.
///
/// What reading undoes is done here: the rows of Llama's query and key projections are put into
/// the order of llama.cpp's rotary embedding, and one is added to the weights of Gemma's norms.
/// llama.cpp has no place for a reward head beside an LM head; a head stands in the metadata, which
/// llama.cpp passes over and [`load_gguf`](super::load_gguf) reads.
///
/// # Errors
/// [`ModelError::NotForGguf`] when the file would stand for another model: a configuration, tokenizer or
/// template that llama.cpp does not have, or numbers beyond the format's range; [`ModelError::Write`] when
/// the file cannot be written.
pub fn write_gguf(path: &Path, model: &LoadedModel, format: GgufFormat) -> Result<(), ModelError> {
    let config = &model.config;
    let metadata = metadata::metadata(path, model, format.file_type())?;
    let from_tensors = metadata::from_tensors(config);
    check::same_model(path, model, &metadata, &from_tensors)?;
    let fused = fused::fuse(config, &model.weights)?;
    weights::check_shapes(path, config, fused.iter().map(|(name, w)| (name.as_str(), w.shape())))?;
    let quantised = fused.par_iter().map(|(name, weight)| {
        let gguf_name = gguf_names::gguf_name(config.architecture, name)
            .ok_or_else(|| ModelError::UnknownWeight { name: name.clone() })?;
        let values = as_llama_cpp(config, name, weight);
        Ok((gguf_name, quantised(name, weight.shape(), values, format)?))
    });
    let mut tensors: BTreeMap<String, QTensor> = quantised.collect::<Result<_, ModelError>>()?;
    let mut put = |name: &str, values: Option<Vec<f32>>| -> Result<(), ModelError> {
        let Some(values) = values else { return Ok(()) };
        tensors.insert(name.to_owned(), quantised_row(name, values)?);
        Ok(())
    };
    let (short, long) = from_tensors.long_rope_divisors.unzip();
    put("rope_freqs.weight", from_tensors.rope_divisors)?;
    put("rope_factors_short.weight", short)?;
    put("rope_factors_long.weight", long)?;

    let mut keys: Vec<_> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    // llama.cpp's tools want the architecture first.
    keys.sort_by_key(|(key, _)| (*key != "general.architecture", *key));
    let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    atomic_file::write_with(path, |out| {
        let mut out = Forward { out, at: 0 };
        gguf_file::write(&mut out, &keys, &tensors).map_err(io::Error::other)
    })?;
    Ok(())
}

/// The numbers of a weight in the order and with the offset of llama.cpp's files.
fn as_llama_cpp(config: &DecoderConfig, name: &str, weight: &Weight) -> Vec<f32> {
    let values = weight.values();
    let is_llama = matches!(config.architecture, Architecture::Llama | Architecture::Mistral);
    if is_llama && name.contains(".q_proj.") {
        permuted(&values, weight.shape()[0], config.n_heads)
    } else if is_llama && name.contains(".k_proj.") {
        permuted(&values, weight.shape()[0], config.n_kv_heads)
    } else if config.variant.unit_offset_norms && name.ends_with("norm.weight") {
        values.iter().map(|x| x + 1.0).collect()
    } else {
        values.into_owned()
    }
}

/// Rows `(head, part, pair)` to `(head, pair, part)`: `permute` in llama.cpp's `convert_hf_to_gguf.py`.
fn permuted(values: &[f32], n_rows: usize, n_heads: usize) -> Vec<f32> {
    let (half, width) = (n_rows / n_heads / 2, values.len() / n_rows);
    let mut rows = Vec::with_capacity(values.len());
    for (head, pair, part) in (0..n_heads)
        .flat_map(|head| (0..half).flat_map(move |pair| (0..2).map(move |part| (head, pair, part))))
    {
        let row = (head * 2 + part) * half + pair;
        rows.extend_from_slice(&values[row * width..][..width]);
    }
    rows
}

fn quantised(
    name: &str,
    shape: &[usize],
    values: Vec<f32>,
    format: GgufFormat,
) -> Result<QTensor, ModelError> {
    let dtype = format.dtype(shape);
    let largest = values.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    // Scales of blocks are in half precision too.
    let limit = match dtype {
        GgmlDType::F16 => f32::from(half::f16::MAX),
        GgmlDType::Q8_0 => 127.0 * f32::from(half::f16::MAX),
        _ => f32::MAX,
    };
    if !values.iter().all(|x| x.is_finite()) || largest > limit {
        let reason = format!("{name} has numbers up to {largest:e}, {dtype:?} holds {limit:e}");
        return Err(ModelError::NotForGguf { reason });
    }
    Ok(QTensor::quantize(&Tensor::from_vec(values, shape, &Device::Cpu)?, dtype)?)
}

fn quantised_row(name: &str, values: Vec<f32>) -> Result<QTensor, ModelError> {
    quantised(name, &[values.len()], values, GgufFormat::F32)
}

/// A file that is written from its beginning to its end and knows where it is.
struct Forward<'a> {
    out: &'a mut dyn Write,
    at: u64,
}

impl Write for Forward<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.at += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Seek for Forward<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match to {
            SeekFrom::Current(0) => Ok(self.at),
            _ => Err(io::Error::from(io::ErrorKind::Unsupported)),
        }
    }
}
