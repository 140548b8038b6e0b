use super::*;
use crate::config::Architecture;
use crate::config::tests::tiny;
use crate::sources::safetensors_file::write_weights;
use crate::sources::testing::{TEMPLATE, bits, random_weight, random_weights, renderer};
use crate::sources::{read_arrays, write_hf_folder};
use crate::weight::Weight;
use critic_types::atomic_file;
use serde_json::{Value, json};
use tempfile::TempDir;

fn written() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = tiny(Architecture::Llama);
    write_hf_folder(folder.path(), &config, &random_weights(&config), None, &renderer()).unwrap();
    folder
}

fn put(folder: &TempDir, file: &str, text: &str) {
    atomic_file::write(&folder.path().join(file), text.as_bytes()).unwrap();
}

fn edit(folder: &TempDir, file: &str, change: impl FnOnce(&mut Value)) {
    let mut value: Value =
        serde_json::from_slice(&fs::read(folder.path().join(file)).unwrap()).unwrap();
    change(&mut value);
    put(folder, file, &value.to_string());
}

fn message(folder: &TempDir) -> String {
    load_folder(folder.path()).unwrap_err().to_string()
}

#[test]
fn shards_are_joined() {
    let folder = written();
    let whole = load_folder(folder.path()).unwrap();
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let mut map = serde_json::Map::new();
    for (i, file) in ["model-1.safetensors", "model-2.safetensors"].into_iter().enumerate() {
        let part: BTreeMap<&str, &Weight> =
            whole.weights.iter().skip(i).step_by(2).map(|(name, w)| (name.as_str(), w)).collect();
        map.extend(part.keys().map(|name| (String::from(*name), json!(file))));
        safetensors_file::write_weights(&folder.path().join(file), &part).unwrap();
    }
    put(&folder, INDEX, &json!({"metadata": {}, "weight_map": map}).to_string());
    let sharded = load_folder(folder.path()).unwrap();
    assert!(
        whole.weights.iter().all(|(name, tensor)| bits(tensor) == bits(&sharded.weights[name]))
    );
    assert_ne!(sharded.identity.digest, whole.identity.digest);
    fs::remove_file(folder.path().join("model-2.safetensors")).unwrap();
    assert!(message(&folder).contains("has no model-2.safetensors"));
}

/// The arrays of a folder's weights.
fn arrays(folder: &TempDir) -> BTreeMap<String, Weight> {
    let mut arrays = BTreeMap::new();
    read_arrays(&folder.path().join("model.safetensors"), &mut arrays).unwrap();
    arrays
}

fn put_arrays(folder: &TempDir, file: &str, arrays: &BTreeMap<String, Weight>) {
    let arrays: BTreeMap<&str, &Weight> =
        arrays.iter().map(|(name, weight)| (name.as_str(), weight)).collect();
    write_weights(&folder.path().join(file), &arrays).unwrap();
}

fn value_head() -> BTreeMap<String, Weight> {
    let names = [("v_head.summary.weight", vec![1, 12]), ("v_head.summary.bias", vec![1])];
    names.map(|(name, shape)| (name.to_owned(), random_weight(name, &shape))).into()
}

#[test]
fn a_value_head_is_read_in_the_weights_and_beside_them() {
    let (inside, beside) = (written(), written());
    let mut whole = arrays(&inside);
    whole.extend(value_head());
    put_arrays(&inside, "model.safetensors", &whole);
    put_arrays(&beside, VALUE_HEAD, &value_head());
    let models = [&inside, &beside].map(|folder| load_folder(folder.path()).unwrap());
    let head = models[0].reward_head.clone().unwrap();
    assert_eq!(models[1].reward_head.as_ref(), Some(&head));
    assert_eq!(models[0].weights, models[1].weights);
    let plain = load_folder(written().path()).unwrap();
    assert_ne!(models[1].identity.digest, plain.identity.digest);
    // What is written of it is read again.
    let again = tempfile::tempdir().unwrap();
    let model = &models[1];
    write_hf_folder(again.path(), &model.config, &model.weights, Some(&head), &model.renderer)
        .unwrap();
    assert_eq!(load_folder(again.path()).unwrap().reward_head, Some(head));
    // In both places it is there twice.
    put_arrays(&inside, VALUE_HEAD, &value_head());
    assert!(message(&inside).contains("v_head.summary"));
    // And not two different ones.
    whole.retain(|name, _| !name.starts_with("v_head"));
    whole.insert("score.weight".to_owned(), random_weight("score", &[1, 12]));
    put_arrays(&inside, "model.safetensors", &whole);
    let message = message(&inside);
    assert!(message.contains("2 reward heads") && message.contains("score.weight"), "{message}");
}

