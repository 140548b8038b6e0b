use crate::TrainError;
use critic_forest::{PairSequences, TrainingForest};
use critic_text::{Ending, Prompts, Renderer};
use critic_types::{ContentHasher, ContentId, Conversation, PreferencePair, SeedTree, Side};
use std::ops::Range;

/// A critique to train on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CritiqueText {
    /// The response it is about.
    pub side: Side,
    /// Its text.
    pub text: String,
}

/// A preference pair as tokens.
#[derive(Debug, Clone)]
pub struct TrainPair {
    /// The pair's id; its draws are named by it.
    pub id: String,
    /// Address of the prompt: pairs of one prompt go into the same forest.
    pub prompt: ContentId,
    /// How much better the chosen response is, where the data says so.
    pub margin: Option<f64>,
    /// (x, y) of chosen and rejected, closed.
    pub responses: [Vec<u32>; 2],
    /// (x, y, z) of every critique of chosen and rejected, closed, with the tokens of z.
    pub critiqued: [Vec<(Vec<u32>, Range<usize>)>; 2],
}

/// Renders pairs and their critiques; a pair that cannot be trained on is its error, for the caller to
/// count.
///
/// - [`TrainError::Render`] when the template refuses it,
/// - [`TrainError::BeyondContext`] when a sequence is longer than `context`,
/// - [`TrainError::PairTooLong`] when an epoch's draw of `critiques_per_response` critiques (0: all) could
///   have more distinct tokens than `max_pair_tokens`.
pub fn build_pairs(
    pairs: &[(&PreferencePair, Vec<CritiqueText>)],
    renderer: &Renderer,
    prompts: &Prompts,
    context: usize,
    critiques_per_response: usize,
    max_pair_tokens: usize,
) -> Vec<Result<TrainPair, TrainError>> {
    let build = |(pair, critiques): &(&PreferencePair, Vec<CritiqueText>)| {
        let built = build_pair(pair, critiques, renderer, prompts, context)?;
        let n_tokens = built.n_tokens(critiques_per_response)?;
        if n_tokens > max_pair_tokens {
            return Err(TrainError::PairTooLong {
                pair_id: pair.id.clone(),
                n_tokens,
                limit: max_pair_tokens,
            });
        }
        Ok(built)
    };
    pairs.iter().map(build).collect()
}

fn build_pair(
    pair: &PreferencePair,
    critiques: &[CritiqueText],
    renderer: &Renderer,
    prompts: &Prompts,
    context: usize,
) -> Result<TrainPair, TrainError> {
    let render = |conversation: &Conversation| {
        let rendered = renderer.render(conversation, Ending::Closed);
        let rendered =
            rendered.map_err(|source| TrainError::Render { pair_id: pair.id.clone(), source })?;
        if rendered.tokens.len() > context {
            return Err(TrainError::BeyondContext {
                pair_id: pair.id.clone(),
                n_tokens: rendered.tokens.len(),
                context,
            });
        }
        Ok(rendered)
    };
    let mut responses = [Vec::new(), Vec::new()];
    let mut critiqued = [Vec::new(), Vec::new()];
    for (i, side) in Side::BOTH.into_iter().enumerate() {
        responses[i] = render(&pair.conversation(side))?.tokens;
        for critique in critiques.iter().filter(|critique| critique.side == side) {
            let rendered =
                render(&prompts.critiqued(&pair.prompt, pair.response(side), &critique.text))?;
            let label_span = rendered.label_span.unwrap_or(0..0);
            critiqued[i].push((rendered.tokens, label_span));
        }
    }
    let mut prompt = ContentHasher::new("prompt");
    prompt.conversation(&pair.prompt);
    Ok(TrainPair {
        id: pair.id.clone(),
        prompt: prompt.finish(),
        margin: pair.margin,
        responses,
        critiqued,
    })
}

impl TrainPair {
    /// At least the tokens of a draw of `n` critiques of each response (0: all), prefixes counted each time.
    pub(crate) fn n_unshared_tokens(&self, n: usize) -> usize {
        let critiqued = self.critiqued.iter().map(|critiques| {
            let n_drawn = if n == 0 { critiques.len() } else { n.min(critiques.len()) };
            n_drawn * critiques.iter().map(|(tokens, _)| tokens.len()).max().unwrap_or(0)
        });
        self.responses.iter().map(Vec::len).chain(critiqued).sum()
    }

