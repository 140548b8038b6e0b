use super::*;
use crate::config::tests::{of_family, tiny};
use crate::config::{Llama3Scaling, LongRopeScaling, RopeScaling, Variant, YarnScaling};
use crate::sources::fused;
use crate::sources::testing::{TEMPLATE, bits, random_weights};
use crate::{Decoder, ForestAttention};
use candle_core::Tensor;
use candle_core::quantized::gguf_file::{Value, write};
use candle_core::quantized::{GgmlDType, QTensor};
use critic_forest::{PairSequences, TrainingForest};
use critic_types::atomic_file;
use std::io::Cursor;
use std::path::PathBuf;

/// What goes into a file.
struct Parts {
    metadata: BTreeMap<String, Value>,
    tensors: BTreeMap<String, Tensor>,
}

/// The file that llama.cpp's converter would write of this model.
fn converted(config: &DecoderConfig, weights: &BTreeMap<String, Weight>) -> Parts {
    let arch = config.architecture.gguf_name();
    let size = |x: usize| Value::U32(x as u32);
    let text = |x: &str| Value::String(x.to_owned());
    let texts = |xs: &[&str]| Value::Array(xs.iter().map(|x| text(x)).collect());
    let mut metadata = BTreeMap::from([
        ("general.architecture".to_owned(), text(arch)),
        ("general.license".to_owned(), text("mit")),
        ("tokenizer.ggml.model".to_owned(), text("gpt2")),
        ("tokenizer.ggml.pre".to_owned(), text("gpt-2")),
        (
            "tokenizer.ggml.tokens".to_owned(),
            texts(&["<|endoftext|>", "<|im_start|>", "<|im_end|>", "a", "b", "ab"]),
        ),
        (
            "tokenizer.ggml.token_type".to_owned(),
            Value::Array([3, 3, 3, 1, 1, 1].map(Value::I32).into()),
        ),
        ("tokenizer.ggml.merges".to_owned(), texts(&["a b"])),
        ("tokenizer.ggml.bos_token_id".to_owned(), size(1)),
        ("tokenizer.ggml.eos_token_id".to_owned(), size(0)),
        ("tokenizer.chat_template".to_owned(), text(TEMPLATE)),
    ]);
    for (key, value) in [
        ("block_count", size(config.n_layers)),
        ("embedding_length", size(config.d_model)),
        ("feed_forward_length", size(config.d_ff)),
        ("context_length", size(config.context_length)),
        ("attention.head_count", size(config.n_heads)),
        ("attention.head_count_kv", size(config.n_kv_heads)),
        ("attention.layer_norm_rms_epsilon", Value::F32(config.rms_norm_eps)),
        ("rope.freq_base", Value::F32(config.rope.theta as f32)),
        ("rope.dimension_count", size(config.rotary_dim())),
        ("attention.key_length", size(config.head_dim)),
        ("attention.value_length", size(config.head_dim)),
    ] {
        metadata.insert(format!("{arch}.{key}"), value);
    }
    let variant = &config.variant;
    if !variant.windows.is_empty() {
        let window = variant.windows.iter().flatten().next().unwrap();
        let slides = variant.windows.iter().map(|window| Value::Bool(window.is_some())).collect();
        for (key, value) in
            [("sliding_window", size(*window)), ("sliding_window_pattern", Value::Array(slides))]
        {
            metadata.insert(format!("{arch}.attention.{key}"), value);
        }
    }
    for (key, cap) in [
        ("attn_logit_softcapping", variant.attention_softcap),
        ("final_logit_softcapping", variant.final_softcap),
    ] {
        metadata.extend(cap.map(|cap| (format!("{arch}.{key}"), Value::F32(cap))));
    }
    let weights = fused::fuse(config, weights).unwrap();
    let tensors = weights.iter().map(|(name, weight)| {
        let is_rotated = config.architecture == Architecture::Llama;
        let is_offset = variant.unit_offset_norms && name.ends_with("norm.weight");
        let tensor = &Tensor::from_slice(&weight.values(), weight.shape(), &Device::Cpu).unwrap();
        let tensor = match name {
            name if is_rotated && name.contains(".q_proj.") => permute(tensor, config.n_heads),
            name if is_rotated && name.contains(".k_proj.") => permute(tensor, config.n_kv_heads),
            _ if is_offset => (tensor + 1.0).unwrap(),
            _ => tensor.clone(),
        };
        (llama_cpp_name(config.architecture, name), tensor)
    });
    Parts { metadata, tensors: tensors.collect() }
}

