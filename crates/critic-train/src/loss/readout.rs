use critic_forest::TrainingForest;
use critic_kernels::cross_entropy::Target;

/// The rows of a forest whose hidden states the losses read: first those that predict, then those with a
/// reward.
#[derive(Debug)]
pub(crate) struct Readout {
    /// Rows of the forest.
    pub(crate) rows: Vec<usize>,
    /// How many of them predict; each stands once, however many targets it has.
    pub(crate) n_predicting: usize,
    /// What they predict, sorted by row, which counts `rows`.
    pub(crate) targets: Vec<Target>,
}

impl Readout {
    pub(crate) fn new(forest: &TrainingForest) -> Self {
        let mut rows: Vec<usize> = forest.targets.iter().map(|target| target.row).collect();
        rows.sort_unstable();
        rows.dedup();
        let mut targets: Vec<Target> = Vec::with_capacity(forest.targets.len());
        for target in &forest.targets {
            // Every target's row is among those that are read.
            let row = rows.partition_point(|&row| row < target.row) as u32;
            targets.push(Target { row, token: target.token });
        }
        targets.sort_by_key(|target| target.row);
        let n_predicting = rows.len();
        rows.extend_from_slice(&forest.reward_rows);
        Self { rows, n_predicting, targets }
    }
}
