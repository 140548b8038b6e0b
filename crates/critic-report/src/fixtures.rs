use crate::{
    DataRecord, Fact, FunnelStep, ItemRecord, ModelRecord, RunRecord, ScoreAgreement,
    SettingRecord, SplitRecord, StageRecord, StepPoint, TrainingCurve,
};
use critic_eval::{Accuracy, ContestantResult, DomainResult, PairedComparison};
use critic_stats::{Interval, TieRule};
use critic_types::{
    Conversation, CritiqueReward, FinishReason, Reward, RewardPrediction, ScoreKind,
};
use std::collections::BTreeMap;

/// Texts that try to leave their place.
pub(crate) const HOSTILE: [&str; 7] = [
    "<script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    "\" onmouseover=\"alert(1)\" '",
    "</svg></title></textarea>--><a href=\"https://example.org/\">x</a>",
    "\u{202e}הפוך\u{202d} \u{0}\u{7}\r\n| a | b |\n\n# heading",
    "[link](https://example.org) ![image](http://example.org/x.png) `code` **bold** {{7*7}}",
    "&lt;b&gt; &amp; &#60;script&#62;",
];

/// A run that did nothing but read its data.
pub(crate) fn empty() -> RunRecord {
    RunRecord {
        format_version: RunRecord::FORMAT_VERSION,
        title: "An empty run".to_owned(),
        command: "critic-rm run".to_owned(),
        model: ModelRecord {
            name: "smollm2-135m".to_owned(),
            source: "hub".to_owned(),
            digest: None,
            n_parameters: 134_515_585,
        },
        data: DataRecord {
            train: SplitRecord {
                file: "train.jsonl".to_owned(),
                n_pairs: 0,
                dropped: BTreeMap::new(),
            },
            eval: None,
        },
        settings: vec![],
        stages: vec![],
        funnel: vec![],
        score_agreement: vec![],
        contestants: vec![],
        comparisons: vec![],
        training: vec![],
        items: vec![],
        notes: vec![],
    }
}

/// A made-up run with every section.
pub(crate) fn record() -> RunRecord {
    RunRecord {
        title: "Critic-RM on 1,204 preference pairs".to_owned(),
        command: "critic-rm run recipes/first.toml --seed 7".to_owned(),
        model: ModelRecord {
            name: "smollm2-135m".to_owned(),
            source: "huggingface.co HuggingFaceTB/SmolLM2-135M-Instruct, revision 12fd25f"
                .to_owned(),
            digest: Some(
                "5af571cbf074e6d21a03528d2330792e532ca608f24ac70a143f6b369968ab8c".to_owned(),
            ),
            n_parameters: 134_515_585,
        },
        data: DataRecord {
            train: SplitRecord {
                file: "examples/train.jsonl".to_owned(),
                n_pairs: 1204,
                dropped: [("empty response".to_owned(), 3), ("equal responses".to_owned(), 11)]
                    .into(),
            },
            eval: Some(SplitRecord {
                file: "examples/eval.jsonl".to_owned(),
                n_pairs: 320,
                dropped: BTreeMap::new(),
            }),
        },
        settings: vec![
            setting("seed", "7", "flag"),
            setting("generate.n_candidates", "10", "paper"),
            setting("generate.sampling.temperature", "0.9", "paper"),
            setting("filter.rule", "pair_mean", "default"),
            setting("train.critique_weight", "paper { beta = 0.9 }", "paper"),
            setting("train.learning_rate", "2e-5", "file"),
        ],
        stages: vec![
            stage(
                "generate",
                1840.2,
                &[("critiques", "24,080"), ("tokens per second", "412")],
                true,
            ),
            stage("filter", 0.84, &[("rule", "pair_mean"), ("pairs kept", "61 %")], false),
            stage("train", 2713.0, &[("steps", "240"), ("tokens per second", "612")], false),
            stage("evaluate", 402.5, &[("contestants", "6")], false),
        ],
        funnel: vec![
            funnel("preference pairs", 1204, None),
            funnel("candidates", 1204, Some(24_080)),
            funnel("with a score", 1187, Some(21_944)),
            funnel("filter pair_mean", 742, Some(14_210)),
            funnel("refine rank 4", 742, Some(5_936)),
            funnel("trained on", 742, Some(5_936)),
        ],
        score_agreement: vec![
            ScoreAgreement { kind: ScoreKind::Parsed, n_pairs: 1204, accuracy: None },
            ScoreAgreement {
                kind: ScoreKind::Expected,
                n_pairs: 1204,
                accuracy: accuracy(1187, 672),
            },
            ScoreAgreement {
                kind: ScoreKind::Verdict,
                n_pairs: 1204,
                accuracy: accuracy(1204, 742),
            },
        ],
        contestants: vec![
            contestant("critic-rm m=0", "critic-rm", Some(0), 209, Some(0.642)),
            contestant("critic-rm m=1", "critic-rm", Some(1), 214, Some(0.631)),
            contestant("critic-rm m=4", "critic-rm", Some(4), 222, Some(0.604)),
            contestant("scalar", "scalar", None, 207, Some(0.655)),
            contestant("length", "length", None, 176, None),
            contestant("bag of words", "bag of words", None, 188, Some(0.672)),
        ],
        comparisons: vec![
            comparison("critic-rm m=4", "scalar", 0.046_875, 34, 19, 0.0534),
            comparison("critic-rm m=4", "length", 0.143_75, 82, 36, 0.000_03),
        ],
        training: vec![training("critic-rm", 240), training_scalar("scalar", 120)],
        items: vec![
            item("arc-17", true, "Why does ice float on water?"),
            item(
                "gsm-204",
                false,
                "A train leaves at 9:40 and arrives at 11:05. How long did it travel?",
            ),
        ],
        notes: vec![
            "0 of 24,080 critiques state a readable score; the filter used the forced verdict."
                .to_owned(),
            "critic-rm m=4 against scalar: the interval of the difference holds zero.".to_owned(),
        ],
        ..empty()
    }
}

