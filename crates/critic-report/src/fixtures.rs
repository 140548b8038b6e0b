use crate::{
    DataRecord, Fact, FilterRecord, FunnelStep, HeldOutPoint, HistogramRecord, ItemRecord,
    ModelRecord, RoundRecord, RunRecord, ScoreAgreement, SettingRecord, SplitRecord, StageRecord,
    StepPoint, StudyRecord, TrainingCurve,
};
use critic_eval::{
    Accuracy, Contestant, ContestantResult, CorrectedComparison, Diagnostics, DomainResult,
    LengthUnit, PairedComparison, SampledCritique, SampledResponse, diagnose, length_control,
    study_critiques,
};
use critic_method::{CritiqueAudit, PositionConsistency};
use critic_stats::{
    Bootstrap, Interval, PairedDifference, PermutationTest, TieRule, shared_histograms,
};
use critic_types::{
    Conversation, CritiqueReward, DropReport, FinishReason, PreferencePair, Reward,
    RewardPrediction, Role, ScoreKind, SeedTree, Side,
};
use std::collections::BTreeMap;

/// Texts that try to leave their place.
pub(crate) const HOSTILE: [&str; 8] = [
    "<script>alert(1)</script>",
    "<!--<script>\u{2028}alert(2)\u{2029}//</SCRIPT >",
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
        rounds: vec![],
        contestants: vec![],
        comparisons: vec![],
        diagnostics: vec![],
        critique_studies: vec![],
        training: vec![],
        main: None,
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
                &[("critiques", "24,080"), ("tokens", "758440"), ("tokens/s", "412")],
                true,
            ),
            stage("filter", 0.84, &[("rule", "pair_mean"), ("pairs kept", "61 %")], false),
            stage(
                "train",
                2713.0,
                &[("steps", "240"), ("tokens", "1660356"), ("tokens/s", "612")],
                false,
            ),
            stage("evaluate", 402.5, &[("contestants", "6")], false),
        ],
        rounds: vec![round(1, "smollm2-135m", "critic-rm")],
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
            comparison("scalar", "length", 0.096_875, 70, 39, 0.004),
        ],
        diagnostics: diagnostics(),
        critique_studies: vec![study()],
        training: vec![training("critic-rm", 240), training_scalar("scalar", 120)],
        main: Some("critic-rm m=4".to_owned()),
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
    record.main = Some(HOSTILE[2].to_owned());
    record.rounds = vec![round(1, &all, &all), round(2, &all, &all)];
    for round in &mut record.rounds {
        round.funnel.push(funnel(&all, 1, Some(1)));
        round.histograms[0].title.clone_from(&all);
        round.histograms[0].unit.clone_from(&all);
        round.histograms[0].series[0].0.clone_from(&all);
        let filter = round.filter.get_or_insert_default();
        filter.pairs.drop(all.clone(), all.clone());
        filter.by_domain.insert(all.clone(), DropReport { n_kept: 3, ..DropReport::default() });
    }
    record.critique_studies[0].family.clone_from(&all);
    let findings = record.critique_studies[0].study.overall.clone();
    record.critique_studies[0].study.domains.insert(all.clone(), findings);
    record.training[0].name.clone_from(&all);
    record.notes.extend(HOSTILE.map(str::to_owned));
    for (result, text) in record.contestants.iter_mut().zip(HOSTILE) {
        result.name = text.to_owned();
        result.family = text.to_owned();
        result.by_domain[0].domain = text.to_owned();
    }
    record.contestants[1].family = record.contestants[0].family.clone();
    for (found, text) in record.diagnostics.iter_mut().zip(HOSTILE) {
        found.name = text.to_owned();
        let calibration = found.calibration.clone();
        found.calibration_by_domain.extend(calibration.map(|one| (all.clone(), one)));
    }
    record.comparisons[0].comparison.a.clone_from(&all);
    record.comparisons[0].comparison.b.clone_from(&all);
    record.training[0].held_out[0].set.clone_from(&all);
    for item in &mut record.items {
        item.rewards = HOSTILE.iter().map(|name| ((*name).to_owned(), [0.5, 0.25])).collect();
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
) -> CorrectedComparison {
    let interval = Interval { low: difference - 0.047, high: difference + 0.049, confidence: 0.95 };
    CorrectedComparison {
        comparison: PairedComparison {
            a: a.to_owned(),
            b: b.to_owned(),
            n_pairs: 318,
            difference,
            interval,
            n_only_a,
            n_only_b,
            mcnemar_p,
            tie_rule: TieRule::Wrong,
        },
        clustered: PairedDifference { difference, interval },
        mcnemar_mid_p: 0.9 * mcnemar_p,
        mcnemar_corrected_p: 1.1 * mcnemar_p,
        permutation: PermutationTest { p: mcnemar_p, exact: false, n_assignments: 10_000 },
        holm_p: (2.0 * mcnemar_p).min(1.0),
    }
}

