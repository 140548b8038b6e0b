/// Reads a file of `prompts/` into the program.
macro_rules! built_in {
    ($file:literal) => {
        $crate::PromptSource {
            file: concat!("the built-in ", $file).to_owned(),
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/prompts/", $file)).to_owned(),
        }
    };
}

mod kind;
mod pairwise;
mod synth;
mod template;
#[cfg(test)]
mod tests;

pub use pairwise::PairwisePrompt;
pub use synth::{SynthPrompt, SynthTask};
pub use template::PromptSource;

use crate::{ScoreScale, TextError};
use critic_types::{ContentHasher, ContentId, Conversation, Role, Side};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use template::PromptTemplate;

/// Asks after a critique for the answer with what the critique found put right; it has no variables, and
/// its end is what graders of final answers look for.
pub const CORRECTION_REQUEST: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/prompts/correction.jinja")).trim_ascii_end();

/// The Jinja texts that a critic is asked with.
///
/// | prompt | asks for | variables |
/// |---|---|---|
/// | `critique` | a critique of the response above that ends with its score | `reference`, `rubric`, `scale` |
/// | `score_lead` | nothing: it is appended to a critique without a score, so that the score comes next | |
/// | `verdict_question` | yes or no after a critique: is the response good? | `rubric` |
/// | `meta_judge` | a number from 1 to 10: how good is the critique above? | `rubric` |
/// | `meta_judge_pairwise` | A or B: which of two critiques of the response above is better? | `first`, `second` (both must stand), `rubric` |
/// | `summarize` | one critique out of several | `critiques` (their numbered list; must stand), `rubric`, `scale` |
/// | `conditioned` | a critique by one who is told the label | `label` (`better` or `worse`; must stand), `other` (the other response), `rubric`, `scale` |
///
/// `rubric` and `scale` ([`ScoreScale::request`]) are the same for all items, any Jinja may be done with
/// them; the others are placed as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptSources {
    /// Asks for a critique of the response above that ends with its score.
    pub critique: PromptSource,
    /// Appended to a critique without a score, so that the score comes next.
    pub score_lead: PromptSource,
    /// Asks after a critique whether the response is good, to be answered yes or no.
    pub verdict_question: PromptSource,
    /// Asks how good the critique above is, to be answered with a number from 1 to 10.
    pub meta_judge: PromptSource,
    /// Asks which of two critiques of the response above is better, to be answered with A or B.
    #[serde(default = "meta_judge_pairwise")]
    pub meta_judge_pairwise: PromptSource,
    /// Asks for one critique out of several.
    pub summarize: PromptSource,
    /// Asks for a critique by one who is told which response is preferred.
    pub conditioned: PromptSource,
    /// What `rubric` stands for, where one is given.
    pub rubric: Option<String>,
    /// What critiques are scored on.
    #[serde(default)]
    pub scale: ScoreScale,
}

fn meta_judge_pairwise() -> PromptSource {
    built_in!("meta_judge_pairwise.jinja")
}

impl PromptSources {
    /// The texts that come with the program.
    pub fn builtin() -> Self {
        Self {
            critique: built_in!("critique.jinja"),
            score_lead: built_in!("score_lead.jinja"),
            verdict_question: built_in!("verdict_question.jinja"),
            meta_judge: built_in!("meta_judge.jinja"),
            meta_judge_pairwise: meta_judge_pairwise(),
            summarize: built_in!("summarize.jinja"),
            conditioned: built_in!("conditioned.jinja"),
            rubric: None,
            scale: ScoreScale::default(),
        }
    }

    /// The critique prompts that come with the program, by name: the default, and those that give the
    /// critic a reference answer, a rubric, or let it name principles first.
    pub fn critiques() -> [(&'static str, PromptSource); 4] {
        [
            ("default", built_in!("critique.jinja")),
            ("reference", built_in!("critique_reference.jinja")),
            ("rubric", built_in!("critique_rubric.jinja")),
            ("principles", built_in!("critique_principles.jinja")),
        ]
    }
}

/// The conversations in which a critic judges a response.
///
/// All of them begin with the prompt's turns and the response, and
/// [`critiqued`](Self::critiqued) and [`meta_judge`](Self::meta_judge) go on from
/// [`critique`](Self::critique), so what they share is computed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompts {
    sources: PromptSources,
    critique: PromptTemplate,
    score_lead: String,
    verdict_question: String,
    meta_judge: String,
    meta_judge_pairwise: PromptTemplate,
    summarize: PromptTemplate,
    conditioned: PromptTemplate,
    references: HashMap<Conversation, String>,
}

