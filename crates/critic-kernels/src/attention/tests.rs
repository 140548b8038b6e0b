use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::testing::{assert_close, assert_close_or_below, bits, numbers, wide, with_threads};

/// A forest in training: queries and keys are the same tokens.
struct Forest {
    shape: AttentionShape,
    runs: Vec<QueryRun>,
    n_tokens: usize,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

/// One head of one number that sees its whole path.
pub(super) fn plain(scale: f32) -> AttentionShape {
    AttentionShape { n_heads: 1, n_kv_heads: 1, head_dim: 1, scale, window: None, softcap: None }
}

fn shape(n_kv_heads: usize, group: usize, head_dim: usize) -> AttentionShape {
    let n_heads = n_kv_heads * group;
    AttentionShape { n_heads, n_kv_heads, head_dim, ..plain(1.0 / (head_dim as f32).sqrt()) }
}

/// Windows and caps that change something, the kinds of shape that models have.
const KINDS: [(Option<usize>, Option<f32>); 7] = [
    (Some(1), None),
    (Some(5), None),
    (Some(64), None),
    (Some(70), Some(0.7)),
    (Some(130), None),
    (None, Some(1.5)),
    (Some(usize::MAX), Some(50.0)),
];

impl Forest {
    /// Nodes as (parent, length), parents first.
    fn new(shape: AttentionShape, nodes: &[(Option<usize>, usize)]) -> Self {
        let (mut runs, mut n_tokens) = (Vec::<QueryRun>::new(), 0);
        for &(parent, query_len) in nodes {
            let mut prefix = Vec::new();
            if let Some(parent) = parent {
                let run = &runs[parent];
                prefix.clone_from(&run.prefix);
                prefix.push(run.own_start..run.own_start + run.query_len);
            }
            runs.push(QueryRun { query_start: n_tokens, query_len, prefix, own_start: n_tokens });
            n_tokens += query_len;
        }
        let width = shape.n_heads * shape.head_dim;
        let kv_width = shape.n_kv_heads * shape.head_dim;
        Self {
            shape,
            runs,
            n_tokens,
            q: numbers(n_tokens * width, 1).iter().map(|x| 3.0 * x).collect(),
            k: numbers(n_tokens * kv_width, 2),
            v: numbers(n_tokens * kv_width, 3),
        }
    }

    /// A prompt, two responses and their critiques, and a lone sequence.
    fn usual(shape: AttentionShape) -> Self {
        let nodes = [
            (None, 70),
            (Some(0), 33),
            (Some(1), 40),
            (Some(1), 1),
            (Some(0), 59),
            (Some(4), 29),
            (Some(4), 64),
            (None, 67),
            (Some(0), 0),
        ];
        Self::new(shape, &nodes)
    }

    fn forward(&self) -> (Vec<f32>, Vec<f32>) {
        let mut out = vec![f32::NAN; self.q.len()];
        let mut log_sum_exp = vec![f32::NAN; self.n_tokens * self.shape.n_heads];
        let Self { shape, runs, q, k, v, .. } = self;
        forward(shape, runs, q, k, v, &mut out, &mut log_sum_exp).unwrap();
        (out, log_sum_exp)
    }

    fn backward(&self, grad_out: &[f32]) -> [Vec<f32>; 3] {
        let (out, sums) = self.forward();
        let Self { shape, runs, q, k, v, .. } = self;
        let mut grads = [q, k, v].map(|x| vec![f32::NAN; x.len()]);
        let [gq, gk, gv] = &mut grads;
        backward(shape, runs, q, k, v, &out, &sums, grad_out, gq, gk, gv).unwrap();
        grads
    }

    /// Which keys each query sees, by key row.
    fn mask(&self) -> Vec<Vec<bool>> {
        let mut mask = vec![vec![false; self.n_tokens]; self.n_tokens];
        for run in &self.runs {
            for i in 0..run.query_len {
                let own = run.own_start..run.own_start + i + 1;
                let path: Vec<usize> = run.prefix.iter().cloned().flatten().chain(own).collect();
                let hidden = path.len().saturating_sub(self.shape.window.unwrap_or(usize::MAX));
                for &key in &path[hidden..] {
                    mask[run.query_start + i][key] = true;
                }
            }
        }
        mask
    }