/// Row `h · d + part · d/2 + pair` moves to `h · d + 2 · pair + part`, written as the index arithmetic.
fn permute(weight: &Tensor, n_heads: usize) -> Tensor {
    let dims = weight.dims();
    let rows = weight.reshape((dims[0], ())).unwrap().to_vec2::<f32>().unwrap();
    let width = rows.len() / n_heads;
    let mut out = rows.clone();
    for (i, row) in rows.into_iter().enumerate() {
        let (head, within) = (i / width, i % width);
        let (part, pair) = (within / (width / 2), within % (width / 2));
        out[head * width + 2 * pair + part] = row;
    }
    Tensor::new(out, &Device::Cpu).unwrap().reshape(dims).unwrap()
}

fn llama_cpp_name(architecture: Architecture, name: &str) -> String {
    let gemma = [
        ("post_attention_layernorm", "post_attention_norm"),
        ("pre_feedforward_layernorm", "ffn_norm"),
        ("post_feedforward_layernorm", "post_ffw_norm"),
    ];
    let gemma = gemma.iter().filter(|_| architecture.is_gemma());
    gemma
        .chain(&[
            ("model.embed_tokens", "token_embd"),
            ("model.norm", "output_norm"),
            ("lm_head", "output"),
            ("model.layers", "blk"),
            ("input_layernorm", "attn_norm"),
            ("post_attention_layernorm", "ffn_norm"),
            ("self_attn.qkv_proj", "attn_qkv"),
            ("self_attn.q_norm", "attn_q_norm"),
            ("self_attn.k_norm", "attn_k_norm"),
            ("mlp.gate_up_proj", "ffn_up"),
            ("self_attn.q_proj", "attn_q"),
            ("self_attn.k_proj", "attn_k"),
            ("self_attn.v_proj", "attn_v"),
            ("self_attn.o_proj", "attn_output"),
            ("mlp.gate_proj", "ffn_gate"),
            ("mlp.up_proj", "ffn_up"),
            ("mlp.down_proj", "ffn_down"),
        ])
        .fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
}

fn bytes(file: &Parts) -> Vec<u8> {
    bytes_as(file, GgmlDType::F32)
}

/// The file with its matrices in blocks of this kind.
fn bytes_as(file: &Parts, kind: GgmlDType) -> Vec<u8> {
    let kind_of = |tensor: &Tensor| if tensor.rank() == 2 { kind } else { GgmlDType::F32 };
    let quantised: Vec<(String, QTensor)> = file
        .tensors
        .iter()
        .map(|(name, tensor)| (name.clone(), QTensor::quantize(tensor, kind_of(tensor)).unwrap()))
        .collect();
    let metadata: Vec<(&str, &Value)> =
        file.metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let tensors: Vec<(&str, &QTensor)> =
        quantised.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let mut out = Cursor::new(Vec::new());
    write(&mut out, &metadata, &tensors).unwrap();
    out.into_inner()
}

fn load_bytes(bytes: &[u8]) -> Result<LoadedModel, ModelError> {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("model.gguf");
    atomic_file::write(&path, bytes).unwrap();
    load_gguf(&path)
}

fn llama() -> Parts {
    let config = tiny(Architecture::Llama);
    converted(&config, &random_weights(&config))
}

/// The message about a Llama file after a change.
fn refusal(change: impl FnOnce(&mut Parts)) -> String {
    let mut file = llama();
    change(&mut file);
    load_bytes(&bytes(&file)).unwrap_err().to_string()
}

