//! Reward heads of other shapes than the linear one, drawn here or made elsewhere.

use super::*;
use critic_model::sources::{read_arrays, write_arrays};
use critic_model::{RewardHead, Weight};
use std::collections::BTreeMap;

pub(super) const MLP: &str = "train.reward_head={kind=\"mlp\", hidden=16}";

fn arrays(path: &Path) -> BTreeMap<String, Weight> {
    let mut arrays = BTreeMap::new();
    read_arrays(path, &mut arrays).unwrap();
    arrays
}

/// The tiny model with these tensors in `file`, where others may stand already.
fn model_with(folder: &Path, file: &str, tensors: &BTreeMap<String, Weight>) {
    std::fs::create_dir_all(folder).unwrap();
    for entry in std::fs::read_dir(root("reference/golden/tiny_llama")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let path = folder.join(file);
    let mut all = if path.exists() { arrays(&path) } else { BTreeMap::new() };
    all.extend(tensors.clone());
    let values: BTreeMap<&str, _> =
        all.iter().map(|(name, weight)| (name.as_str(), weight.values())).collect();
    let all: BTreeMap<&str, (&[usize], &[f32])> =
        values.iter().map(|(&name, values)| (name, (all[name].shape(), &**values))).collect();
    write_arrays(&path, &all).unwrap();
}

fn score(model: &Path) -> Command {
    let mut command = critic_rm(&["score"]);
    command.arg(root("examples/eval.jsonl")).arg("--model").arg(model).args(["-m", "0"]);
    command
}

/// The rewards without critique of the held-out examples.
fn rewards(model: &Path) -> Vec<f64> {
    let lines = String::from_utf8(succeeds(score(model)).stdout).unwrap();
    let row = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let rewards = lines.lines().flat_map(|line| row(line)["rewards"].as_array().unwrap().clone());
    rewards.map(|reward| reward["reward"].as_f64().unwrap()).collect()
}

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64]) {
    assert!(!expected.is_empty() && found.len() == expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
    }
}

#[test]
fn a_head_of_two_layers_is_trained_described_exported_and_scored_with() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let extra = ["--set", MLP, "--set", "methods=[\"scalar\"]"];
    succeeds(run("run", &out, &extra));
    let trained = out.join("checkpoints/scalar");
    let weights = arrays(&trained.join("model.safetensors"));
    for (name, shape) in [
        ("score.0.weight", vec![16, 32]),
        ("score.0.bias", vec![16]),
        ("score.2.weight", vec![1, 16]),
    ] {
        assert_eq!(weights[name].shape(), shape);
    }
    let read = |file: &str| std::fs::read_to_string(trained.join(file)).unwrap();
    for part in
        ["torch.nn.Sequential(torch.nn.Linear(32, 16), torch.nn.SiLU()", "| reward head | mlp:"]
    {
        assert!(read("README.md").contains(part), "{part} is not in {}", read("README.md"));
    }
    let noted: serde_json::Value = serde_json::from_str(&read("training.json")).unwrap();
    assert_eq!(noted["reward_head"]["kind"], "mlp");
    let mut info = critic_rm(&["model", "info"]);
    info.arg(&trained);
    let info = String::from_utf8(succeeds(info).stdout).unwrap();
    assert!(info.contains("mlp: score.0.weight [16, 32]"), "{info}");

    let expected = rewards(&trained);
    for name in ["exported.gguf", "exported"] {
        let exported = folder.path().join(name);
        let mut export = critic_rm(&["model", "export"]);
        export.arg(&trained).arg(&exported);
        let format: &[&str] = if name == "exported" { &[] } else { &["--format", "f32"] };
        export.args(format);
        let said = String::from_utf8(succeeds(export).stderr).unwrap();
        assert_eq!(said.contains("without critiques"), name == "exported.gguf", "{said}");
        assert_near(&rewards(&exported), &expected);
    }
    let copied = std::fs::read_to_string(folder.path().join("exported/training.json")).unwrap();
    assert_eq!(copied, read("training.json"));
    // Left alone, the setting draws the linear head; a width of nothing is refused.
    succeeds(run("run", &out, &["--set", "methods=[\"scalar\"]"]));
    assert!(arrays(&trained.join("model.safetensors")).contains_key("score.weight"));
    let nothing = ["--set", "train.reward_head={kind=\"mlp\", hidden=0}"];
    fails(run("run", &out, &nothing), 2, &["train.reward_head.hidden is 0", "at least 1"]);
}

#[test]
fn a_reward_model_made_elsewhere_scores_and_training_goes_on_from_its_head() {
    let folder = tempfile::tempdir().unwrap();
    let [linear, valued] = ["linear", "valued"].map(|name| folder.path().join(name));
    let drawn = RewardHead::random_linear(32, &SeedTree::new(5)).tensors()["score.weight"].clone();
    let named = |name: &str, weight: Weight| (name.to_owned(), weight);
    let bias = Weight::new([1], vec![0.75]).unwrap();
    model_with(&linear, "model.safetensors", &[named("score.weight", drawn.clone())].into());
    let head =
        [named("v_head.summary.weight", drawn.clone()), named("v_head.summary.bias", bias.clone())];
    model_with(&valued, "value_head.safetensors", &head.into());
    let shifted: Vec<f64> = rewards(&linear).iter().map(|reward| reward + 0.75).collect();
    assert_near(&rewards(&valued), &shifted);

    let out = folder.path().join("run");
    let extra = ["--model", valued.to_str().unwrap(), "--set", "methods=[\"scalar\"]"];
    let said = String::from_utf8(succeeds(run("train", &out, &extra)).stderr).unwrap();
    assert!(said.contains("v_head.summary.weight [1, 32]") && said.contains("goes on"), "{said}");
    let trained = arrays(&out.join("checkpoints/scalar/model.safetensors"));
    assert_eq!(trained["v_head.summary.bias"], bias);
    assert_ne!(trained["v_head.summary.weight"], drawn);
    assert!(!trained.contains_key("score.weight"));
    assert_eq!(rewards(&out.join("checkpoints/scalar")).len(), shifted.len());
    let other = [&extra[..], &["--set", MLP]].concat();
    let words = ["train.reward_head", "mlp of 16 features", "v_head.summary.weight"];
    fails(run("train", &out, &other), 2, &words);

    model_with(&valued, "model.safetensors", &[named("score.weight", drawn)].into());
    fails(score(&valued), 5, &["2 reward heads", "score.weight", "v_head.summary.weight"]);
}
