use super::{judge_bench, reward_bench, reward_bench_2, rm_bench};
use crate::EvalError;
use serde::Serialize;
use std::collections::BTreeMap;

/// Which function scores a bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arithmetic {
    /// [`reward_bench`](super::reward_bench).
    RewardBench,
    /// [`reward_bench_2`](super::reward_bench_2).
    RewardBench2,
    /// [`rm_bench`](super::rm_bench).
    RmBench,
    /// [`judge_bench_one_game`](super::judge_bench_one_game) or
    /// [`judge_bench_two_games`](super::judge_bench_two_games).
    JudgeBench,
    /// [`ppe_human`](super::ppe_human).
    PpeHuman,
    /// [`ppe_conflicts`](super::ppe_conflicts) and [`ppe_best_of_k`](super::ppe_best_of_k).
    PpeCorrectness,
    /// [`critique_f1`](super::critique_f1) and [`correction_gain`](super::correction_gain).
    CriticBench,
    /// [`cross_eval`](super::cross_eval).
    CrossEval,
    /// [`best_of_n`](super::best_of_n).
    BestOfN,
    /// [`pair_bench`](super::pair_bench).
    Pairs,
}

/// Where a bench's rows are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A data set of the hub and its split.
    Hub {
        /// `owner/name`.
        dataset: &'static str,
        /// The split.
        split: &'static str,
    },
    /// Files of a repository or of one's own, by the name of the file without its endings.
    File {
        /// Such as `llmbar` for `llmbar.jsonl.gz`.
        stem: &'static str,
    },
}

/// A bench that can be asked for by name.
#[derive(Debug, PartialEq, Serialize)]
pub struct Bench {
    /// What a user writes.
    pub name: &'static str,
    /// What a report prints over rows that are this bench's own.
    pub title: &'static str,
    /// How its rows are scored.
    pub arithmetic: Arithmetic,
    /// Where they are.
    pub source: Source,
    /// What it is, in one line.
    pub about: &'static str,
    #[serde(skip)]
    counts: Counts,
}

/// The rows of a bench's data.
#[derive(Debug, PartialEq)]
enum Counts {
    /// By subset (or domain where there is no subset column, or the empty text where there is neither).
    Known(&'static [(&'static str, usize)]),
    /// RewardBench's, which stand with its sections.
    OfRewardBench,
    /// Not known here: rows cannot be shown to be the bench's own.
    Unknown,
}

impl Bench {
    /// The rows by subset of the bench's data, where they are known.
    ///
    /// Subsets are named as the data names them; a bench without subsets has its domain instead, and
    /// the empty text where it has neither.
    pub fn counts(&self) -> Option<BTreeMap<&'static str, usize>> {
        match self.counts {
            Counts::Known(counts) => Some(counts.iter().copied().collect()),
            Counts::OfRewardBench => {
                let sections = reward_bench::SECTIONS.iter();
                Some(sections.flat_map(|(_, members)| members.iter().copied()).collect())
            }
            Counts::Unknown => None,
        }
    }
}

const fn hub(dataset: &'static str, split: &'static str) -> Source {
    Source::Hub { dataset, split }
}

const fn file(stem: &'static str) -> Source {
    Source::File { stem }
}

const fn bench(
    name: &'static str,
    title: &'static str,
    arithmetic: Arithmetic,
    source: Source,
    counts: Counts,
    about: &'static str,
) -> Bench {
    Bench { name, title, arithmetic, source, about, counts }
}

const RM_BENCH_COUNTS: [(&str, usize); 5] =
    [("chat", 129), ("code", 228), ("math", 529), ("safety-refuse", 284), ("safety-response", 157)];
const _: () = {
    let mut sum = 0;
    let mut i = 0;
    while i < RM_BENCH_COUNTS.len() {
        sum += RM_BENCH_COUNTS[i].1;
        i += 1;
    }
    assert!(sum == rm_bench::N_PROMPTS);
};

