use crate::StatsError;
use crate::bootstrap::below;
use crate::error::all_finite;
use critic_types::SeedTree;
use serde::{Deserialize, Serialize};

/// A response with more subsets than this is resampled instead of enumerated; all of C(16, 8) is less.
pub const MAX_SUBSETS: usize = 20_000;
/// Draws of two subsets each when a pair is resampled.
pub const N_DRAWS: usize = 4_000;

/// The chances that a mean over m critiques ranks a pair right, ties, or ranks it wrong; they sum to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairOdds {
    /// Mean of chosen > mean of rejected.
    pub win: f64,
    /// Both means are equal.
    pub tie: f64,
    /// Mean of chosen < mean of rejected.
    pub loss: f64,
    /// Whether every combination of subsets was counted, or [`N_DRAWS`] were drawn.
    pub exact: bool,
}

/// The odds of a pair when each response is scored by a random subset of m of its critiques.
///
/// Subsets are drawn without replacement, for both responses independently and all equally likely.
/// Counted exactly while neither response has more than [`MAX_SUBSETS`] subsets of that size, otherwise
/// estimated from [`N_DRAWS`] draws of `seed`. Equal multisets of rewards have equal means, whatever
/// order they come in.
///
/// # Errors
/// [`StatsError::TooFew`] when m is 0 or a response has fewer than m rewards,
/// [`StatsError::NotFinite`].
///
/// # Examples
/// ```
/// use critic_stats::critiques::pair_odds;
/// use critic_types::SeedTree;
/// let odds = |m| pair_odds(&[3.0, 0.0], &[1.0, 1.0], m, SeedTree::new(0));
/// assert_eq!(odds(1)?.win, 0.5); // one of the two critiques misleads
/// assert_eq!(odds(2)?.win, 1.0); // their mean does not
/// # Ok::<(), critic_stats::StatsError>(())
/// ```
pub fn pair_odds(
    chosen: &[f64],
    rejected: &[f64],
    m: usize,
    seed: SeedTree,
) -> Result<PairOdds, StatsError> {
    all_finite("chosen reward", chosen)?;
    all_finite("rejected reward", rejected)?;
    let fewest = chosen.len().min(rejected.len());
    if m == 0 || fewest < m {
        let (what, needed) = ("critiques of a response", m.max(1));
        return Err(StatsError::TooFew { what, needed, found: fewest });
    }
    let (chosen, rejected) = (ascending(chosen), ascending(rejected));
    if n_subsets(chosen.len().max(rejected.len()), m) <= MAX_SUBSETS {
        Ok(counted(&subset_sums(&chosen, m), &subset_sums(&rejected, m)))
    } else {
        Ok(drawn(&chosen, &rejected, m, seed))
    }
}

fn ascending(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// C(n, m), or more than [`MAX_SUBSETS`] as soon as it is known to be.
fn n_subsets(n: usize, m: usize) -> usize {
    let m = m.min(n - m);
    let mut count = 1usize;
    for i in 1..=m {
        // C(n − m + i, i) never falls while i grows.
        count = count * (n - m + i) / i;
        if count > MAX_SUBSETS {
            return usize::MAX;
        }
    }
    count
}

/// The sums of all subsets of m values, ascending; each is summed in the order of the values.
fn subset_sums(values: &[f64], m: usize) -> Vec<f64> {
    fn extend(rest: &[f64], m: usize, sum: f64, sums: &mut Vec<f64>) {
        if m == 0 {
            sums.push(sum);
            return;
        }
        for first in 0..=rest.len() - m {
            extend(&rest[first + 1..], m - 1, sum + rest[first], sums);
        }
    }
    let mut sums = Vec::new();
    extend(values, m, 0.0, &mut sums);
    sums.sort_unstable_by(f64::total_cmp);
    sums
}

fn counted(chosen: &[f64], rejected: &[f64]) -> PairOdds {
    let (mut n_win, mut n_tie) = (0u64, 0u64);
    for &sum in chosen {
        let n_below = rejected.partition_point(|&other| other < sum);
        let n_not_above = rejected.partition_point(|&other| other <= sum);
        n_win += n_below as u64;
        n_tie += (n_not_above - n_below) as u64;
    }
    odds(n_win, n_tie, chosen.len() as u64 * rejected.len() as u64, true)
}

fn drawn(chosen: &[f64], rejected: &[f64], m: usize, seed: SeedTree) -> PairOdds {
    let mut rng = seed.rng();
    let mut sum_of_draw = |values: &[f64]| {
        let mut order: Vec<usize> = (0..values.len()).collect();
        for place in 0..m {
            order.swap(place, place + below(&mut rng, values.len() - place));
        }
        order[..m].sort_unstable();
        order[..m].iter().map(|&index| values[index]).sum::<f64>()
    };
    let (mut n_win, mut n_tie) = (0, 0);
    for _ in 0..N_DRAWS {
        let (chosen, rejected) = (sum_of_draw(chosen), sum_of_draw(rejected));
        n_win += u64::from(chosen > rejected);
        n_tie += u64::from(chosen == rejected);
    }
    odds(n_win, n_tie, N_DRAWS as u64, false)
}

fn odds(n_win: u64, n_tie: u64, n: u64, exact: bool) -> PairOdds {
    let share = |part: u64| part as f64 / n as f64;
    PairOdds { win: share(n_win), tie: share(n_tie), loss: share(n - n_win - n_tie), exact }
}
