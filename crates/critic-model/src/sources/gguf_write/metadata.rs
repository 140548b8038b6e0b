use crate::config::{Architecture, DecoderConfig, RopeScaling};
use crate::error::ModelError;
use crate::reward_head::RewardHead;
use crate::sources::LoadedModel;
use crate::sources::conversation_files::text_error;
use crate::sources::gguf_config::FromTensors;
use crate::sources::gguf_metadata::reward_head_key;
use candle_core::quantized::gguf_file::Value;
use critic_text::{GgufVocabulary, Renderer};
use std::collections::HashMap;
use std::path::Path;

/// The keys of the file, as llama.cpp's `convert_hf_to_gguf.py` writes them.
pub(super) fn metadata(
    path: &Path,
    model: &LoadedModel,
    file_type: u32,
) -> Result<HashMap<String, Value>, ModelError> {
    let mut metadata = HashMap::from([
        ("general.architecture".to_owned(), text(model.config.architecture.gguf_name())),
        ("general.type".to_owned(), text("model")),
        ("general.name".to_owned(), text(&model.identity.name)),
        ("general.file_type".to_owned(), Value::U32(file_type)),
        ("general.quantization_version".to_owned(), Value::U32(2)),
    ]);
    let license = model.identity.license.as_deref();
    metadata.extend(license.map(|license| ("general.license".to_owned(), text(license))));
    let head = model.reward_head.as_ref().map(RewardHead::tensors).unwrap_or_default();
    metadata.extend(
        head.iter().map(|(name, tensor)| (reward_head_key(name), numbers(&tensor.values()))),
    );
    decoder(&model.config, &mut metadata);
    tokenizer(&model.renderer, model.config.vocab_size, &mut metadata)
        .map_err(|error| text_error(path, error))?;
    Ok(metadata)
}

/// What stands in tensors and decides the configuration.
pub(super) fn from_tensors(config: &DecoderConfig) -> FromTensors {
    let narrow = |divisors: &[f64]| divisors.iter().map(|&divisor| divisor as f32).collect();
    let (rope_divisors, long_rope_divisors) = match &config.rope.scaling {
        Some(RopeScaling::Llama3(scaling)) => {
            let plain = crate::config::RopeConfig { scaling: None, ..config.rope.clone() };
            let plain = plain.inverse_frequencies(config.rotary_dim());
            (Some(plain.into_iter().map(|f| f / scaling.stretch(f)).collect()), None)
        }
        Some(RopeScaling::LongRope(scaling)) => {
            (None, Some((narrow(&scaling.short_factor), narrow(&scaling.long_factor))))
        }
        _ => (None, None),
    };
    FromTensors {
        vocab_size: config.vocab_size,
        tied_embeddings: config.tied_embeddings,
        qkv_bias: config.qkv_bias,
        o_bias: config.variant.o_bias,
        rope_divisors,
        long_rope_divisors,
    }
}