    /// Dense attention under the mask in `f64`: output, log-sum-exp, and the gradients.
    fn reference(&self, grad_out: &[f32]) -> [Vec<f64>; 5] {
        let AttentionShape { n_heads, n_kv_heads, head_dim: d, scale, .. } = self.shape;
        let cap = self.shape.softcap.map(f64::from);
        let (q, k, v) = (wide(&self.q), wide(&self.k), wide(&self.v));
        let (grad_out, scale) = (wide(grad_out), f64::from(scale));
        let mut out = vec![0.0; q.len()];
        let mut sums = vec![0.0; self.n_tokens * n_heads];
        let [mut gq, mut gk, mut gv] = [&q, &k, &v].map(|x| vec![0.0; x.len()]);
        for (query, mask) in self.mask().iter().enumerate() {
            for head in 0..n_heads {
                let iq = (query * n_heads + head) * d;
                let ik = |key: usize| (key * n_kv_heads + head * n_kv_heads / n_heads) * d;
                let keys: Vec<usize> = (0..self.n_tokens).filter(|&key| mask[key]).collect();
                let product =
                    |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                let plain = |key: usize| scale * product(&q[iq..iq + d], &k[ik(key)..ik(key) + d]);
                let score = |key: usize| cap.map_or(plain(key), |c| c * (plain(key) / c).tanh());
                let slope = |key: usize| cap.map_or(1.0, |c| 1.0 - (plain(key) / c).tanh().powi(2));
                let max = keys.iter().map(|&key| score(key)).fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = keys.iter().map(|&key| (score(key) - max).exp()).sum();
                sums[query * n_heads + head] = max + sum.ln();
                let p = |key: usize| (score(key) - max).exp() / sum;
                for &key in &keys {
                    for c in 0..d {
                        out[iq + c] += p(key) * v[ik(key) + c];
                    }
                }
                let go = &grad_out[iq..iq + d];
                let mean = product(go, &out[iq..iq + d]);
                for &key in &keys {
                    let grad = p(key) * (product(go, &v[ik(key)..ik(key) + d]) - mean);
                    let grad = grad * slope(key) * scale;
                    for c in 0..d {
                        gv[ik(key) + c] += p(key) * go[c];
                        gq[iq + c] += grad * k[ik(key) + c];
                        gk[ik(key) + c] += grad * q[iq + c];
                    }
                }
            }
        }
        [out, sums, gq, gk, gv]
    }