#[test]
fn a_converted_model_is_read_back_exactly() {
    let mut untied = tiny(Architecture::Llama);
    untied.tied_embeddings = false;
    let mut biased = tiny(Architecture::Llama);
    (biased.qkv_bias, biased.variant.o_bias) = (true, true);
    let families = Architecture::ALL.map(of_family);
    // llama.cpp's Mistral is a Llama.
    let families = families.into_iter().filter(|it| it.architecture != Architecture::Mistral);
    for config in families.chain([untied, biased]) {
        let weights = random_weights(&config);
        let model = load_bytes(&bytes(&converted(&config, &weights))).unwrap();
        assert_eq!(model.config, config);
        assert!(model.weights.keys().eq(weights.keys()));
        for (name, tensor) in &weights {
            if config.variant.unit_offset_norms && name.ends_with("norm.weight") {
                let (tensor, read) = (tensor.values(), model.weights[name].values());
                let pairs = tensor.iter().zip(&*read);
                assert!(pairs.into_iter().all(|(x, y)| (x - y).abs() < 2e-7), "{name}");
            } else {
                assert_eq!(bits(tensor), bits(&model.weights[name]), "{name}");
            }
        }
        assert_eq!(
            (model.identity.name.as_str(), model.identity.license.as_deref()),
            ("model", Some("mit"))
        );
    }
}

#[test]
fn a_turn_ends_with_what_the_template_writes() {
    let model = load_bytes(&bytes(&llama())).unwrap();
    assert_eq!(model.renderer.end_of_turn(), 2);
    assert_eq!(model.renderer.bos(), None);
    let mut file = llama();
    let template = "{% for m in messages %}{{ m['content'] }}{{ eos_token }}{% endfor %}";
    file.metadata.insert("tokenizer.chat_template".to_owned(), Value::String(template.to_owned()));
    file.metadata.insert("tokenizer.ggml.add_bos_token".to_owned(), Value::Bool(true));
    let model = load_bytes(&bytes(&file)).unwrap();
    assert_eq!((model.renderer.end_of_turn(), model.renderer.bos()), (0, Some(1)));
}

#[test]
fn llama3_rope_factors_become_its_scaling() {
    let mut config = tiny(Architecture::Llama);
    config.rope.theta = 5_000_000.0;
    let plain = config.rope.inverse_frequencies(config.head_dim);
    let scaling = Llama3Scaling {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_context: 8192,
    };
    config.rope.scaling = Some(RopeScaling::Llama3(scaling));
    let stretched = config.rope.inverse_frequencies(config.head_dim);
    let divisors: Vec<f32> = plain.iter().zip(stretched).map(|(p, s)| p / s).collect();
    let mut file = converted(&config, &random_weights(&config));
    file.tensors
        .insert("rope_freqs.weight".to_owned(), Tensor::new(divisors, &Device::Cpu).unwrap());
    assert_eq!(load_bytes(&bytes(&file)).unwrap().config, config);
    file.tensors.insert(
        "rope_freqs.weight".to_owned(),
        Tensor::new(vec![3f32, 2.0], &Device::Cpu).unwrap(),
    );
    assert!(load_bytes(&bytes(&file)).unwrap_err().to_string().contains("rope_freqs.weight"));
}

#[test]
fn linear_yarn_and_long_rope_are_read() {
    let with = |config: &DecoderConfig, keys: &[(&str, Value)], tensors: &[(&str, [f32; 1])]| {
        let mut file = converted(config, &random_weights(config));
        for (key, value) in keys {
            file.metadata.insert((*key).to_owned(), value.clone());
        }
        for (name, values) in tensors {
            let tensor = Tensor::new(values, &Device::Cpu).unwrap();
            file.tensors.insert((*name).to_owned(), tensor);
        }
        load_bytes(&bytes(&file)).map(|model| model.config)
    };
    let kind = |kind: &str| ("llama.rope.scaling.type", Value::String(kind.to_owned()));
    let factor = ("llama.rope.scaling.factor", Value::F32(4.0));
    let llama = tiny(Architecture::Llama);
    let config = with(&llama, &[kind("linear"), factor.clone()], &[]).unwrap();
    assert_eq!(config.rope.scaling, Some(RopeScaling::Linear { factor: 4.0 }));
    let context = ("llama.rope.scaling.original_context_length", Value::U32(16));
    let config = with(&llama, &[kind("yarn"), factor, context], &[]).unwrap();
    let yarn = YarnScaling {
        factor: 4.0,
        original_context: 16,
        beta_fast: 32.0,
        beta_slow: 1.0,
        attention_factor: YarnScaling::default_attention_factor(4.0, None),
        truncate: true,
    };
    assert_eq!(config.rope.scaling, Some(RopeScaling::Yarn(yarn)));
    assert!(
        with(&llama, &[kind("linear")], &[]).unwrap_err().to_string().contains("scaling.factor")
    );
    let phi3 = of_family(Architecture::Phi3);
    let keys = [
        ("phi3.rope.scaling.original_context_length", Value::U32(16)),
        ("phi3.rope.scaling.attn_factor", Value::F32(1.25)),
    ];
    let tensors = [("rope_factors_short.weight", [1.5]), ("rope_factors_long.weight", [3.0])];
    let config = with(&phi3, &keys, &tensors).unwrap();
    let scaling = RopeScaling::LongRope(LongRopeScaling {
        short_factor: vec![1.5],
        long_factor: vec![3.0],
        attention_factor: 1.25,
        original_context: 16,
        stretched_context: 64,
    });
    assert_eq!((config.rope.scaling, config.context_length), (Some(scaling), 16));
}