impl Prompts {
    /// The texts that come with the program.
    pub fn builtin() -> Self {
        Self::new(PromptSources::builtin()).expect("a test holds the built-in texts to the rules")
    }

    /// Texts of your own.
    ///
    /// # Errors
    /// [`TextError::BadPrompt`] when a text is blank or no valid Jinja, has a variable that its kind has
    /// not or that no value is given for, or lacks one that must stand in it.
    pub fn new(sources: PromptSources) -> Result<Self, TextError> {
        let rubric = sources.rubric.iter().map(|rubric| ("rubric", rubric.clone()));
        let scale = ("scale", sources.scale.request());
        let constants: BTreeMap<&'static str, String> = rubric.chain([scale]).collect();
        let template = |kind, source| PromptTemplate::new(kind, source, &constants);
        let text = |kind, source| Ok(template(kind, source)?.fill(&[]));
        Ok(Self {
            critique: template(&kind::CRITIQUE, &sources.critique)?,
            score_lead: text(&kind::SCORE_LEAD, &sources.score_lead)?,
            verdict_question: text(&kind::VERDICT_QUESTION, &sources.verdict_question)?,
            meta_judge: text(&kind::META_JUDGE, &sources.meta_judge)?,
            meta_judge_pairwise: template(
                &kind::META_JUDGE_PAIRWISE,
                &sources.meta_judge_pairwise,
            )?,
            summarize: template(&kind::SUMMARIZE, &sources.summarize)?,
            conditioned: template(&kind::CONDITIONED, &sources.conditioned)?,
            sources,
            references: HashMap::new(),
        })
    }

    /// The same prompts with a reference answer to each of these conversations.
    #[must_use]
    pub fn with_references(mut self, references: HashMap<Conversation, String>) -> Self {
        self.references = references;
        self
    }

    /// Whether the critique prompt shows a reference answer and has none to this conversation: it must not
    /// be asked about a response to it.
    pub fn lacks_reference(&self, prompt: &Conversation) -> bool {
        self.shows_reference() && !self.references.contains_key(prompt)
    }

    /// Whether the critique prompt shows a reference answer.
    pub fn shows_reference(&self) -> bool {
        self.critique.has("reference")
    }

    /// The texts in use.
    pub fn sources(&self) -> &PromptSources {
        &self.sources
    }

    /// `[prompt…, response, request]`: a critique of the response comes next.
    pub fn critique(&self, prompt: &Conversation, response: &str) -> Conversation {
        let reference = self.references.get(prompt).map_or("", String::as_str);
        let request = self.critique.fill(&[("reference", reference)]);
        prompt.clone().with(Role::Assistant, response).with(Role::User, request)
    }

    /// As [`critique`](Self::critique), but the critic is told the label: the response on `side` is the
    /// better or the worse one, and `other` is what it was compared with.
    ///
    /// What it writes is no blind judgement, and its scores say nothing about the critic.
    pub fn conditioned(
        &self,
        prompt: &Conversation,
        response: &str,
        other: &str,
        side: Side,
    ) -> Conversation {
        let label = match side {
            Side::Chosen => "better",
            Side::Rejected => "worse",
        };
        let request = self.conditioned.fill(&[("label", label), ("other", other)]);
        prompt.clone().with(Role::Assistant, response).with(Role::User, request)
    }

    /// `[prompt…, response, request, critique]`: the reward is read at its end.
    pub fn critiqued(&self, prompt: &Conversation, response: &str, critique: &str) -> Conversation {
        self.critique(prompt, response).with(Role::Assistant, critique)
    }

    /// `[prompt…, response, question]`: yes or no comes next, without a critique before it.
    pub fn verdict(&self, prompt: &Conversation, response: &str) -> Conversation {
        prompt
            .clone()
            .with(Role::Assistant, response)
            .with(Role::User, self.verdict_question.as_str())
    }

    /// What is appended to a critique without a score, so that one of
    /// [`score_choices`](Self::score_choices) comes next.
    pub fn score_lead(&self) -> &str {
        &self.score_lead
    }

    /// The scores of a critique as they are written.
    pub fn score_choices(&self) -> Vec<String> {
        self.scale().scores().into_iter().map(|(label, _)| label).collect()
    }