fn decoder(config: &DecoderConfig, metadata: &mut HashMap<String, Value>) {
    let (arch, variant) = (config.architecture.gguf_name(), &config.variant);
    let mut put = |key: &str, value: Value| metadata.insert(format!("{arch}.{key}"), value);
    put("vocab_size", size(config.vocab_size));
    put("block_count", size(config.n_layers));
    put("embedding_length", size(config.d_model));
    put("feed_forward_length", size(config.d_ff));
    put("attention.head_count", size(config.n_heads));
    put("attention.head_count_kv", size(config.n_kv_heads));
    put("attention.key_length", size(config.head_dim));
    put("attention.value_length", size(config.head_dim));
    put("attention.layer_norm_rms_epsilon", Value::F32(config.rms_norm_eps));
    put("rope.dimension_count", size(config.rotary_dim()));
    put("rope.freq_base", Value::F32(config.rope.theta as f32));
    let mut context_length = config.context_length;
    match &config.rope.scaling {
        None => {}
        Some(RopeScaling::Linear { factor }) => {
            put("rope.scaling.type", text("linear"));
            put("rope.scaling.factor", Value::F32(*factor as f32));
        }
        Some(RopeScaling::Llama3(scaling)) => {
            put("rope.scaling.original_context_length", size(scaling.original_context));
        }
        Some(RopeScaling::Yarn(scaling)) => {
            put("rope.scaling.type", text("yarn"));
            put("rope.scaling.factor", Value::F32(scaling.factor as f32));
            put("rope.scaling.original_context_length", size(scaling.original_context));
            put("rope.scaling.yarn_beta_fast", Value::F32(scaling.beta_fast as f32));
            put("rope.scaling.yarn_beta_slow", Value::F32(scaling.beta_slow as f32));
        }
        Some(RopeScaling::LongRope(scaling)) => {
            context_length = scaling.stretched_context;
            put("rope.scaling.original_context_length", size(scaling.original_context));
            put("rope.scaling.attn_factor", Value::F32(scaling.attention_factor as f32));
        }
    }
    put("context_length", size(context_length));
    // Which layers have the window follows from the family in llama.cpp.
    let window = variant.windows.iter().flatten().next();
    if config.architecture.is_gemma() || config.architecture == Architecture::Phi3 {
        put("attention.sliding_window", size(window.copied().unwrap_or(0)));
    }
    if config.architecture == Architecture::Gemma2 {
        put("attn_logit_softcapping", Value::F32(variant.attention_softcap.unwrap_or(0.0)));
        put("final_logit_softcapping", Value::F32(variant.final_softcap.unwrap_or(0.0)));
    } else if let Some(cap) = variant.final_softcap {
        put("final_logit_softcapping", Value::F32(cap));
    }
    if let Some(local) = &variant.rope_local {
        put("rope.freq_base_swa", Value::F32(local.theta as f32));
    }
}

fn tokenizer(
    renderer: &Renderer,
    vocab_size: usize,
    metadata: &mut HashMap<String, Value>,
) -> Result<(), critic_text::TextError> {
    let (tokenizer, template) = (renderer.tokenizer(), renderer.template());
    let vocabulary: GgufVocabulary = tokenizer.to_gguf(vocab_size)?;
    let id = |token: Option<&str>| token.and_then(|token| tokenizer.token_id(token));
    // A template that writes EOS must be given the token that it wrote here.
    let writes_eos = template.source().contains("eos_token");
    let eos = id(template.eos_token()).filter(|_| writes_eos).unwrap_or(renderer.end_of_turn());
    let bos = renderer.bos().or_else(|| id(template.bos_token()));
    let texts = |texts: Vec<String>| Value::Array(texts.into_iter().map(Value::String).collect());
    let mut put = |key: &str, value: Value| metadata.insert(format!("tokenizer.ggml.{key}"), value);
    put("tokens", texts(vocabulary.tokens));
    let types = vocabulary.token_types.into_iter().map(Value::I32);
    put("token_type", Value::Array(types.collect()));
    if vocabulary.model == "llama" {
        put("scores", numbers(&vocabulary.scores));
        put("add_space_prefix", Value::Bool(vocabulary.add_space_prefix));
    } else {
        put("merges", texts(vocabulary.merges));
    }
    for (key, id) in [
        ("bos_token_id", bos),
        ("eos_token_id", Some(eos)),
        ("eot_token_id", Some(renderer.end_of_turn())),
        ("unknown_token_id", vocabulary.unknown_token_id),
    ] {
        if let Some(id) = id {
            put(key, Value::U32(id));
        }
    }
    put("add_bos_token", Value::Bool(renderer.bos().is_some()));
    put("add_eos_token", Value::Bool(false));
    put("model", Value::String(vocabulary.model));
    if let Some(pre) = vocabulary.pre {
        put("pre", Value::String(pre));
    }
    metadata.insert("tokenizer.chat_template".to_owned(), text(template.source()));
    Ok(())
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn size(size: usize) -> Value {
    Value::U32(u32::try_from(size).unwrap_or(u32::MAX))
}

fn numbers(numbers: &[f32]) -> Value {
    Value::Array(numbers.iter().copied().map(Value::F32).collect())
}
