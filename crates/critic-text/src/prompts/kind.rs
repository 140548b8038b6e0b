/// A kind of prompt: what it is called and which variables it has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PromptKind {
    pub(super) name: &'static str,
    /// Variables of items that must stand in it.
    pub(super) required: &'static [&'static str],
    /// Variables of items that may.
    pub(super) optional: &'static [&'static str],
    /// Variables that are the same for every item.
    pub(super) constants: &'static [&'static str],
}

impl PromptKind {
    /// The variables of items.
    pub(super) fn items(&self) -> impl Iterator<Item = &'static str> {
        self.required.iter().chain(self.optional).copied()
    }

    /// The variables, for a message.
    pub(super) fn allowed(&self) -> String {
        let names: Vec<String> =
            self.items().chain(self.constants.iter().copied()).map(|n| format!("`{n}`")).collect();
        match names.is_empty() {
            true => "it has no variables".to_owned(),
            false => format!("it has {}", names.join(", ")),
        }
    }
}

const fn plain(name: &'static str) -> PromptKind {
    PromptKind { name, required: &[], optional: &[], constants: &["rubric"] }
}

/// Of a prompt that asks for a critique with its score.
const SCORED: &[&str] = &["rubric", "scale"];

pub(super) static CRITIQUE: PromptKind =
    PromptKind { optional: &["reference"], constants: SCORED, ..plain("critique") };
pub(super) static SCORE_LEAD: PromptKind = PromptKind { constants: &[], ..plain("score_lead") };
pub(super) static VERDICT_QUESTION: PromptKind = plain("verdict_question");
pub(super) static META_JUDGE: PromptKind = plain("meta_judge");
pub(super) static META_JUDGE_PAIRWISE: PromptKind =
    PromptKind { required: &["first", "second"], ..plain("meta_judge_pairwise") };
pub(super) static SUMMARIZE: PromptKind =
    PromptKind { required: &["critiques"], constants: SCORED, ..plain("summarize") };
pub(super) static CONDITIONED: PromptKind = PromptKind {
    required: &["label"],
    optional: &["other"],
    constants: SCORED,
    ..plain("conditioned")
};
pub(super) static SOLVE: PromptKind =
    PromptKind { required: &["question"], constants: &[], ..plain("solve") };
pub(super) static MODIFY: PromptKind =
    PromptKind { required: &["instruction"], constants: &[], ..plain("modify") };
pub(super) static PAIRWISE: PromptKind =
    PromptKind { required: &["conversation", "first", "second"], ..plain("pairwise") };
