use anyhow::Result;
use critic_forest::{PairSequences, TrainingForest};
use critic_model::config::DecoderConfig;
use critic_train::TrainPair;
use critic_types::SeedTree;
use std::collections::HashSet;
use std::ops::AddAssign;

/// What the arithmetic of a training step depends on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Distinct tokens: each prefix of a pair's sequences once.
    pub(super) n_tokens: usize,
    /// Rows whose next token is predicted; where critiques branch, one row predicts several.
    pub(super) n_target_rows: usize,
    /// (token, token it attends to) pairs, itself included.
    pub(super) n_attended: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.n_tokens += other.n_tokens;
        self.n_target_rows += other.n_target_rows;
        self.n_attended += other.n_attended;
    }
}

impl Counts {
    /// The counts of one epoch over these pairs, every critique taken; nothing is shared between pairs.
    pub(super) fn of(pairs: &[TrainPair]) -> Result<Self> {
        let mut counts = Self::default();
        for pair in pairs {
            counts += Self::of_pair(&pair.draw(&SeedTree::new(0), 0, 0, 0.0))?;
        }
        Ok(counts)
    }

    fn of_pair(pair: &PairSequences) -> Result<Self> {
        let forest = TrainingForest::build(std::slice::from_ref(pair))?;
        let target_rows: HashSet<usize> = forest.targets.iter().map(|target| target.row).collect();
        Ok(Self {
            n_tokens: forest.n_tokens(),
            n_target_rows: target_rows.len(),
            n_attended: forest.positions.iter().map(|&position| position as usize + 1).sum(),
        })
    }
}

/// Weights of a decoder's linear layers, without the embedding and the LM head.
///
/// n_layers · d_model · (2 · n_heads · head_dim + 2 · n_kv_heads · head_dim + 3 · d_ff): queries and
/// output, keys and values, and the three matrices of the gated feed-forward network.
fn linear_parameters(config: &DecoderConfig) -> usize {
    let heads = 2 * config.head_dim * (config.n_heads + config.n_kv_heads);
    config.n_layers * config.d_model * (heads + 3 * config.d_ff)
}

/// Floating-point operations that a training step needs, forward and backward.
///
/// 6 · linear parameters · tokens + 6 · vocabulary · d_model · target rows
/// + 12 · n_layers · n_heads · head_dim · attended pairs.
///
/// Each product costs two operations a weight and token forward and twice that backward (Kaplan et al.
/// 2020, appendix C; PaLM, appendix B, for attention, which has two products; here without its mask's
/// upper half; a sliding window is counted as none). What is recomputed, the norms, the reward head and the optimizer are not counted.
pub(super) fn training_flops(config: &DecoderConfig, counts: Counts) -> f64 {
    let linear = 6.0 * linear_parameters(config) as f64 * counts.n_tokens as f64;
    let lm_head = 6.0 * (config.vocab_size * config.d_model) as f64 * counts.n_target_rows as f64;
    let attention_width = (config.n_layers * config.n_heads * config.head_dim) as f64;
    linear + lm_head + 12.0 * attention_width * counts.n_attended as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use critic_model::sources::load_folder;
    use critic_model::weight_shapes;
    use critic_types::ContentHasher;
    use std::path::Path;

    fn tiny() -> DecoderConfig {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reference/golden/tiny_llama");
        load_folder(&root).unwrap().config
    }

    fn pair() -> TrainPair {
        let critiqued = |mark: u32| {
            vec![(vec![1, 2, mark, 7, 30, 9], 4..6), (vec![1, 2, mark, 7, 31, 9], 4..6)]
        };
        TrainPair {
            id: "p".to_owned(),
            prompt: ContentHasher::new("p").finish(),
            margin: None,
            responses: [vec![1, 2, 10], vec![1, 2, 20]],
            critiqued: [critiqued(10), critiqued(20)],
        }
    }

    #[test]
    fn what_is_shared_counts_once() {
        let counts = Counts::of(&[pair(), pair()]).unwrap();
        // A pair: 2 tokens of the prompt; a side 2 more and 2 critiques of 2.
        assert_eq!(counts.n_tokens, 2 * (2 + 2 * (2 + 4)));
        // A side: the row where both critiques branch, and one in each.
        assert_eq!(counts.n_target_rows, 2 * 2 * 3);
        assert_eq!(counts.n_attended, 2 * (1 + 2 + 2 * (3 + 4 + 2 * (5 + 6))));
    }

    #[test]
    fn linear_layers_are_all_matrices_but_the_embeddings() {
        let config = tiny();
        let matrices: usize = weight_shapes(&config)
            .iter()
            .filter(|(name, shape)| shape.len() == 2 && name.contains(".layers."))
            .map(|(_, shape)| shape[0] * shape[1])
            .sum();
        assert_eq!(linear_parameters(&config), matrices);
    }

    #[test]
    fn a_step_costs_the_sum_of_its_parts() {
        let config = tiny();
        let only = |counts| training_flops(&config, counts);
        let tokens = only(Counts { n_tokens: 3, ..Counts::default() });
        assert_eq!(tokens, 18.0 * linear_parameters(&config) as f64);
        let all = Counts { n_tokens: 3, n_target_rows: 5, n_attended: 7 };
        let rows = only(Counts { n_target_rows: 5, ..Counts::default() });
        let attended = only(Counts { n_attended: 7, ..Counts::default() });
        assert_eq!(only(all), tokens + rows + attended);
    }
}