    fn check(&self) {
        let grad_out = numbers(self.q.len(), 4);
        let (out, sums) = self.forward();
        let found = self.backward(&grad_out);
        let [expected_out, expected_sums, gradients @ ..] = self.reference(&grad_out);
        assert_close(&out, &expected_out, 1e-5);
        assert_close(&sums, &expected_sums, 1e-5);
        for (found, expected) in found.iter().zip(&gradients) {
            // A query that sees one key has gradients of zero: two equal products, one less
            // the other.
            assert_close_or_below(found, expected, 1e-4, 1e-6);
        }
    }
}

/// Runs that each decode one token of `forest`, its own key row last on its path.
fn decoding(forest: &Forest) -> Vec<QueryRun> {
    let mut runs = Vec::new();
    for run in &forest.runs {
        for i in 0..run.query_len {
            let mut prefix = run.prefix.clone();
            prefix.push(run.own_start..run.own_start + i);
            let (query_start, own_start) = (run.query_start + i, run.own_start + i);
            runs.push(QueryRun { query_start, query_len: 1, prefix, own_start });
        }
    }
    runs
}

#[test]
fn a_forest_equals_dense_attention_under_its_mask() {
    for (n_kv_heads, group, head_dim) in [(2, 3, 16), (1, 8, 5), (3, 1, 32), (1, 1, 1), (1, 3, 71)]
    {
        Forest::usual(shape(n_kv_heads, group, head_dim)).check();
    }
}

#[test]
fn windows_and_caps_equal_dense_attention_too() {
    for (window, softcap) in KINDS {
        for (n_kv_heads, group, head_dim) in [(2, 3, 16), (1, 1, 7)] {
            let shape = AttentionShape { window, softcap, ..shape(n_kv_heads, group, head_dim) };
            Forest::usual(shape).check();
        }
    }
}

#[test]
fn a_window_of_one_gives_each_token_its_own_value() {
    let shape = AttentionShape { window: Some(1), ..shape(1, 1, 8) };
    let forest = Forest::usual(shape);
    assert_eq!(bits(&forest.forward().0), bits(&forest.v));
}

#[test]
fn a_key_that_is_not_a_number_leaves_the_window_with_its_token() {
    let shape = AttentionShape { window: Some(20), ..shape(1, 3, 16) };
    let mut forest = Forest::new(shape, &[(None, 170)]);
    let (out, grads) = (forest.forward().0, forest.backward(&forest.q));
    let poisoned = 60 * 16..61 * 16;
    forest.k[poisoned.clone()].fill(f32::NAN);
    forest.v[poisoned].fill(f32::NAN);
    let (found, found_grads) = (forest.forward().0, forest.backward(&forest.q));
    let (touched, free) = (60 * 48..80 * 48, 80 * 48..170 * 48);
    assert!(found[touched].iter().all(|x| x.is_nan()));
    assert_eq!(bits(&out[free.clone()]), bits(&found[free.clone()]));
    assert_eq!(bits(&grads[0][free.clone()]), bits(&found_grads[0][free]));
}

#[test]
fn a_lone_token_sees_itself() {
    let forest = Forest::new(shape(1, 3, 8), &[(None, 1)]);
    assert_eq!(forest.forward().0[..8], forest.v[..]);
    forest.check();
}

#[test]
fn the_score_of_a_lone_key_has_a_gradient_of_exactly_zero() {
    for head_dim in [1, 7, 24, 64] {
        let forest = Forest::new(shape(2, 3, head_dim), &[(None, 1), (None, 1)]);
        let [grad_q, grad_k, _] = forest.backward(&numbers(forest.q.len(), 9));
        assert!(grad_q.iter().chain(&grad_k).all(|&grad| grad == 0.0));
    }
}

#[test]
fn more_heads_than_a_piece_has_rows_are_served() {
    Forest::new(shape(1, 100, 4), &[(None, 5), (Some(0), 3)]).check();
}

#[test]
fn extreme_scores_stay_finite_and_right() {
    for scale in [80.0, 1e4, 1e-30] {
        let mut forest = Forest::usual(shape(1, 3, 4));
        forest.q.iter_mut().for_each(|x| *x *= scale);
        let (out, sums) = forest.forward();
        let [expected_out, expected_sums, ..] = forest.reference(&forest.q);
        // A score of 1e4 is right to a unit in its last place, 1e-3, and so is its exponential.
        assert_close(&out, &expected_out, 1e-2);
        assert_close(&sums, &expected_sums, 1e-5);
        let grads = forest.backward(&numbers(forest.q.len(), 5));
        assert!(grads.iter().flatten().all(|x| x.is_finite()));
    }
}

fn all_kinds() -> impl Iterator<Item = (Option<usize>, Option<f32>)> {
    [(None, None)].into_iter().chain(KINDS)
}

#[test]
fn decoding_token_by_token_gives_the_bits_of_the_whole_forest() {
    for (group, (window, softcap)) in [1, 3, 8, 1, 3, 8, 2, 4].into_iter().zip(all_kinds()) {
        let shape = AttentionShape { window, softcap, ..shape(2, group, 24) };
        let mut forest = Forest::usual(shape);
        let (out, sums) = forest.forward();
        forest.runs = decoding(&forest);
        let (decoded, decoded_sums) = forest.forward();
        assert_eq!(bits(&out), bits(&decoded));
        assert_eq!(bits(&sums), bits(&decoded_sums));
    }
}

#[test]
fn leaves_below_one_prompt_have_the_bits_of_each_alone() {
    // Prompts end inside a block, at its end, and before the first one is full.
    for prompt_len in [150, 128, 20] {
        let mut nodes = vec![(None, prompt_len)];
        nodes.extend((0..9).map(|leaf| (Some(0), 1 + 13 * leaf)));
        nodes.extend([(None, 70), (Some(10), 3), (Some(10), 66)]);
        let mut forest = Forest::new(shape(2, 3, 16), &nodes);
        let newest = |run: &QueryRun| {
            let last = run.query_len - 1;
            let mut prefix = run.prefix.clone();
            prefix.push(run.own_start..run.own_start + last);
            (run.query_start + last, prefix, run.own_start + last)
        };
        let leaves: Vec<_> =
            forest.runs.iter().filter(|run| !run.prefix.is_empty()).map(newest).collect();
        let width = forest.shape.n_heads * forest.shape.head_dim;
        let (whole, _) = forest.forward();
        let mut q = Vec::new();
        forest.runs.clear();
        for (query_start, (query, prefix, own_start)) in leaves.iter().cloned().enumerate() {
            q.extend_from_slice(&forest.q[query * width..(query + 1) * width]);
            forest.runs.push(QueryRun { query_start, query_len: 1, prefix, own_start });
        }
        (forest.q, forest.n_tokens) = (q, leaves.len());
        let together = with_threads(3, || forest.forward().0);
        for (found, (query, ..)) in together.chunks_exact(width).zip(&leaves) {
            assert_eq!(bits(found), bits(&whole[query * width..(query + 1) * width]));
        }
    }
}

#[test]
fn queries_that_see_the_same_keys_are_one_family() {
    let forest = Forest::new(shape(1, 3, 4), &[(None, 70), (Some(0), 3), (Some(0), 1)]);
    let plan = Plan::new(&forest.shape, &forest.runs[1..], 4 * 12, 74 * 4);
    assert!(plan.is_err(), "queries begin at 0");
    let runs: Vec<QueryRun> = [(0, 3, 70), (3, 1, 73)]
        .map(|(query_start, query_len, own_start)| QueryRun {
            query_start,
            query_len,
            prefix: std::iter::once(0..70).collect(),
            own_start,
        })
        .into();
    let plan = Plan::new(&forest.shape, &runs, 4 * 12, 74 * 4).unwrap();
    let tiles = plan.tiles(32);
    let seen = |block: usize| -> Vec<(usize, Vec<usize>)> {
        tiles[0]
            .families(block)
            .into_iter()
            .map(|family| (family.first, family.seen.iter().map(ExactSizeIterator::len).collect()))
            .collect()
    };
    assert_eq!(seen(0), [(0, vec![64; 4])]);
    assert_eq!(seen(1), [(0, vec![7, 8, 9]), (3, vec![7])]);
}

#[test]
fn other_runs_do_not_change_a_bit() {
    for (window, softcap) in all_kinds() {
        let shape = AttentionShape { window, softcap, ..shape(2, 3, 24) };
        runs_stand_alone(&Forest::usual(shape));
    }
}

fn runs_stand_alone(forest: &Forest) {
    let (out, sums) = forest.forward();
    let (width, heads) = (forest.shape.n_heads * 24, forest.shape.n_heads);
    for run in &forest.runs {
        let queries = run.query_start..run.query_start + run.query_len;
        let alone = QueryRun { query_start: 0, ..run.clone() };
        let q = &forest.q[queries.start * width..queries.end * width];
        let mut alone_out = vec![f32::NAN; q.len()];
        let mut alone_sums = vec![f32::NAN; run.query_len * heads];
        let Forest { shape, k, v, .. } = forest;
        forward(shape, &[alone], q, k, v, &mut alone_out, &mut alone_sums).unwrap();
        assert_eq!(bits(&alone_out), bits(&out[queries.start * width..queries.end * width]));
        assert_eq!(bits(&alone_sums), bits(&sums[queries.start * heads..queries.end * heads]));
    }
}

#[test]
fn where_keys_are_stored_does_not_change_a_bit() {
    let forest = Forest::usual(shape(1, 3, 24));
    let (out, _) = forest.forward();
    let n = forest.n_tokens;
    let arena = |x: &[f32]| -> Vec<f32> { x.chunks_exact(24).rev().flatten().copied().collect() };
    let (k, v) = (arena(&forest.k), arena(&forest.v));
    let mut runs = decoding(&forest);
    for run in &mut runs {
        let rows = run.prefix.iter().cloned().flatten();
        run.prefix = rows.map(|row| n - 1 - row..n - row).collect();
        run.own_start = n - 1 - run.own_start;
    }
    let mut found = vec![f32::NAN; out.len()];
    let mut sums = vec![f32::NAN; n * 3];
    forward(&forest.shape, &runs, &forest.q, &k, &v, &mut found, &mut sums).unwrap();
    assert_eq!(bits(&out), bits(&found));
}

#[test]
fn a_key_that_is_not_a_number_stays_out_of_sight_of_those_before_it() {
    let mut forest = Forest::new(shape(1, 1, 16), &[(None, 70)]);
    let (out, _) = forest.forward();
    let last = 69 * 16;
    forest.k[last..].fill(f32::NAN);
    forest.v[last..].fill(f32::NAN);
    let (poisoned, _) = forest.forward();
    assert_eq!(bits(&out[..last]), bits(&poisoned[..last]));
    assert!(poisoned[last..].iter().all(|x| x.is_nan()));
}

#[test]
fn the_order_in_which_runs_are_given_does_not_matter() {
    let mut forest = Forest::usual(shape(1, 3, 8));
    let before = (forest.forward(), forest.backward(&forest.q));
    forest.runs.reverse();
    assert_eq!(before, (forest.forward(), forest.backward(&forest.q)));
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let forest = Forest::usual(shape(2, 3, 16));
    let grad_out = numbers(forest.q.len(), 6);
    let run = |threads| {
        with_threads(threads, || {
            let (out, sums) = forest.forward();
            (bits(&out), bits(&sums), forest.backward(&grad_out).map(|x| bits(&x)))
        })
    };
    assert_eq!(run(1), run(2));
    assert_eq!(run(1), run(5));
}

#[test]
fn gradients_that_are_added_tile_by_tile_have_the_bits_of_those_added_at_once() {
    let forest = Forest::usual(shape(2, 3, 8));
    let (grad_out, (out, log_sum_exp)) = (numbers(forest.q.len(), 8), forest.forward());
    let Forest { shape, runs, q, k, v, .. } = &forest;
    let plan = Plan::new(shape, runs, q.len(), k.len()).unwrap();
    let (out, log_sum_exp, grad_out) = (&out, &log_sum_exp, &grad_out);
    let saved = backward::Saved { q, k, v, out, log_sum_exp, grad_out };
    let mut found = [q, k, v].map(|x| vec![f32::NAN; x.len()]);
    let [gq, gk, gv] = &mut found;
    backward::run(&plan, &saved, gq, gk, gv, 1);
    assert_eq!(found.map(|x| bits(&x)), forest.backward(grad_out).map(|x| bits(&x)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn splitting_a_prefix_anywhere_does_not_change_a_bit(
        prefix_len in 1usize..200,
        query_len in 1usize..70,
        cuts in proptest::collection::vec(0usize..200, 0..4),
        window in proptest::option::of(1usize..150),
        softcap in proptest::option::of(0.5f32..5.0),
    ) {
        let n = prefix_len + query_len;
        let shape = AttentionShape { window, softcap, ..shape(1, 3, 16) };
        let mut forest = Forest::new(shape, &[(None, prefix_len), (Some(0), query_len)]);
        let grad_out = numbers(n * 48, 7);
        let whole = (forest.forward(), forest.backward(&grad_out));
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (prefix_len + 1)).collect();
        cuts.extend([0, prefix_len]);
        cuts.sort_unstable();
        forest.runs[1].prefix = cuts.windows(2).map(|w| w[0]..w[1]).collect();
        let split = (forest.forward(), forest.backward(&grad_out));
        prop_assert_eq!(whole, split);
    }

    #[test]
    fn any_forest_equals_dense_attention(
        nodes in proptest::collection::vec((any::<bool>(), 0usize..100, 0usize..50), 1..8),
        group in 1usize..5,
        head_dim in 1usize..20,
        window in proptest::option::of(1usize..150),
        softcap in proptest::option::of(0.5f32..5.0),
    ) {
        let mut forest = Vec::new();
        for (i, &(root, parent, len)) in nodes.iter().enumerate() {
            forest.push(((!root && i > 0).then(|| parent % i.max(1)), len));
        }
        let shape = AttentionShape { window, softcap, ..shape(1, group, head_dim) };
        Forest::new(shape, &forest).check();
    }
}

fn refused(runs: &[QueryRun]) -> KernelError {
    let (x, shape) = ([0.0; 4], shape(1, 1, 1));
    forward(&shape, runs, &x, &x, &x, &mut [0.0; 4], &mut [0.0; 4]).unwrap_err()
}

fn run(query_start: usize, query_len: usize, prefix: &[Range<usize>], own: usize) -> QueryRun {
    QueryRun { query_start, query_len, prefix: prefix.to_vec(), own_start: own }
}

#[test]
fn runs_that_do_not_partition_the_queries_are_errors() {
    let partition = |found, expected| KernelError::BrokenPartition { found, expected };
    assert_eq!(refused(&[run(0, 3, &[], 0)]), partition(3, 4));
    assert_eq!(refused(&[run(0, 2, &[], 0), run(3, 1, &[], 0)]), partition(3, 2));
    assert_eq!(refused(&[run(0, 3, &[], 0), run(2, 2, &[], 0)]), partition(2, 3));
    assert_eq!(refused(&[run(0, 5, &[], 0)]), partition(5, 4));
    assert_eq!(refused(&[run(0, usize::MAX, &[], 0)]), partition(usize::MAX, 4));
}

#[test]
fn keys_out_of_range_are_errors() {
    let error = refused(&[run(0, 1, &[], 0), run(1, 3, &[0..2, 2..5], 0)]);
    assert!(matches!(error, KernelError::OutOfRange { index: 1, found: 5, limit: 5, .. }));
    assert!(matches!(refused(&[run(0, 4, &[], 1)]), KernelError::OutOfRange { found: 5, .. }));
    let error = refused(&[run(0, 4, &[], usize::MAX)]);
    assert!(matches!(error, KernelError::OutOfRange { .. }));
}

#[test]
fn a_key_twice_on_a_path_has_no_gradient() {
    let (x, shape, runs) = ([0.0; 4], shape(1, 1, 1), [run(0, 4, &[0..1, 2..2], 0)]);
    let [mut gq, mut gk, mut gv] = [[0.0; 4]; 3];
    let error = backward(&shape, &runs, &x, &x, &x, &x, &x, &x, &mut gq, &mut gk, &mut gv);
    assert_eq!(error, Err(KernelError::RepeatedKey { key: 0 }));
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let (x, runs) = ([0.0; 6], [run(0, 2, &[], 0)]);
    let blind = AttentionShape { window: Some(0), ..shape(1, 3, 1) };
    let error = forward(&blind, &runs, &x, &x[..2], &x[..2], &mut [0.0; 6], &mut [0.0; 6]);
    assert!(matches!(error, Err(KernelError::InvalidSize { operand: "window", found: 0, .. })));
    let bad = AttentionShape { n_heads: 3, n_kv_heads: 2, ..plain(1.0) };
    let error = forward(&bad, &runs, &x, &x, &x, &mut [0.0; 6], &mut [0.0; 6]).unwrap_err();
    assert!(matches!(error, KernelError::InvalidSize { operand: "n_heads", found: 3, .. }));
    let good = shape(1, 3, 1);
    assert!(forward(&good, &runs, &x, &x[..2], &x[..1], &mut [0.0; 6], &mut [0.0; 6]).is_err());
    assert!(forward(&good, &runs, &x, &x[..2], &x[..2], &mut [0.0; 5], &mut [0.0; 6]).is_err());
    assert!(forward(&good, &runs, &x, &x[..2], &x[..2], &mut [0.0; 6], &mut [0.0; 2]).is_err());
    forward(&good, &[], &[], &[], &[], &mut [], &mut []).unwrap();
}