    /// What critiques are scored on.
    pub fn scale(&self) -> &ScoreScale {
        &self.sources.scale
    }

    /// What the meta-judge scores critiques on, whatever they score responses on: 1–10.
    pub fn meta_scale(&self) -> ScoreScale {
        ScoreScale::default()
    }

    /// The meta-judge's scores as they are written.
    pub fn meta_choices(&self) -> Vec<String> {
        self.meta_scale().scores().into_iter().map(|(label, _)| label).collect()
    }

    /// What the user asks after the critique for the forced verdict.
    pub fn verdict_question(&self) -> &str {
        &self.verdict_question
    }

    /// The answers to the verdict question, the good one first.
    pub fn verdict_choices(&self) -> Vec<String> {
        vec!["Yes".to_owned(), "No".to_owned()]
    }

    /// `[prompt…, response, request, critique, question]`: a number from 1 to 10 comes next.
    pub fn meta_judge(
        &self,
        prompt: &Conversation,
        response: &str,
        critique: &str,
    ) -> Conversation {
        self.critiqued(prompt, response, critique).with(Role::User, self.meta_judge.as_str())
    }

    /// `[prompt…, response, question with both critiques]`: one of
    /// [`meta_judge_pairwise_choices`](Self::meta_judge_pairwise_choices) comes next.
    pub fn meta_judge_pairwise(
        &self,
        prompt: &Conversation,
        response: &str,
        first: &str,
        second: &str,
    ) -> Conversation {
        let values = [("first", first.trim()), ("second", second.trim())];
        let question = self.meta_judge_pairwise.fill(&values);
        prompt.clone().with(Role::Assistant, response).with(Role::User, question)
    }

    /// What the two critiques of [`meta_judge_pairwise`](Self::meta_judge_pairwise) are called, the first
    /// one first.
    pub fn meta_judge_pairwise_choices(&self) -> Vec<String> {
        PairwisePrompt::choices()
    }

    /// `[prompt…, response, request with all critiques]`: one critique out of them comes next.
    pub fn summarize(
        &self,
        prompt: &Conversation,
        response: &str,
        critiques: &[&str],
    ) -> Conversation {
        let numbered: Vec<String> = (1..)
            .zip(critiques)
            .map(|(number, critique)| format!("{number}. {}", critique.trim()))
            .collect();
        let request = self.summarize.fill(&[("critiques", &numbered.join("\n"))]);
        prompt.clone().with(Role::Assistant, response).with(Role::User, request)
    }

    /// Address of the texts, rendered as far as they are the same for all items, and of the reference
    /// answers; critiques written under others are not comparable.
    ///
    /// Prompts that only some runs ask with are apart, in [`conditioned_digest`](Self::conditioned_digest)
    /// and [`meta_judge_pairwise_digest`](Self::meta_judge_pairwise_digest).
    pub fn digest(&self) -> ContentId {
        let mut hasher = ContentHasher::new("prompts");
        for (prompt, text) in [
            ("critique_request", self.critique.identity()),
            ("score_lead", self.score_lead.clone()),
            ("verdict_question", self.verdict_question.clone()),
            ("meta_judge", self.meta_judge.clone()),
            ("summarize", self.summarize.identity()),
        ] {
            hasher.text(prompt).text(&text);
        }
        if *self.scale() != ScoreScale::default() {
            hasher.text("scale").text(&self.scale().to_string());
        }
        if self.shows_reference() {
            let mut references: Vec<ContentId> = self
                .references
                .iter()
                .map(|(prompt, reference)| {
                    let mut hasher = ContentHasher::new("reference");
                    hasher.conversation(prompt).text(reference);
                    hasher.finish()
                })
                .collect();
            references.sort();
            references.iter().for_each(|reference| {
                hasher.text(reference.as_str());
            });
        }
        hasher.finish()
    }

    /// Address of the prompt of critics that are told the label.
    pub fn conditioned_digest(&self) -> ContentId {
        let mut hasher = ContentHasher::new("conditioned prompt");
        hasher.text(&self.conditioned.identity());
        hasher.finish()
    }

    /// Address of the prompt of meta-judges that compare two critiques.
    pub fn meta_judge_pairwise_digest(&self) -> ContentId {
        let mut hasher = ContentHasher::new("pairwise meta-judge prompt");
        hasher.text(&self.meta_judge_pairwise.identity());
        hasher.finish()
    }
}