#[test]
fn a_checkpoint_of_cloud_is_read_with_the_configuration_of_its_base() {
    let (base, folder) = (written(), written());
    let mut renamed: BTreeMap<String, Weight> = arrays(&folder)
        .into_iter()
        .map(|(name, weight)| (format!("reward_base_model.{name}"), weight))
        .collect();
    for (name, shape) in [
        ("dense.weight", vec![12, 12]),
        ("dense.bias", vec![12]),
        ("out_proj.weight", vec![1, 12]),
        ("out_proj.bias", vec![1]),
    ] {
        renamed.insert(format!("reward_head.{name}"), random_weight(name, &shape));
    }
    put_arrays(&folder, "model.safetensors", &renamed);
    let config = |base: &str| {
        let config = json!({"architectures": ["CLoudRewardModel"], "feedback_method": "teacher",
            "base_model_name_or_path": base});
        put(&folder, "config.json", &config.to_string());
    };
    config("org/base");
    let message = message(&folder);
    assert!(message.contains("org/base") && message.contains("config.json"), "{message}");
    config(&base.path().display().to_string());
    let model = load_folder(folder.path()).unwrap();
    let plain = load_folder(base.path()).unwrap();
    assert_eq!((model.config, model.weights), (plain.config, plain.weights));
    assert_eq!(model.reward_head.unwrap().layout().kind, "CLoud");
}

#[test]
fn a_head_that_is_not_known_is_refused_with_those_that_are() {
    let folder = written();
    let mut whole = arrays(&folder);
    whole.insert("value_head.weight".to_owned(), random_weight("", &[1, 12]));
    put_arrays(&folder, "model.safetensors", &whole);
    let message = message(&folder);
    for part in ["unknown: value_head.weight", "score.weight", "v_head.summary.weight"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn an_index_cannot_lead_out_of_its_folder() {
    for shard in ["../secret", "/etc/passwd", "a/b", "", ".."] {
        let index = json!({"weight_map": {"w": shard}}).to_string();
        assert!(shards(index.as_bytes()).unwrap_err().contains("not a file name"), "{shard}");
    }
    assert!(shards(b"{\"weight_map\": {}}").is_err());
    assert!(shards(b"{}").is_err());
}

#[test]
fn each_missing_file_is_named() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let folder = written();
        fs::remove_file(folder.path().join(file)).unwrap();
        assert!(message(&folder).contains(&format!("has no {file}")), "{}", message(&folder));
    }
    let error = load_folder(Path::new("no-such-folder")).unwrap_err();
    assert!(matches!(error, ModelError::NoSuchPath { .. }));
}

#[test]
fn broken_files_are_errors_that_name_them() {
    for (file, text) in [
        ("config.json", "{"),
        ("tokenizer.json", "{}"),
        ("tokenizer_config.json", "{"),
        ("chat_template.json", "{"),
    ] {
        let folder = written();
        put(&folder, file, text);
        assert!(message(&folder).contains(file), "{}", message(&folder));
    }
    let folder = written();
    let path = folder.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    atomic_file::write(&path, &bytes[..bytes.len() - 7]).unwrap();
    assert!(message(&folder).contains("its header promises"));
}

#[test]
fn weights_of_another_architecture_are_refused() {
    let folder = written();
    edit(&folder, "config.json", |config| config["intermediate_size"] = json!(24));
    let message = message(&folder);
    assert!(
        message.contains("model.layers.0.mlp.up_proj.weight [20, 12], expected [24, 12]"),
        "{message}"
    );
}

