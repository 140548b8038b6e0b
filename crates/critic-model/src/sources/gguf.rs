use super::conversation_files::{renderer, text_error};
use super::digest::{model_digest, sha256};
use super::gguf_config::FromTensors;
use super::gguf_metadata::Metadata;
use super::gguf_names::hugging_face_name;
use super::{LoadedModel, ModelIdentity, weights};
use crate::config::{Architecture, DecoderConfig};
use crate::error::ModelError;
use crate::matrix::WeightFormat;
use crate::weight::Weight;
use candle_core::Device;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Content;
use critic_kernels::KernelError;
use critic_kernels::quantized::{self, Format};
use critic_text::{ChatTemplate, Renderer, TextError, Tokenizer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Loads a GGUF file; matrices stay in the file's own blocks where the kernels multiply such blocks (Q4_0,
/// Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K, F16, BF16), others become f32.
///
/// llama.cpp stores the rows of Llama's query and key projections in the order of its interleaved rotary
/// embedding, and the weights of Gemma's norms with the one added that they are an offset from; they come
/// back as transformers has them.
/// A reward head stands in the metadata ([`write_gguf`](super::write_gguf)).
/// A turn ends with the EOS of the metadata, or with `<|im_end|>`, `<|eot_id|>`, `<end_of_turn>` or
/// `<|end|>` where the template writes that and the vocabulary has it.
///
/// # Errors
/// [`ModelError`] when the file is torn, not GGUF, of another version or architecture, without a chat
/// template, or its weights are not those of its architecture.
pub fn load_gguf(path: &Path) -> Result<LoadedModel, ModelError> {
    load_gguf_as(path, WeightFormat::Source)
}

/// As [`load_gguf`], each matrix in the form in which a decoder of this format holds it.
pub(crate) fn load_gguf_as(path: &Path, format: WeightFormat) -> Result<LoadedModel, ModelError> {
    let mut reader = open(path)?;
    let content = content(path, &mut reader)?;
    let metadata = Metadata(&content.metadata);
    let about = from_tensors(path, &content, &mut reader)?;
    let config = metadata.config(&about).map_err(|error| error.in_file(path))?;
    let renderer = read_renderer(path, &metadata, &config)?;
    let (sum, weights) =
        rayon::join(|| sha256(path), || read_weights(path, &config, &content, &mut reader, format));
    let mut weights = weights?;
    weights.extend(metadata.reward_head(config.d_model).map_err(|error| error.in_file(path))?);
    let (weights, reward_head) = weights::check(path, &config, weights)?;
    let name = path
        .file_stem()
        .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    let identity = ModelIdentity {
        name,
        source: format!("file {}", path.display()),
        digest: model_digest([sum?.as_str()]),
        license: metadata.text("general.license").map(str::to_owned),
    };
    Ok(LoadedModel { config, weights, reward_head, renderer, identity })
}

/// Opens the file and checks its first eight bytes: `GGUF` and the version.
fn open(path: &Path) -> Result<BufReader<File>, ModelError> {
    let io = |source| ModelError::Read { path: path.to_owned(), source };
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(io)?);
    let mut start = Vec::new();
    (&mut reader).take(8).read_to_end(&mut start).map_err(io)?;
    let Some(version) = start.strip_prefix(b"GGUF").and_then(|rest| rest.first_chunk::<4>()) else {
        let found = String::from_utf8_lossy(&start[..start.len().min(4)]).into_owned();
        return Err(ModelError::NotGguf { path: path.to_owned(), found });
    };
    let version = u32::from_le_bytes(*version);
    if !(2..=3).contains(&version) {
        return Err(ModelError::GgufVersion { path: path.to_owned(), found: version });
    }
    reader.rewind().map_err(io)?;
    Ok(reader)
}

fn content(path: &Path, reader: &mut BufReader<File>) -> Result<Content, ModelError> {
    let torn = |reason: String| ModelError::Gguf { path: path.to_owned(), reason };
    // candle divides by the alignment that the file declares, even by zero.
    match catch_unwind(AssertUnwindSafe(|| Content::read(reader))) {
        Ok(content) => content.map_err(|error| torn(error.to_string())),
        Err(_) => Err(torn("its header is broken".to_owned())),
    }
}