#[test]
fn layers_with_windows_follow_llama_cpps_pattern_where_the_file_has_none() {
    for (architecture, full) in [(Architecture::Gemma2, 1), (Architecture::Gemma3, 5)] {
        let mut config = of_family(architecture);
        config.n_layers = 6;
        config.variant.windows = (0..6).map(|i| ((i + 1) % (full + 1) != 0).then_some(9)).collect();
        let mut file = converted(&config, &random_weights(&config));
        let key = format!("{}.attention.sliding_window_pattern", architecture.gguf_name());
        assert!(file.metadata.remove(&key).is_some());
        assert_eq!(load_bytes(&bytes(&file)).unwrap().config, config);
    }
    let mut file = {
        let c = of_family(Architecture::Phi3);
        converted(&c, &random_weights(&c))
    };
    file.metadata.insert("phi3.attention.sliding_window".to_owned(), Value::U32(0));
    assert_eq!(load_bytes(&bytes(&file)).unwrap().config.variant.windows, []);
    file.metadata.remove("phi3.attention.sliding_window");
    assert!(load_bytes(&bytes(&file)).unwrap_err().to_string().contains("sliding_window"));
}

#[test]
fn every_kind_of_tensor_holds_the_numbers_of_ggufs_reference() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reference/golden/families");
    let path = folder.join("kinds.gguf");
    let expected: BTreeMap<String, Vec<f32>> =
        serde_json::from_slice(&std::fs::read(folder.join("kinds.json")).unwrap()).unwrap();
    assert_eq!(expected.len(), 11);
    let mut reader = open(&path).unwrap();
    let content = content(&path, &mut reader).unwrap();
    for (kind, expected) in expected {
        let read = read_tensor(&path, &content, &mut reader, &kind, None).unwrap();
        assert_eq!(read.shape(), [1, 256]);
        let scale = expected.iter().fold(0f32, |max, x| max.max(x.abs()));
        for (x, expected) in read.values().iter().zip(&expected) {
            assert!((x - expected).abs() <= 1e-6 * scale, "{kind}: {x} is not {expected}");
        }
    }
}

#[test]
fn what_is_not_gguf_is_called_so() {
    assert!(
        load_bytes(b"PK\x03\x04 and more").unwrap_err().to_string().contains("begins with \"PK")
    );
    assert!(load_bytes(b"").unwrap_err().to_string().contains("begins with \"\""));
    let mut old = bytes(&llama());
    old[4] = 1;
    assert!(load_bytes(&old).unwrap_err().to_string().contains("version 1"));
}

#[test]
fn a_file_cut_short_anywhere_is_an_error() {
    let whole = bytes(&llama());
    // The last tensor is padded, so the cut must go past the padding to matter.
    for length in (0..whole.len() - 32).step_by(whole.len() / 60) {
        let error = load_bytes(&whole[..length]).unwrap_err();
        assert!(
            matches!(error, ModelError::Gguf { .. } | ModelError::NotGguf { .. }),
            "{length}: {error}"
        );
    }
}

