use crate::{Forest, ForestError, NodeId};
use std::ops::Range;

/// A run of tokens with one path above it: the unit of attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Rows of its tokens; each attends causally to those before it in the run.
    pub rows: Range<usize>,
    /// Rows of all its ancestors, root first; each token attends to every one of them.
    pub prefix: Vec<Range<usize>>,
}

/// The token that follows a row in a sequence that is trained on.
///
/// A row may have several targets: where critiques branch, each has its own next token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The row whose hidden state predicts.
    pub row: usize,
    /// The token to come.
    pub token: u32,
}

/// The token sequences of one preference pair.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PairSequences {
    /// (x, y) of chosen and rejected; the reward of the fast path is read at the last token.
    pub responses: [Vec<u32>; 2],
    /// Whether the reward without critique is trained for this pair.
    pub read_without_critique: bool,
    /// (x, y, z) of chosen and rejected, with the tokens of z that are trained on; the reward is read at the last token.
    pub critiqued: [Vec<(Vec<u32>, Range<usize>)>; 2],
    /// How much better the chosen response is, where the data says so.
    pub margin: Option<f64>,
}

/// A training batch: the forest of some pairs with targets and reward rows.
#[derive(Debug, Clone)]
pub struct TrainingForest {
    /// Token of each row.
    pub tokens: Vec<u32>,
    /// Position of each row in its sequence.
    pub positions: Vec<u32>,
    /// The runs of tokens, by row.
    pub segments: Vec<Segment>,
    /// What the critique loss predicts.
    pub targets: Vec<Target>,
    /// Rows where rewards are read.
    pub reward_rows: Vec<usize>,
    /// For each pair the compared rewards: indices into `reward_rows`, chosen first.
    pub comparisons: Vec<Vec<(usize, usize)>>,
    /// For each pair its margin.
    pub margins: Vec<Option<f64>>,
    /// Tokens that the same sequences have one by one.
    pub n_unshared_tokens: usize,
}

impl TrainingForest {
    /// Builds the forest of `pairs`.
    ///
    /// A pair's comparisons are the i-th chosen with the i-th rejected critique, the shorter list going
    /// round, and the two responses without critique where that is asked for.
    ///
    /// # Errors
    /// [`ForestError::EmptySequence`].
    pub fn build(pairs: &[PairSequences]) -> Result<Self, ForestError> {
        let mut forest = Forest::new(usize::MAX);
        let mut read = Reader::default();
        let mut comparisons = Vec::with_capacity(pairs.len());
        let mut marks: Vec<(NodeId, Range<usize>, Vec<u32>)> = Vec::new();
        for pair in pairs {
            let mut sides: [Vec<usize>; 2] = [Vec::new(), Vec::new()];
            let mut pair_comparisons = Vec::new();
            if pair.read_without_critique {
                let mut ends = [0; 2];
                for (side, tokens) in pair.responses.iter().enumerate() {
                    ends[side] = read.at(&mut forest, tokens)?.1;
                }
                pair_comparisons.push((ends[0], ends[1]));
            }
            for (side, critiques) in pair.critiqued.iter().enumerate() {
                for (tokens, label_span) in critiques {
                    let (node, reward) = read.at(&mut forest, tokens)?;
                    sides[side].push(reward);
                    marks.push((node, label_span.clone(), tokens[label_span.clone()].to_vec()));
                }
            }
            let [chosen, rejected] = &sides;
            if !chosen.is_empty() && !rejected.is_empty() {
                let n = chosen.len().max(rejected.len());
                pair_comparisons.extend(
                    (0..n).map(|i| (chosen[i % chosen.len()], rejected[i % rejected.len()])),
                );
            }
            comparisons.push(pair_comparisons);
        }
        let row = |node: NodeId, position: usize| {
            forest.row_at(node, position).expect("a position inside a sequence that was inserted")
        };
        let targets = marks
            .iter()
            .flat_map(|(node, span, labels)| {
                span.clone()
                    .zip(labels)
                    .filter(|(position, _)| *position > 0)
                    .map(|(position, &token)| Target { row: row(*node, position - 1), token })
            })
            .collect();
        let reward_rows = read.ends.iter().map(|&(node, position)| row(node, position)).collect();
        let mut tokens = vec![0; forest.n_rows()];
        let mut positions = vec![0; forest.n_rows()];
        let mut segments = Vec::new();
        for id in forest.nodes_by_row() {
            let rows = forest.rows(id);
            tokens[rows.clone()].copy_from_slice(forest.tokens(id));
            for (offset, position) in positions[rows.clone()].iter_mut().enumerate() {
                *position = (forest.depth(id) + offset) as u32;
            }
            segments.push(Segment { rows, prefix: forest.prefix_rows(id) });
        }
        Ok(Self {
            tokens,
            positions,
            segments,
            targets,
            reward_rows,
            comparisons,
            margins: pairs.iter().map(|pair| pair.margin).collect(),
            n_unshared_tokens: read.n_unshared,
        })
    }