/// Every bench, published ones first.
pub const BENCHES: &[Bench] = &[
    bench(
        "reward-bench",
        "RewardBench",
        Arithmetic::RewardBench,
        hub("allenai/reward-bench", "filtered"),
        Counts::OfRewardBench,
        "2,985 pairs of 23 subsets in four sections",
    ),
    bench(
        "reward-bench-2",
        "RewardBench 2",
        Arithmetic::RewardBench2,
        hub("allenai/reward-bench-2", "test"),
        Counts::Known(&reward_bench_2::DOMAINS),
        "1,865 prompts, best of four, six domains",
    ),
    bench(
        "rm-bench",
        "RM-Bench",
        Arithmetic::RmBench,
        hub("THU-KEG/RM-Bench", "train"),
        Counts::Known(&RM_BENCH_COUNTS),
        "1,327 prompts with three styles of a right and of a wrong response",
    ),
    bench(
        "judge-bench-gpt-4o",
        "JudgeBench (GPT-4o pairs)",
        Arithmetic::JudgeBench,
        hub("ScalerLab/JudgeBench", "gpt"),
        Counts::Known(&judge_bench::CATEGORIES),
        "350 pairs of hard questions with a response that is right and one that is not",
    ),
    bench(
        "judge-bench-claude",
        "JudgeBench (Claude pairs)",
        Arithmetic::JudgeBench,
        hub("ScalerLab/JudgeBench", "claude"),
        Counts::Known(&[
            ("mmlu-pro", 154),
            ("livebench-reasoning", 51),
            ("livebench-math", 34),
            ("livecodebench", 31),
        ]),
        "270 pairs, as the GPT-4o set",
    ),
    bench(
        "ppe-human",
        "PPE human preferences",
        Arithmetic::PpeHuman,
        hub("lmarena-ai/PPE-Human-Preference-V1", "test"),
        Counts::Known(&[("", 16_038)]),
        "comparisons by visitors of the arena",
    ),
    bench(
        "ppe-mmlu-pro",
        "PPE MMLU-Pro",
        Arithmetic::PpeCorrectness,
        hub("lmarena-ai/PPE-MMLU-Pro-Best-of-K", "train"),
        Counts::Unknown,
        "32 responses a prompt, right or wrong",
    ),
    bench(
        "ppe-math",
        "PPE MATH",
        Arithmetic::PpeCorrectness,
        hub("lmarena-ai/PPE-MATH-Best-of-K", "train"),
        Counts::Unknown,
        "32 responses a prompt, right or wrong",
    ),
    bench(
        "ppe-gpqa",
        "PPE GPQA",
        Arithmetic::PpeCorrectness,
        hub("lmarena-ai/PPE-GPQA-Best-of-K", "train"),
        Counts::Unknown,
        "32 responses a prompt, right or wrong",
    ),
    bench(
        "ppe-ifeval",
        "PPE IFEval",
        Arithmetic::PpeCorrectness,
        hub("lmarena-ai/PPE-IFEval-Best-of-K", "train"),
        Counts::Unknown,
        "32 responses a prompt, right or wrong",
    ),
    bench(
        "ppe-mbpp-plus",
        "PPE MBPP-Plus",
        Arithmetic::PpeCorrectness,
        hub("lmarena-ai/PPE-MBPP-Plus-Best-of-K", "train"),
        Counts::Unknown,
        "32 responses a prompt, right or wrong",
    ),
    bench(
        "critic-bench",
        "CriticBench",
        Arithmetic::CriticBench,
        hub("llm-agents/CriticBench", "test"),
        Counts::Unknown,
        "critique and correction of responses to questions of 15 data sets",
    ),
    bench(
        "cross-eval",
        "CrossEval",
        Arithmetic::CrossEval,
        hub("MingZhong/crosseval", "test"),
        Counts::Unknown,
        "4,200 responses with two human ratings each, 14 capabilities",
    ),
    bench(
        "mr-gsm8k-part",
        "MR-GSM8K, 412 wrong and 412 gold solutions",
        Arithmetic::CriticBench,
        file("mr_gsm8k"),
        Counts::Known(&[("POT", 94), ("original", 484), ("reversed", 246)]),
        "is a solution right? style gives much of the label away",
    ),
    bench(
        "step-verify",
        "StepVerify, 633 solutions of pupils and 633 of teachers",
        Arithmetic::CriticBench,
        file("stepverify_CC-BY-SA"),
        Counts::Known(&[
            ("Calculation error easily solved by a calculator", 150),
            ("Extra quantity or Missing quantity", 278),
            ("Misunderstanding of a question", 370),
            ("Missing / Wrong factual knowledge", 198),
            ("None of the above", 112),
            ("Reached correct solution but proceeded further", 94),
            ("Unit conversion error", 64),
        ]),
        "is a solution right? style gives much of the label away",
    ),
    bench(
        "big-bench-mistake-part",
        "BIG-Bench Mistake, held-out part",
        Arithmetic::CriticBench,
        file("bigbench_mistake_eval"),
        Counts::Known(&[
            ("logical_deduction", 25),
            ("multistep_arithmetic", 24),
            ("tracking_shuffled_objects", 38),
            ("word_sorting", 39),
        ]),
        "126 chains of thought: does one hold a mistake? 112 do",
    ),
    bench(
        "llmbar",
        "LLMBar",
        Arithmetic::Pairs,
        file("llmbar"),
        Counts::Known(&[
            ("LLMBar__Adversarial__GPTInst__dataset.json", 92),
            ("LLMBar__Adversarial__GPTOut__dataset.json", 47),
            ("LLMBar__Adversarial__Manual__dataset.json", 46),
            ("LLMBar__Adversarial__Neighbor__dataset.json", 134),
            ("LLMBar__Natural__dataset.json", 100),
        ]),
        "419 pairs of instruction following; RewardBench has them too",
    ),
    bench(
        "hhh-alignment",
        "HHH alignment",
        Arithmetic::Pairs,
        file("hhh_alignment"),
        Counts::Known(&[("harmless", 58), ("helpful", 59), ("honest", 61), ("other", 43)]),
        "221 pairs: helpful, honest, harmless, other",
    ),
    bench(
        "humanevalpack-part",
        "HumanEvalPack, 330 of 984",
        Arithmetic::Pairs,
        file("humanevalpack"),
        Counts::Known(&[
            ("hep-cpp", 55),
            ("hep-go", 55),
            ("hep-java", 55),
            ("hep-js", 55),
            ("hep-python", 55),
            ("hep-rust", 55),
        ]),
        "canonical against buggy code in six languages",
    ),
    bench(
        "pandalm-majority",
        "PandaLM test, pairs with a majority",
        Arithmetic::Pairs,
        file("pandalm_test"),
        Counts::Unknown,
        "762 pairs by the majority of three annotators",
    ),
    bench(
        "gsm8k-model-pairs",
        "GSM8K model pairs",
        Arithmetic::Pairs,
        file("gsm8k_modelpairs"),
        Counts::Known(&[("reasoning-math", 281)]),
        "a model's right against a model's wrong solution",
    ),
    bench(
        "gsm8k-best-of-4",
        "GSM8K best of 4",
        Arithmetic::BestOfN,
        file("gsm8k_best_of_4"),
        Counts::Known(&[("reasoning-math", 146)]),
        "146 problems with four solutions each",
    ),
    bench(
        "truthfulqa-judge",
        "TruthfulQA pairs of judged answers",
        Arithmetic::Pairs,
        file("truthfulqa_judge"),
        Counts::Known(&[("factual", 1286)]),
        "short factual answers, true against false by people",
    ),
    bench(
        "hh-helpful-part",
        "HH helpful-base, held-out part",
        Arithmetic::Pairs,
        file("hh_helpful-base"),
        Counts::Known(&[("chat", 229)]),
        "dialogues of crowd workers",
    ),
    bench(
        "hh-harmless-part",
        "HH harmless-base, held-out part",
        Arithmetic::Pairs,
        file("hh_harmless-base"),
        Counts::Known(&[("safety", 241)]),
        "dialogues of crowd workers",
    ),
    bench(
        "game24-cot",
        "Game of 24 chains of thought",
        Arithmetic::Pairs,
        file("game24_cot"),
        Counts::Known(&[("reasoning-arith", 368)]),
        "style gives much of the label away",
    ),
    bench(
        "verify-cot-date",
        "Date reasoning chains of thought",
        Arithmetic::Pairs,
        file("verify_cot_date"),
        Counts::Known(&[("reasoning-date", 479)]),
        "right against wrong final answers",
    ),
    bench(
        "ukp-convarg-part",
        "UKPConvArg1, held-out part",
        Arithmetic::Pairs,
        file("ukpconvarg1"),
        Counts::Known(&[("chat-argument", 647)]),
        "the more convincing argument; the longer one wins 73 %",
    ),
];