fn from_tensors(
    path: &Path,
    content: &Content,
    reader: &mut BufReader<File>,
) -> Result<FromTensors, ModelError> {
    const EMBEDDING: &str = "token_embd.weight";
    let torn = |reason: String| ModelError::Gguf { path: path.to_owned(), reason };
    let embedding = content
        .tensor_infos
        .get(EMBEDDING)
        .ok_or_else(|| torn(format!("it has no tensor {EMBEDDING}")))?;
    let vocab_size = *embedding
        .shape
        .dims()
        .first()
        .ok_or_else(|| torn(format!("{EMBEDDING} is a single number")))?;
    let mut divisors = |name: &str| match content.tensor_infos.get(name) {
        None => Ok(None),
        Some(info) if info.shape.rank() == 1 && info.shape.dims()[0] <= 1 << 16 => {
            Ok(Some(read_tensor(path, content, reader, name, None)?.into_values()))
        }
        Some(info) => {
            Err(torn(format!("{name} has shape {:?}, expected one row", info.shape.dims())))
        }
    };
    let has = |name: &str| content.tensor_infos.contains_key(name);
    Ok(FromTensors {
        vocab_size,
        tied_embeddings: !has("output.weight"),
        qkv_bias: has("blk.0.attn_q.bias"),
        o_bias: has("blk.0.attn_output.bias"),
        rope_divisors: divisors("rope_freqs.weight")?,
        long_rope_divisors: divisors("rope_factors_short.weight")?
            .zip(divisors("rope_factors_long.weight")?),
    })
}

pub(crate) fn read_renderer(
    path: &Path,
    metadata: &Metadata<'_>,
    config: &DecoderConfig,
) -> Result<Renderer, ModelError> {
    let vocabulary = metadata.vocabulary().map_err(|error| error.in_file(path))?;
    if vocabulary.tokens.len() > config.vocab_size {
        let reason = format!(
            "it has {} tokens, but its embedding has {} rows",
            vocabulary.tokens.len(),
            config.vocab_size
        );
        return Err(ModelError::Gguf { path: path.to_owned(), reason });
    }
    let text = |error: TextError| text_error(path, error);
    let source =
        metadata.text("tokenizer.chat_template").ok_or_else(|| text(TextError::NoChatTemplate))?;
    let token =
        |id: Option<u32>| id.and_then(|id| vocabulary.tokens.get(id as usize)).map(String::as_str);
    let template =
        ChatTemplate::new(source, token(vocabulary.bos_token_id), token(vocabulary.eos_token_id))
            .map_err(text)?;
    let (eos, bos) =
        (vocabulary.eos_token_id, vocabulary.bos_token_id.filter(|_| vocabulary.add_bos));
    renderer(path, Tokenizer::from_gguf(vocabulary).map_err(text)?, template, eos, bos)
}

fn read_weights(
    path: &Path,
    config: &DecoderConfig,
    content: &Content,
    reader: &mut BufReader<File>,
    format: WeightFormat,
) -> Result<BTreeMap<String, Weight>, ModelError> {
    let names: BTreeMap<&str, String> = content
        .tensor_infos
        .keys()
        .filter(|name| !ROPE_TENSORS.contains(&name.as_str()))
        .map(|name| {
            let hf_name = hugging_face_name(config.architecture, name);
            (name.as_str(), hf_name.unwrap_or_else(|| name.clone()))
        })
        .collect();
    // Shapes first: they bound what the file can make us allocate.
    weights::check_shapes(
        path,
        config,
        names
            .iter()
            .map(|(&name, hf_name)| (hf_name.as_str(), content.tensor_infos[name].shape.dims())),
    )?;
    let mut weights = BTreeMap::new();
    for (name, hf_name) in names {
        let n_heads = match config.architecture {
            Architecture::Llama if hf_name.contains(".q_proj.") => Some(config.n_heads),
            Architecture::Llama if hf_name.contains(".k_proj.") => Some(config.n_kv_heads),
            _ => None,
        };
        let mut weight = read_tensor(path, content, reader, name, n_heads)?;
        if config.variant.unit_offset_norms && hf_name.ends_with("norm.weight") {
            let offsets = weight.values().iter().map(|x| x - 1.0).collect();
            weight = Weight::new(weight.shape(), offsets)?;
        }
        let weight = format.hold(&hf_name, weight);
        weights.insert(hf_name, weight);
    }
    Ok(weights)
}