#[test]
fn an_alignment_of_zero_is_an_error() {
    let message = refusal(|file| {
        file.metadata.insert("general.alignment".to_owned(), Value::U32(0));
    });
    assert!(message.contains("header is broken"), "{message}");
}

#[test]
fn what_the_metadata_lacks_or_asks_for_is_named() {
    let set = |key: &str, value: Value| {
        let key = key.to_owned();
        refusal(move |file| {
            file.metadata.insert(key, value);
        })
    };
    let without = |key: &str| refusal(|file| assert!(file.metadata.remove(key).is_some()));
    assert!(set("general.architecture", Value::String("mamba".to_owned())).contains("mamba"));
    assert!(set("llama.rope.scaling.type", Value::String("ntk".to_owned())).contains("ntk"));
    assert!(set("llama.rope.scaling.attn_factor", Value::F32(2.0)).contains("attn_factor"));
    assert!(set("llama.attention.sliding_window", Value::U32(16)).contains("sliding_window"));
    assert!(set("llama.rope.dimension_count", Value::U32(2)).contains("rope.dimension_count"));
    assert!(
        set("llama.attention.head_count_kv", Value::Array(vec![Value::U32(1)]))
            .contains("an array of 1")
    );
    assert!(set("llama.block_count", Value::U32(u32::MAX)).contains("4294967295"));
    assert!(without("llama.block_count").contains("llama.block_count"));
    assert!(without("tokenizer.ggml.tokens").contains("tokenizer.ggml.tokens"));
    assert!(without("tokenizer.chat_template").contains("no chat template"));
    assert!(without("general.architecture").contains("general.architecture"));
    let too_many = Value::Array((0..12).map(|i| Value::String(i.to_string())).collect());
    assert!(set("tokenizer.ggml.tokens", too_many).contains("12 tokens"));
}

#[test]
fn a_vocabulary_without_any_end_of_turn_is_refused() {
    let message = refusal(|file| {
        file.metadata.remove("tokenizer.ggml.eos_token_id");
        file.metadata.insert(
            "tokenizer.chat_template".to_owned(),
            Value::String("{{ messages[0]['content'] }}".to_owned()),
        );
    });
    assert!(message.contains("ends a turn"), "{message}");
}