/// The bench of this name, or whose rows stand in a file of this name; only letters and digits make a
/// difference, and not their case.
///
/// # Errors
/// [`EvalError::UnknownBench`] with the nearest name and all names.
///
/// # Examples
/// ```
/// use critic_eval::benches::find_bench;
/// assert_eq!(find_bench("RM_Bench")?.title, "RM-Bench");
/// assert_eq!(find_bench("rewardbench2")?.title, "RewardBench 2");
/// let error = find_bench("reward-bensh-2").unwrap_err();
/// assert!(error.to_string().contains("did you mean `reward-bench-2`?"));
/// # Ok::<(), critic_eval::EvalError>(())
/// ```
pub fn find_bench(name: &str) -> Result<&'static Bench, EvalError> {
    let wanted = letters(name);
    let is_file =
        |bench: &&Bench| matches!(bench.source, Source::File { stem } if letters(stem) == wanted);
    let named = BENCHES.iter().find(|bench| letters(bench.name) == wanted);
    named.or_else(|| BENCHES.iter().find(is_file)).ok_or_else(|| EvalError::UnknownBench {
        name: name.to_owned(),
        nearest: nearest(&wanted),
        known: BENCHES.iter().map(|bench| bench.name).collect::<Vec<_>>().join(", "),
    })
}