#[test]
fn the_chat_template_is_found_wherever_it_stands() {
    let folder = written();
    let template = |text: &str| format!("{text}{TEMPLATE}");
    let source = |folder: &TempDir| {
        load_folder(folder.path()).unwrap().renderer.template().source().to_owned()
    };
    assert_eq!(source(&folder), TEMPLATE);
    let named = json!([{"name": "tool_use", "template": "x"}, {"name": "default", "template": template("list")}]);
    edit(&folder, "tokenizer_config.json", |config| config["chat_template"] = named);
    assert_eq!(source(&folder), template("list"));
    put(&folder, "chat_template.json", &json!({"chat_template": template("json")}).to_string());
    assert_eq!(source(&folder), template("json"));
    put(&folder, "chat_template.jinja", &template("jinja"));
    assert_eq!(source(&folder), template("jinja"));
}

#[test]
fn a_model_without_a_template_is_refused() {
    let folder = written();
    edit(&folder, "tokenizer_config.json", |config| config["chat_template"] = Value::Null);
    assert!(message(&folder).contains("no chat template"));
}

#[test]
fn a_turn_ends_with_the_marker_of_the_template_or_with_eos() {
    let folder = written();
    let end = |folder: &TempDir| load_folder(folder.path()).unwrap().renderer.end_of_turn();
    assert_eq!(end(&folder), 2);
    let plain = "{% for m in messages %}{{ m['content'] }}{{ eos_token }}{% endfor %}";
    edit(&folder, "tokenizer_config.json", |config| {
        config["chat_template"] = json!(plain);
        config["eos_token"] = json!({"content": "no", "special": true});
    });
    assert_eq!(end(&folder), 8);
    edit(&folder, "tokenizer_config.json", |config| config["eos_token"] = Value::Null);
    edit(&folder, "config.json", |config| config["eos_token_id"] = json!([7, 8]));
    assert_eq!(end(&folder), 7);
    put(&folder, "generation_config.json", r#"{"eos_token_id": 6}"#);
    assert_eq!(end(&folder), 6);
    put(&folder, "generation_config.json", r#"{"eos_token_id": 99}"#);
    assert!(message(&folder).contains("ends a turn"));
}

#[test]
fn bos_begins_a_sequence_only_where_the_tokenizer_says_so() {
    let folder = written();
    assert_eq!(load_folder(folder.path()).unwrap().renderer.bos(), None);
    edit(&folder, "tokenizer_config.json", |config| config["add_bos_token"] = json!(true));
    assert_eq!(load_folder(folder.path()).unwrap().renderer.bos(), Some(0));
}

#[test]
fn matrices_of_halves_stay_halves() {
    let folder = written();
    let halves: BTreeMap<String, (Vec<usize>, Vec<half::bf16>)> = arrays(&folder)
        .into_iter()
        .map(|(name, weight)| {
            let values = weight.values().iter().map(|&x| half::bf16::from_f32(x)).collect();
            (name, (weight.shape().to_vec(), values))
        })
        .collect();
    let bytes: BTreeMap<&str, (Vec<usize>, Vec<u8>)> = halves
        .iter()
        .map(|(name, (shape, values))| {
            let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            (name.as_str(), (shape.clone(), bytes))
        })
        .collect();
    let views = bytes.iter().map(|(&name, (shape, bytes))| {
        let dtype = safetensors::Dtype::BF16;
        (name, safetensors::tensor::TensorView::new(dtype, shape.clone(), bytes).unwrap())
    });
    let file = safetensors::serialize(views, None).unwrap();
    atomic_file::write(&folder.path().join("model.safetensors"), &file).unwrap();
    let model = load_folder(folder.path()).unwrap();
    for (name, (shape, values)) in &halves {
        let weight = &model.weights[name];
        assert_eq!(weight.blocks().is_some(), shape.len() == 2, "{name}");
        assert!(weight.values().iter().zip(values).all(|(x, y)| *x == y.to_f32()), "{name}");
    }
}
