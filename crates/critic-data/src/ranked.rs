//! What every format's row comes to: a prompt and responses in an order of preference.

use crate::fields::{Object, id, optional_number, optional_text};
use crate::prompts::usable_prompt;
use crate::{Pairing, RowProblem};
use critic_types::{Conversation, OracleCritique, PreferencePair, Provenance, Side};

/// A pair and the critiques that its row brought along.
#[derive(Debug, Clone, PartialEq)]
pub struct AnnotatedPair {
    /// Prompt, two responses, label.
    pub pair: PreferencePair,
    /// Critiques of either response, or of both; their `pair_id` is the pair's.
    pub critiques: Vec<OracleCritique>,
}

/// Two responses of a row, named as `better>worse` where there are more, and what became of them.
pub(crate) type Comparison<T> = (String, Result<T, RowProblem>);

/// One response of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) text: String,
    /// Larger is better; equal is a tie. Only the order counts, unless the margin is the difference.
    pub(crate) score: f64,
    pub(crate) critiques: Vec<(String, Provenance)>,
}

impl Answer {
    pub(crate) fn new(text: impl Into<String>, score: f64) -> Self {
        Self { text: text.into(), score, critiques: Vec::new() }
    }
}

/// How much better the better response of two is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Margin {
    /// The data does not say.
    Unknown,
    /// The row says.
    Given(f64),
    /// The difference of the scores.
    Difference,
}

/// A row: responses to one prompt, in an order of preference.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ranked {
    /// As the row says; absent when it has none.
    pub(crate) id: Option<String>,
    pub(crate) domain: Option<String>,
    pub(crate) subset: Option<String>,
    pub(crate) prompt: Conversation,
    pub(crate) answers: Vec<Answer>,
    pub(crate) margin: Margin,
    /// Critiques that compare the responses.
    pub(crate) about_all: Vec<(String, Provenance)>,
}

impl Ranked {
    /// A row with the columns that all formats share: `id`, `domain`, `subset` (or `source`), `margin`.
    pub(crate) fn new(
        row: &Object,
        prompt: Conversation,
        answers: Vec<Answer>,
    ) -> Result<Self, RowProblem> {
        let subset = match optional_text(row, "subset")? {
            None => row.get("source").and_then(|source| source.as_str()).map(str::to_owned),
            subset => subset,
        };
        Ok(Self {
            id: id(row)?,
            domain: optional_text(row, "domain")?,
            subset,
            prompt,
            answers,
            margin: optional_number(row, "margin")?.map_or(Margin::Unknown, Margin::Given),
            about_all: Vec::new(),
        })
    }

    /// A row whose first response is the chosen one.
    pub(crate) fn pair(
        row: &Object,
        prompt: Conversation,
        chosen: impl Into<String>,
        rejected: impl Into<String>,
    ) -> Result<Self, RowProblem> {
        Self::new(row, prompt, vec![Answer::new(chosen, 1.0), Answer::new(rejected, 0.0)])
    }

    /// The same row with the difference of the scores as margin.
    pub(crate) fn with_difference(mut self) -> Self {
        if self.margin == Margin::Unknown {
            self.margin = Margin::Difference;
        }
        self
    }