/// What tells names apart: letters and digits, lower-cased.
pub(super) fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The name with the fewest edits, if those are no more than half of it.
fn nearest(wanted: &str) -> Option<&'static str> {
    let distances =
        BENCHES.iter().map(|bench| (strsim::levenshtein(wanted, &letters(bench.name)), bench.name));
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= name.chars().count() / 2).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_find_their_bench() {
        let names: BTreeSet<&str> = BENCHES.iter().map(|bench| bench.name).collect();
        let titles: BTreeSet<&str> = BENCHES.iter().map(|bench| bench.title).collect();
        assert_eq!((names.len(), titles.len()), (BENCHES.len(), BENCHES.len()));
        for bench in BENCHES {
            assert_eq!(find_bench(bench.name).unwrap(), bench);
            assert_eq!(find_bench(&bench.name.to_uppercase().replace('-', "_")).unwrap(), bench);
        }
    }

    #[test]
    fn a_file_finds_its_bench() {
        for (file, name) in [
            ("humanevalpack", "humanevalpack-part"),
            ("hh_helpful-base", "hh-helpful-part"),
            ("gsm8k_modelpairs", "gsm8k-model-pairs"),
            ("bigbench_mistake_eval", "big-bench-mistake-part"),
        ] {
            assert_eq!(find_bench(file).unwrap().name, name);
        }
    }

    #[test]
    fn a_name_like_nothing_has_no_neighbour() {
        let error = find_bench("zzzzzzzzzzzzzzzzzzzzzzzz").unwrap_err().to_string();
        assert!(!error.contains("did you mean") && error.contains("reward-bench-2"), "{error}");
        let error = find_bench("lmbar").unwrap_err().to_string();
        assert!(error.contains("did you mean `llmbar`?"), "{error}");
    }

    #[test]
    fn published_counts_add_up() {
        let total =
            |name: &str| -> usize { find_bench(name).unwrap().counts().unwrap().values().sum() };
        for (name, n) in [
            ("reward-bench", 2985),
            ("reward-bench-2", 1865),
            ("rm-bench", 1327),
            ("judge-bench-gpt-4o", 350),
            ("judge-bench-claude", 270),
            ("llmbar", 419),
            ("hhh-alignment", 221),
        ] {
            assert_eq!(total(name), n, "{name}");
        }
    }
}