fn audit(n_critiques: usize) -> CritiqueAudit {
    CritiqueAudit {
        n_critiques,
        n_near_duplicates: n_critiques / 40,
        self_bleu: Some(0.21),
        mean_words: Some(38.4),
        n_concrete: 3 * n_critiques / 5,
        n_judged_twice: n_critiques - 300,
        n_consistent: n_critiques / 2,
    }
}

/// A made-up round of critiques.
pub(crate) fn round(round: usize, critic: &str, trained: &str) -> RoundRecord {
    let mut filter = FilterRecord::default();
    filter.pairs.n_kept = 742;
    filter.critiques.n_kept = 14_210;
    for (reason, n_pairs, n_critiques) in
        [("the scores do not agree", 445, 7_734), ("cut at the token limit", 17, 2_136)]
    {
        filter.pairs.dropped.insert(reason.to_owned(), n_pairs);
        filter.critiques.dropped.insert(reason.to_owned(), n_critiques);
    }
    for (domain, n_kept, n_dropped) in
        [("chat", 301, 190), ("math", 198, 152), ("science", 243, 120)]
    {
        let mut report = DropReport { n_kept, ..DropReport::default() };
        report.dropped.insert("the scores do not agree".to_owned(), n_dropped);
        filter.by_domain.insert(domain.to_owned(), report);
    }
    RoundRecord {
        round,
        critic: critic.to_owned(),
        trained: Some(trained.to_owned()),
        funnel: vec![
            funnel("preference pairs", 1204, None),
            funnel("candidates", 1204, Some(24_080)),
            funnel("with a score", 1187, Some(21_944)),
            funnel("filter pair_mean", 742, Some(14_210)),
            funnel("refine rank 4", 742, Some(5_936)),
            funnel("trained on", 742, Some(5_936)),
        ],
        filter: Some(filter),
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
        verdict_without_critique: accuracy(1204, 690),
        audits: [("candidates", 24_080), ("kept", 14_210)]
            .map(|(which, n)| (which.to_owned(), audit(n)))
            .to_vec(),
        meta_judge: Some(PositionConsistency {
            n_comparisons: 1_482,
            n_consistent: 964,
            n_first: 1_732,
            n_ties: 6,
            n_failed: 4,
        }),
        histograms: vec![
            histogram("Length of critiques", "tokens", 40.0, 130.0, 0.9),
            histogram("Verdict", "log-odds of yes against no", 3.0, 0.0, 1.0),
        ],
    }
}

fn histogram(title: &str, unit: &str, scale: f64, middle: f64, shift: f64) -> HistogramRecord {
    let values = |phase: f64| -> Vec<f64> {
        (0..2000).map(|i| middle + scale * (normal(i, phase) + phase * shift)).collect()
    };
    let bars = shared_histograms(&[&values(0.4), &values(0.0)], 20).expect("finite values");
    let names = ["chosen".to_owned(), "rejected".to_owned()];
    HistogramRecord {
        title: title.to_owned(),
        unit: unit.to_owned(),
        series: names.into_iter().zip(bars).collect(),
    }
}

/// Roughly normal, of deviation 1, from a counter.
fn normal(i: usize, phase: f64) -> f64 {
    let wave = |f: f64| ((i as f64 + 1.0) * f + phase).sin();
    (wave(12.9898) + wave(78.233) + wave(37.719) + wave(4.581)) / 2f64.sqrt()
}