/// Reads a tensor; `n_heads` where its rows are in the order of llama.cpp's rotary embedding.
fn read_tensor(
    path: &Path,
    content: &Content,
    reader: &mut BufReader<File>,
    name: &str,
    n_heads: Option<usize>,
) -> Result<Weight, ModelError> {
    let torn = |error: candle_core::Error| ModelError::Gguf {
        path: path.to_owned(),
        reason: format!("tensor {name}: {error}"),
    };
    let tensor = content.tensor(reader, name, &Device::Cpu).map_err(torn)?;
    let shape = tensor.shape().dims().to_vec();
    if let (&[n_out, n_in], Some(format)) = (&shape[..], kept_as(tensor.dtype())) {
        let mut blocks = tensor.data().map_err(torn)?;
        if let Some(n_heads) = n_heads {
            blocks = Cow::Owned(unpermuted(&blocks, n_out, n_heads));
        }
        match quantized::Weight::from_gguf_blocks(format, n_out, n_in, &blocks) {
            // Numbers beyond the range of half precision are for whoever computes with them.
            Err(KernelError::NonFiniteWeight { .. }) => {}
            blocks => return Ok(Weight::from_blocks(blocks?)),
        }
    }
    let numbers = tensor.dequantize(&Device::Cpu).and_then(|x| x.flatten_all()?.to_vec1::<f32>());
    let mut values = numbers.map_err(torn)?;
    if let (Some(n_heads), Some(&n_rows)) = (n_heads, shape.first()) {
        values = unpermuted(&values, n_rows, n_heads);
    }
    Weight::new(shape, values)
}

/// Tensors that belong to the configuration.
pub(crate) const ROPE_TENSORS: [&str; 3] =
    ["rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight"];

/// The format in which the kernels take a tensor's blocks as they are.
fn kept_as(kind: GgmlDType) -> Option<Format> {
    match kind {
        GgmlDType::Q8_0 => Some(Format::Q8_0),
        GgmlDType::Q4_0 => Some(Format::Q4_0),
        GgmlDType::Q4_1 => Some(Format::Q4_1),
        GgmlDType::Q5_0 => Some(Format::Q5_0),
        GgmlDType::Q5_1 => Some(Format::Q5_1),
        GgmlDType::Q4K => Some(Format::Q4K),
        GgmlDType::Q5K => Some(Format::Q5K),
        GgmlDType::Q6K => Some(Format::Q6K),
        GgmlDType::F16 => Some(Format::F16),
        GgmlDType::BF16 => Some(Format::Bf16),
        _ => None,
    }
}

/// Rows `(head, pair, part)` of llama.cpp back to `(head, part, pair)`: the inverse of `permute` in its
/// `convert_hf_to_gguf.py`. A row is `rows.len() / n_rows` numbers or bytes.
fn unpermuted<T: Clone>(rows: &[T], n_rows: usize, n_heads: usize) -> Vec<T> {
    let (half, width) = (n_rows / n_heads / 2, rows.len() / n_rows);
    let mut back = Vec::with_capacity(rows.len());
    for (head, part, pair) in (0..n_heads)
        .flat_map(|head| (0..2).flat_map(move |part| (0..half).map(move |pair| (head, part, pair))))
    {
        let row = (head * half + pair) * 2 + part;
        back.extend_from_slice(&rows[row * width..][..width]);
    }
    back
}

#[cfg(test)]
mod tests;