/// The made-up run with a hostile text in every place that takes one.
pub(crate) fn hostile() -> RunRecord {
    let mut record = record();
    let all = HOSTILE.join(" ");
    record.title.clone_from(&all);
    record.command.clone_from(&all);
    record.model.name.clone_from(&all);
    record.model.source.clone_from(&all);
    record.model.digest = Some(all.clone());
    record.data.train.file.clone_from(&all);
    record.data.train.dropped.insert(all.clone(), 2);
    record.settings.push(setting(&all, &all, &all));
    record.stages.push(stage(&all, 1.0, &[(&all, &all)], false));
    record.funnel.push(funnel(&all, 1, Some(1)));
    record.training[0].name.clone_from(&all);
    record.notes.extend(HOSTILE.map(str::to_owned));
    for (result, text) in record.contestants.iter_mut().zip(HOSTILE) {
        result.name = text.to_owned();
        result.family = text.to_owned();
        result.by_domain[0].domain = text.to_owned();
    }
    record.contestants[1].family = record.contestants[0].family.clone();
    record.comparisons[0].a.clone_from(&all);
    record.comparisons[0].b.clone_from(&all);
    for item in &mut record.items {
        item.pair_id.clone_from(&all);
        item.domain = Some(all.clone());
        item.prompt = Conversation::from_user(all.clone());
        item.chosen.clone_from(&all);
        item.rejected.clone_from(&all);
        item.chosen_prediction.critiques[0].text.clone_from(&all);
    }
    record
}

fn setting(key: &str, value: &str, origin: &str) -> SettingRecord {
    SettingRecord { key: key.to_owned(), value: value.to_owned(), origin: origin.to_owned() }
}

fn stage(name: &str, seconds: f64, facts: &[(&str, &str)], resumed: bool) -> StageRecord {
    let fact =
        |&(label, value): &(&str, &str)| Fact { label: label.to_owned(), value: value.to_owned() };
    StageRecord {
        name: name.to_owned(),
        seconds,
        summary: facts.iter().map(fact).collect(),
        resumed,
    }
}

fn funnel(label: &str, n_pairs: usize, n_critiques: Option<usize>) -> FunnelStep {
    FunnelStep { label: label.to_owned(), n_pairs, n_critiques }
}

/// `n_correct` of `n` pairs.
pub(crate) fn accuracy(n: usize, n_correct: usize) -> Option<Accuracy> {
    let pairs: Vec<(f64, f64)> =
        (0..n).map(|i| if i < n_correct { (1.0, 0.0) } else { (0.0, 1.0) }).collect();
    Accuracy::of(&pairs, TieRule::Wrong).expect("finite numbers")
}