    /// Every comparison of two responses, as a pair or as the reason why it is none.
    ///
    /// A row of two responses gives one. A row of more gives one for each two (`Pairing::All`), or one for
    /// the best response and each worse one. The id of a pair from a row of more says which two: `id/0>2`.
    pub(crate) fn comparisons(
        mut self,
        pairing: Pairing,
    ) -> Result<Vec<Comparison<AnnotatedPair>>, RowProblem> {
        usable_prompt(&self.prompt)?;
        let n = self.answers.len();
        if n < 2 {
            return Err(RowProblem::TooFewResponses);
        }
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| self.answers[b].score.total_cmp(&self.answers[a].score));
        let firsts = match pairing {
            Pairing::All => n - 1,
            Pairing::BestAgainstRest => 1,
        };
        if let [better, worse] = order[..] {
            let pair = self.check(better, worse).map(|()| {
                let take = |answer: &mut Answer| std::mem::replace(answer, Answer::new("", 0.0));
                let (chosen, rejected) =
                    (take(&mut self.answers[better]), take(&mut self.answers[worse]));
                let prompt = std::mem::take(&mut self.prompt);
                self.pair_of(prompt, chosen, rejected, "")
            });
            return Ok(vec![(String::new(), pair)]);
        }
        let mut all = Vec::new();
        for (place, &better) in order.iter().enumerate().take(firsts) {
            for &worse in &order[place + 1..] {
                let name = format!("{better}>{worse}");
                let pair = self.check(better, worse).map(|()| {
                    let (chosen, rejected) = (&self.answers[better], &self.answers[worse]);
                    self.pair_of(self.prompt.clone(), chosen.clone(), rejected.clone(), &name)
                });
                all.push((name, pair));
            }
        }
        Ok(all)
    }

    /// Whether one response is better than another, and both can be used.
    fn check(&self, better: usize, worse: usize) -> Result<(), RowProblem> {
        let (chosen, rejected) = (&self.answers[better], &self.answers[worse]);
        if chosen.text.trim().is_empty() || rejected.text.trim().is_empty() {
            return Err(RowProblem::EmptyResponse);
        }
        if chosen.text == rejected.text {
            return Err(RowProblem::IdenticalResponses);
        }
        // NaN and equal scores alike.
        if chosen.score.partial_cmp(&rejected.score) != Some(std::cmp::Ordering::Greater) {
            return Err(RowProblem::Tie);
        }
        Ok(())
    }

    fn pair_of(
        &self,
        prompt: Conversation,
        chosen: Answer,
        rejected: Answer,
        name: &str,
    ) -> AnnotatedPair {
        let id = match (&self.id, name) {
            (None, _) => String::new(),
            (Some(id), "") => id.clone(),
            (Some(id), name) => format!("{id}/{name}"),
        };
        let margin = match self.margin {
            Margin::Unknown => None,
            Margin::Given(margin) => Some(margin),
            Margin::Difference => Some(chosen.score - rejected.score).filter(|m| m.is_finite()),
        };
        let sides = [
            (Some(Side::Chosen), &chosen.critiques),
            (Some(Side::Rejected), &rejected.critiques),
            (None, &self.about_all),
        ];
        let critiques = sides
            .into_iter()
            .flat_map(|(side, critiques)| critiques.iter().map(move |critique| (side, critique)))
            .filter(|(_, (text, _))| !text.trim().is_empty())
            .map(|(side, (text, provenance))| OracleCritique {
                pair_id: String::new(),
                side,
                text: text.clone(),
                provenance: *provenance,
            })
            .collect();
        AnnotatedPair {
            pair: PreferencePair {
                id,
                prompt,
                chosen: chosen.text,
                rejected: rejected.text,
                margin,
                domain: self.domain.clone(),
                subset: self.subset.clone(),
            },
            critiques,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(scores: &[f64]) -> Ranked {
        let answers = scores.iter().enumerate().map(|(i, s)| Answer::new(format!("r{i}"), *s));
        Ranked::new(&Object::new(), Conversation::from_user("q"), answers.collect())
            .unwrap()
            .with_difference()
    }

    fn pairs(scores: &[f64], pairing: Pairing) -> Vec<String> {
        let all = ranked(scores).comparisons(pairing).unwrap();
        all.into_iter()
            .map(|(name, pair)| match pair {
                Ok(AnnotatedPair { pair, .. }) => format!("{}>{}", pair.chosen, pair.rejected),
                Err(problem) => format!("{name} {problem}"),
            })
            .collect()
    }

    #[test]
    fn a_ranking_gives_every_comparison_or_the_best_against_the_rest() {
        assert_eq!(pairs(&[1.0, 3.0, 2.0], Pairing::All), ["r1>r2", "r1>r0", "r2>r0"]);
        assert_eq!(pairs(&[1.0, 3.0, 2.0], Pairing::BestAgainstRest), ["r1>r2", "r1>r0"]);
        assert_eq!(pairs(&[1.0, 1.0, 0.0], Pairing::All), ["0>1 tie", "r0>r2", "r1>r2"]);
        assert_eq!(pairs(&[f64::NAN, 1.0], Pairing::All), ["tie"].map(|t| format!(" {t}")));
    }

    #[test]
    fn the_margin_is_the_difference_of_the_scores() {
        let all = ranked(&[1.0, 3.5]).comparisons(Pairing::All).unwrap();
        assert_eq!(all[0].1.as_ref().unwrap().pair.margin, Some(2.5));
        assert_eq!(ranked(&[1.0]).comparisons(Pairing::All), Err(RowProblem::TooFewResponses));
    }
}