    /// How many tokens are computed.
    pub fn n_tokens(&self) -> usize {
        self.tokens.len()
    }
}

/// Inserts sequences and remembers where their rewards are read.
#[derive(Debug, Default)]
struct Reader {
    ends: Vec<(NodeId, usize)>,
    n_unshared: usize,
}

impl Reader {
    fn at(&mut self, forest: &mut Forest, tokens: &[u32]) -> Result<(NodeId, usize), ForestError> {
        let node = forest.insert(None, tokens, 0)?.node;
        self.n_unshared += tokens.len();
        self.ends.push((node, tokens.len() - 1));
        Ok((node, self.ends.len() - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_with_critiques_shares_prompt_and_response() {
        let pair = PairSequences {
            responses: [vec![1, 2, 10], vec![1, 2, 20]],
            read_without_critique: true,
            critiqued: [
                vec![(vec![1, 2, 10, 7, 30, 9], 4..6), (vec![1, 2, 10, 7, 31, 9], 4..6)],
                vec![(vec![1, 2, 20, 7, 32, 9], 4..6)],
            ],
            margin: None,
        };
        let forest = TrainingForest::build(&[pair]).unwrap();
        assert_eq!(forest.n_tokens(), 2 + (2 + 4) + (2 + 2));
        assert_eq!(forest.n_unshared_tokens, 24);
        // The branching row, the request's last token, predicts both critiques' first tokens.
        let branch = forest.targets.iter().find(|t| t.token == 30).unwrap().row;
        assert_eq!(
            forest.targets.iter().filter(|t| t.row == branch).map(|t| t.token).collect::<Vec<_>>(),
            [30, 31]
        );
        assert_eq!(forest.targets.len(), 6);
        for &row in &forest.reward_rows[2..] {
            assert_eq!(forest.tokens[row], 9);
        }
        assert_eq!(forest.comparisons, [vec![(0, 1), (2, 4), (3, 4)]]);
        for segment in &forest.segments {
            let above: usize = segment.prefix.iter().map(ExactSizeIterator::len).sum();
            assert_eq!(forest.positions[segment.rows.start] as usize, above);
        }
    }

    #[test]
    fn pairs_of_one_prompt_share_it() {
        let pair = |chosen: u32, rejected: u32, margin| PairSequences {
            responses: [vec![1, 2, 3, chosen], vec![1, 2, 3, rejected]],
            read_without_critique: true,
            margin,
            ..PairSequences::default()
        };
        let forest = TrainingForest::build(&[pair(10, 11, Some(2.0)), pair(10, 12, None)]).unwrap();
        assert_eq!(forest.n_tokens(), 3 + 3);
        assert_eq!(forest.comparisons.len(), 2);
        assert_eq!(forest.margins, [Some(2.0), None]);
    }

    #[test]
    fn the_same_critique_twice_counts_twice() {
        let critique = (vec![1, 5, 6], 1..3);
        let pair = PairSequences {
            responses: [vec![1], vec![2]],
            critiqued: [vec![critique.clone(), critique], vec![(vec![2, 5, 6], 1..3)]],
            ..PairSequences::default()
        };
        let forest = TrainingForest::build(&[pair]).unwrap();
        assert_eq!(forest.n_tokens(), 6);
        assert_eq!(forest.targets.len(), 6);
        assert_eq!(forest.comparisons[0].len(), 2);
    }
}