/// Made-up held-out pairs, `n` of them, in three domains.
pub(crate) fn items(n: usize) -> Vec<ItemRecord> {
    const QUESTIONS: [&str; 4] = [
        "Why does ice float on water?",
        "A train leaves at 9:40 and arrives at 11:05. How long did it travel?",
        "Write a polite note that declines an invitation to a wedding.",
        "What is the derivative of x³ − 4x, and where is it zero?",
    ];
    (0..n)
        .map(|i| {
            let rewards = |side: f64| -> Vec<f64> {
                (0..4).map(|k| 0.4 * side + normal(4 * i + k, side)).collect()
            };
            let mut made =
                item(&format!("pair-{i:05}"), true, &format!("{} ({i})", QUESTIONS[i % 4]));
            made.domain = Some(["chat", "math", "science"][i % 3].to_owned());
            if i % 5 == 0 {
                made.prompt = Conversation::from_user("Let us talk.")
                    .with(Role::Assistant, "Gladly. About what?")
                    .with(Role::User, QUESTIONS[i % 4]);
            }
            made.chosen_prediction = prediction(&rewards(1.0));
            made.rejected_prediction = prediction(&rewards(-1.0));
            let without = |value: f64| Reward::new(value, "made up").ok();
            made.chosen_prediction.without_critique = without(normal(i, 0.9) + 0.4);
            made.rejected_prediction.without_critique = without(normal(i, 2.9));
            made.rejected.push_str(&" It is so, and everybody knows it.".repeat(i % 7));
            let both =
                [&made.chosen_prediction, &made.rejected_prediction].map(|side| side.mean.value());
            made.correct = both[0] > both[1];
            let length =
                [&made.chosen, &made.rejected].map(|text| text.split_whitespace().count() as f64);
            made.rewards = [
                ("critic-rm m=4".to_owned(), both),
                ("scalar".to_owned(), [normal(i, 0.5), normal(i, 2.0) - 0.3]),
                ("length".to_owned(), length),
            ]
            .into();
            made
        })
        .collect()
}

/// Another made-up run on the same pairs, whose rewards of chosen responses are worse.
pub(crate) fn other(n: usize) -> RunRecord {
    let mut record = record();
    record.items = items(n);
    for item in &mut record.items {
        if let Some(both) = item.rewards.get_mut("critic-rm m=4") {
            both[0] -= 1.5;
        }
    }
    record.settings[0].value = "8".to_owned();
    record.settings.pop();
    record
}

fn pairs(items: &[ItemRecord]) -> Vec<PreferencePair> {
    let pair = |item: &ItemRecord| PreferencePair {
        id: item.pair_id.clone(),
        prompt: item.prompt.clone(),
        chosen: item.chosen.clone(),
        rejected: item.rejected.clone(),
        margin: None,
        domain: item.domain.clone(),
        subset: None,
    };
    items.iter().map(pair).collect()
}

fn diagnostics() -> Vec<Diagnostics> {
    let items = items(320);
    let pairs = pairs(&items);
    let predictions = |name: &str| {
        let both = |item: &ItemRecord| {
            let key = |side| (item.pair_id.clone(), side);
            let [chosen, rejected] = item.rewards[name];
            [(key(Side::Chosen), chosen), (key(Side::Rejected), rejected)]
        };
        items.iter().flat_map(both).collect()
    };
    let contestants = [
        Contestant::with_critiques("critic-rm", 4, predictions("critic-rm m=4")),
        Contestant::scalar("scalar", predictions("scalar")),
        length_control(&pairs, LengthUnit::Words),
    ];
    let diagnosed = contestants.iter().map(|one| diagnose(one, &pairs, 10));
    diagnosed.map(|found| found.expect("finite rewards")).collect()
}

fn study() -> StudyRecord {
    let items = items(120);
    let response = |side: &RewardPrediction| SampledResponse {
        without_critique: side.without_critique.map(critic_types::Reward::value),
        critiques: side
            .critiques
            .iter()
            .map(|critique| SampledCritique {
                text: critique.text.clone(),
                reward: critique.reward.value(),
                expected_score: None,
                meta_score: None,
            })
            .collect(),
        n_failed: side.n_failed,
    };
    let samples = items
        .iter()
        .flat_map(|item| {
            let key = |side| (item.pair_id.clone(), side);
            [
                (key(Side::Chosen), response(&item.chosen_prediction)),
                (key(Side::Rejected), response(&item.rejected_prediction)),
            ]
        })
        .collect();
    let bootstrap = Bootstrap { n_resamples: 200, ..Bootstrap::new(SeedTree::new(3)) };
    let study =
        study_critiques(&samples, &pairs(&items), &[0, 1, 2, 4], TieRule::Wrong, &bootstrap);
    StudyRecord { family: "critic-rm".to_owned(), study: study.expect("finite rewards") }
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
    let held_out = (1..=4)
        .map(|i| HeldOutPoint {
            set: "dev".to_owned(),
            step: i * n_steps / 4,
            preference_loss: Some(0.69 - 0.02 * i as f64),
            critique_loss: None,
            accuracy: Some(0.5 + 0.04 * i as f64),
        })
        .collect();
    TrainingCurve { name: name.to_owned(), steps: (0..n_steps).map(step).collect(), held_out }
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
        rewards: [
            ("critic-rm m=4".to_owned(), if correct { [1.0, -0.63] } else { [-0.53, 0.23] }),
            ("scalar".to_owned(), [0.2, 0.4]),
        ]
        .into(),
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