#[test]
fn other_tensors_than_the_architectures_are_named() {
    let zeros =
        |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    let message = refusal(|file| {
        file.tensors.remove("blk.0.attn_k.weight");
        file.tensors.insert("blk.1.ffn_up.weight".to_owned(), zeros(&[20, 8]));
        file.tensors.insert("blk.1.attn_q.bias".to_owned(), zeros(&[12]));
        file.tensors.insert("blk.0.ssm_a".to_owned(), zeros(&[4]));
    });
    for part in [
        "missing: model.layers.0.self_attn.k_proj.weight [4, 12]",
        "model.layers.1.mlp.up_proj.weight [20, 8], expected [20, 12]",
        "model.layers.1.self_attn.q_proj.bias",
        "blk.0.ssm_a",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert!(
        refusal(|file| assert!(file.tensors.remove("token_embd.weight").is_some()))
            .contains("token_embd.weight")
    );
}

#[test]
fn blocks_of_a_file_stand_for_the_numbers_that_candle_reads() {
    let values: Vec<f32> = (0..16 * 256).map(|i| (i as f32 / 7.0).sin()).collect();
    let tensor = Tensor::from_vec(values, (16, 256), &Device::Cpu).unwrap();
    let kinds = [
        (GgmlDType::Q8_0, Some(Format::Q8_0)),
        (GgmlDType::Q4_0, Some(Format::Q4_0)),
        (GgmlDType::Q4_1, Some(Format::Q4_1)),
        (GgmlDType::F16, Some(Format::F16)),
        (GgmlDType::BF16, Some(Format::Bf16)),
        (GgmlDType::Q5_0, Some(Format::Q5_0)),
        (GgmlDType::Q5_1, Some(Format::Q5_1)),
        (GgmlDType::Q4K, Some(Format::Q4K)),
        (GgmlDType::Q5K, Some(Format::Q5K)),
        (GgmlDType::Q6K, Some(Format::Q6K)),
        (GgmlDType::Q3K, None),
        (GgmlDType::F32, None),
    ];
    for (kind, format) in kinds {
        let tensor = QTensor::quantize(&tensor, kind).unwrap();
        let plain = tensor.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap();
        let plain = plain.to_vec1::<f32>().unwrap();
        let mut out = Cursor::new(Vec::new());
        write(&mut out, &[], &[("x", &tensor)]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.gguf");
        atomic_file::write(&path, out.get_ref()).unwrap();
        let mut reader = open(&path).unwrap();
        let content = content(&path, &mut reader).unwrap();
        for n_heads in [None, Some(2)] {
            let read = read_tensor(&path, &content, &mut reader, "x", n_heads).unwrap();
            assert_eq!(read.blocks().map(|blocks| blocks.format()), format, "{kind:?}");
            let expected =
                n_heads.map_or_else(|| plain.clone(), |n_heads| unpermuted(&plain, 16, n_heads));
            assert_eq!(*read.values(), expected, "{kind:?}");
        }
    }
}

#[test]
fn a_decoder_multiplies_the_blocks_of_every_kind_that_a_file_has() {
    let pair = PairSequences {
        responses: [(0..8).collect(), vec![0, 3]],
        read_without_critique: true,
        ..PairSequences::default()
    };
    let forest = TrainingForest::build(&[pair]).unwrap();
    for (architecture, kind) in [
        (Architecture::Llama, GgmlDType::Q5_0),
        (Architecture::Qwen2, GgmlDType::Q5_1),
        (Architecture::Llama, GgmlDType::Q4K),
        (Architecture::Phi3, GgmlDType::Q5K),
        (Architecture::Phi3, GgmlDType::Q6K),
    ] {
        let plain = of_family(architecture);
        let config = DecoderConfig {
            d_model: 256,
            d_ff: 512,
            n_heads: 4,
            n_kv_heads: 2,
            head_dim: 64,
            variant: Variant { rotary_dim: None, ..plain.variant.clone() },
            ..plain
        };
        let file = converted(&config, &random_weights(&config));
        let model = load_bytes(&bytes_as(&file, kind)).unwrap();
        let run = |format| {
            let decoder = Decoder::new(&model.config, &model.weights, format).unwrap();
            let mut attention = ForestAttention::new(&forest);
            let tokens = (&forest.tokens, &forest.positions);
            let states = decoder.hidden(tokens.0, tokens.1, &mut attention).unwrap();
            (states, decoder.kinds())
        };
        let ((blocks, kinds), (exact, _)) = (run(WeightFormat::Source), run(WeightFormat::F32));
        let name = format!("{kind:?}").replace('K', "_K");
        assert!(kinds.keys().eq([name.as_str()].iter()), "{kinds:?}");
        let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| f64::from(x).powi(2)).sum::<f64>();
        let error = norm(&mut blocks.iter().zip(&exact).map(|(x, y)| x - y));
        let size = norm(&mut exact.iter().copied());
        assert!(error > 0.0 && error < 2.5e-3 * size, "{kind:?}: {}", (error / size).sqrt());
    }
}

#[test]
fn quantised_weights_come_back_within_their_step() {
    let row: Vec<f32> = (0..64).map(|i| (i as f32 / 7.0).sin()).collect();
    let tensor = QTensor::quantize(
        &Tensor::from_vec(row.clone(), (2, 32), &Device::Cpu).unwrap(),
        GgmlDType::Q8_0,
    )
    .unwrap();
    let mut out = Cursor::new(Vec::new());
    write(&mut out, &[], &[("x", &tensor)]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gguf");
    atomic_file::write(&path, out.get_ref()).unwrap();
    let mut reader = open(&path).unwrap();
    let content = content(&path, &mut reader).unwrap();
    let read = read_tensor(&path, &content, &mut reader, "x", None).unwrap();
    let read = read.values();
    assert!(row.iter().zip(&*read).all(|(x, y)| (x - y).abs() <= 0.5 / 127.0), "{read:?}");
}

proptest::proptest! {
    #[test]
    fn no_broken_byte_makes_it_panic(at in 0usize..2200, byte: u8) {
        let mut bytes = bytes(&llama());
        bytes[at] = byte;
        // Whatever the byte means, the answer is a model or an error.
        let _ = load_bytes(&bytes);
    }
}