    /// The most distinct tokens that a draw of `n` critiques of each response can have (0: all).
    ///
    /// A critique adds at most its tokens past those that it shares with its response; critiques that
    /// begin alike may add fewer.
    pub(crate) fn n_tokens(&self, n: usize) -> Result<usize, TrainError> {
        let distinct = |critiqued: [Vec<(Vec<u32>, Range<usize>)>; 2]| {
            let sequences = PairSequences {
                responses: self.responses.clone(),
                read_without_critique: true,
                critiqued,
                margin: None,
            };
            TrainingForest::build(&[sequences]).map(|forest| forest.n_tokens())
        };
        let all = distinct(self.critiqued.clone())?;
        if n == 0 || self.critiqued.iter().all(|critiques| critiques.len() <= n) {
            return Ok(all);
        }
        let added = |side: usize| -> usize {
            let response = &self.responses[side];
            let own = |(tokens, _): &(Vec<u32>, Range<usize>)| {
                let shared = tokens.iter().zip(response).take_while(|(a, b)| a == b).count();
                tokens.len() - shared
            };
            let mut own: Vec<usize> = self.critiqued[side].iter().map(own).collect();
            own.sort_unstable_by(|a, b| b.cmp(a));
            own.into_iter().take(n).sum()
        };
        Ok(all.min(distinct([Vec::new(), Vec::new()])? + added(0) + added(1)))
    }

    /// What one epoch trains on: `n` critiques of each response (0: all), other ones than the epoch
    /// before while there are others, and the reward without critique where the draw says so or where
    /// a side has no critiques.
    pub fn draw(
        &self,
        seed: &SeedTree,
        epoch: usize,
        n: usize,
        critique_dropout: f64,
    ) -> PairSequences {
        let node = seed.child(&self.id);
        let mut critiqued = [Vec::new(), Vec::new()];
        for (i, side) in Side::BOTH.into_iter().enumerate() {
            let all = &self.critiqued[i];
            let n_drawn = if n == 0 { all.len() } else { n.min(all.len()) };
            let order = node.child(side.as_str()).permutation(all.len());
            critiqued[i] = (0..n_drawn)
                .map(|j| all[order[(epoch * n_drawn + j) % all.len()]].clone())
                .collect();
        }
        let has_critiques = critiqued.iter().all(|side| !side.is_empty());
        let dropped =
            node.child("critique-dropout").index(epoch as u64).uniform() < critique_dropout;
        PairSequences {
            responses: self.responses.clone(),
            read_without_critique: dropped || !has_critiques,
            critiqued,
            margin: self.margin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(n: usize) -> TrainPair {
        let critiques = |side: u32| (0..n as u32).map(|i| (vec![side, i, 9], 1..3)).collect();
        TrainPair {
            id: "p".to_owned(),
            prompt: ContentHasher::new("prompt").finish(),
            margin: None,
            responses: [vec![1], vec![2]],
            critiqued: [critiques(1), critiques(2)],
        }
    }

    #[test]
    fn every_epoch_draws_another_critique_until_all_are_seen() {
        let pair = pair(3);
        let seed = SeedTree::new(5);
        let drawn = |epoch| pair.draw(&seed, epoch, 1, 0.0).critiqued[0][0].0[1];
        let mut seen: Vec<u32> = (0..3).map(drawn).collect();
        assert_eq!(drawn(0), drawn(3));
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2]);
    }

    #[test]
    fn a_pair_is_as_long_as_its_longest_draw_and_not_as_all_its_critiques() {
        let mut pair = pair(5);
        pair.critiqued[0][3] = (vec![1, 3, 9, 9, 9], 1..5);
        for n in 1..=5 {
            let longest = pair.n_tokens(n).unwrap();
            let drawn = (0..5).map(|epoch| {
                let drawn = pair.draw(&SeedTree::new(7), epoch, n, 1.0);
                TrainingForest::build(&[drawn]).unwrap().n_tokens()
            });
            assert_eq!(drawn.max(), Some(longest), "{n} of five");
        }
        assert_eq!(pair.n_tokens(1).unwrap(), 2 + 4 + 2);
        assert_eq!(pair.n_tokens(0).unwrap(), pair.n_tokens(5).unwrap());
    }

    #[test]
    fn a_pair_without_critiques_is_read_without() {
        let drawn = pair(0).draw(&SeedTree::new(0), 0, 2, 0.0);
        assert!(drawn.read_without_critique && drawn.critiqued[0].is_empty());
        assert!(!pair(1).draw(&SeedTree::new(0), 0, 2, 0.0).read_without_critique);
        assert!(pair(1).draw(&SeedTree::new(0), 0, 2, 1.0).read_without_critique);
        assert_eq!(pair(4).draw(&SeedTree::new(0), 0, 0, 0.0).critiqued[1].len(), 4);
    }
}