fn contestant(
    name: &str,
    family: &str,
    n_critiques: Option<usize>,
    n_correct: usize,
    mean_nll: Option<f64>,
) -> ContestantResult {
    let domain = |domain: &str, n: usize, n_correct: usize| DomainResult {
        domain: domain.to_owned(),
        n_pairs: n,
        n_scored: n,
        accuracy: accuracy(n, n_correct),
    };
    ContestantResult {
        name: name.to_owned(),
        family: family.to_owned(),
        n_critiques,
        n_pairs: 320,
        n_scored: 318,
        n_missing: 2,
        accuracy: accuracy(318, n_correct),
        by_domain: vec![
            domain("chat", 120, n_correct * 2 / 5),
            domain("math", 100, n_correct / 4),
            domain("science", 98, n_correct / 3),
        ],
        mean_margin: Some(0.8125),
        mean_nll,
    }
}

fn comparison(
    a: &str,
    b: &str,
    difference: f64,
    n_only_a: usize,
    n_only_b: usize,
    mcnemar_p: f64,
) -> PairedComparison {
    PairedComparison {
        a: a.to_owned(),
        b: b.to_owned(),
        n_pairs: 318,
        difference,
        interval: Interval { low: difference - 0.047, high: difference + 0.049, confidence: 0.95 },
        n_only_a,
        n_only_b,
        mcnemar_p,
        tie_rule: TieRule::Wrong,
    }
}

/// A curve that wobbles as training does.
fn training(name: &str, n_steps: usize) -> TrainingCurve {
    let step = |i: usize| {
        let t = i as f64 / n_steps as f64;
        let wobble = (i as f64 * 2.399).sin();
        let critique_weight = if t < 0.5 { 1.0 } else { 1.0 - 0.9 * (t - 0.5) / 0.5 };
        let critique_loss = 1.1 + 1.5 * (-4.0 * t).exp() + 0.12 * wobble;
        let preference_loss = 0.69 - 0.25 * t * t + 0.09 * (i as f64 * 1.7).cos();
        StepPoint {
            step: i + 1,
            critique_weight,
            critique_loss: Some(critique_loss),
            preference_loss: Some(preference_loss),
            joint_loss: critique_weight * critique_loss + (1.0 - critique_weight) * preference_loss,
            accuracy: Some(((4.0 + 3.0 * t + 1.5 * wobble).round() / 8.0).clamp(0.0, 1.0)),
            learning_rate: 2e-5 * (10.0 * t).min(1.0) * (1.0 - t),
            grad_norm: 1.2 + 3.0 * (-8.0 * t).exp() + 0.3 * wobble,
        }
    };
    TrainingCurve { name: name.to_owned(), steps: (0..n_steps).map(step).collect() }
}

fn training_scalar(name: &str, n_steps: usize) -> TrainingCurve {
    let mut curve = training(name, n_steps);
    for step in &mut curve.steps {
        step.critique_weight = 0.0;
        step.critique_loss = None;
        step.joint_loss = step.preference_loss.unwrap_or(0.0);
    }
    curve
}

fn item(pair_id: &str, correct: bool, prompt: &str) -> ItemRecord {
    let sign = if correct { 1.0 } else { -1.0 };
    ItemRecord {
        pair_id: pair_id.to_owned(),
        domain: Some("science".to_owned()),
        prompt: Conversation::from_user(prompt),
        chosen: "Water expands as it freezes: its molecules lock into an open lattice, so ice is \
                 about nine percent less dense than the liquid and floats."
            .to_owned(),
        rejected: "Ice floats because it is cold, and cold things rise.".to_owned(),
        chosen_prediction: prediction(&[0.9 * sign, 1.4 * sign, 0.7]),
        rejected_prediction: prediction(&[-0.6, -1.1 * sign, -0.2 * sign]),
        correct,
    }
}

fn prediction(rewards: &[f64]) -> RewardPrediction {
    let spread = critic_stats::mean_std(rewards).expect("finite rewards");
    let reward = |value: f64| Reward::new(value, "made up").expect("finite");
    let critique = |(i, &value): (usize, &f64)| CritiqueReward {
        text: format!(
            "The answer names the cause and gives a number for the density, but not where it comes \
             from. Clarity is good.\n\nScore: {}",
            7 - i
        ),
        reward: reward(value),
        finish_reason: if i == 2 { FinishReason::Length } else { FinishReason::Stop },
        n_tokens: 34 + i,
    };
    RewardPrediction {
        mean: reward(spread.mean),
        std: spread.std,
        without_critique: Some(reward(0.21)),
        critiques: rewards.iter().enumerate().map(critique).collect(),
        n_failed: 1,
    }
}
