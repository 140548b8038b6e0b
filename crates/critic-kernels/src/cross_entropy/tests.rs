use proptest::prelude::*;

use super::softmax::SUM_LENGTH;
use super::*;
use crate::simd::dispatch_on;
use crate::testing::{ISAS, assert_close, bits, differences, numbers, wide, with_threads};

struct Case {
    sizes: [usize; 3],
    hidden: Vec<f32>,
    lm_head: Vec<f32>,
    softcap: Option<f32>,
    targets: Vec<Target>,
    loss_weight: f32,
}

struct Found {
    sum: f64,
    nll: Vec<f32>,
    grad_hidden: Vec<f32>,
    grad_lm_head: Vec<f32>,
}

impl Case {
    /// Of every seven rows one has no target, one has two and one has three.
    fn new(n_rows: usize, d_model: usize, vocab_size: usize) -> Self {
        let mut targets = Vec::new();
        for row in 0..n_rows {
            let n: usize = [1, 2, 1, 0, 3, 1, 1][row % 7];
            let token = |i: usize| ((row * 31 + i * 5 + 7) % vocab_size) as u32;
            targets.extend((0..n).map(|i| Target { row: row as u32, token: token(i) }));
        }
        let sizes = [n_rows, d_model, vocab_size];
        let (hidden, lm_head) = (numbers(n_rows * d_model, 1), numbers(vocab_size * d_model, 2));
        Self { sizes, hidden, lm_head, softcap: None, targets, loss_weight: 0.37 }
    }

    fn run(&self) -> Found {
        self.run_with(&mut Scratch::default())
    }

    fn run_with(&self, scratch: &mut Scratch) -> Found {
        let mut nll = vec![f32::NAN; self.targets.len()];
        let mut grad_hidden = vec![f32::NAN; self.hidden.len()];
        let mut grad_lm_head = vec![0.0; self.lm_head.len()];
        let sum = forward_backward(
            self.sizes,
            &self.hidden,
            Weight::F32(&self.lm_head),
            self.softcap,
            &self.targets,
            self.loss_weight,
            &mut nll,
            &mut grad_hidden,
            Some(&mut grad_lm_head),
            scratch,
        )
        .unwrap();
        Found { sum, nll, grad_hidden, grad_lm_head }
    }

    fn forward(&self) -> (Result<f64, KernelError>, Vec<f32>) {
        let mut nll = vec![f32::NAN; self.targets.len()];
        let (lm_head, scratch) = (Weight::F32(&self.lm_head), &mut Scratch::default());
        let Self { sizes, hidden, softcap, targets, .. } = self;
        let sum = forward(*sizes, hidden, lm_head, *softcap, targets, &mut nll, scratch);
        (sum, nll)
    }

    /// Nats by target, the gradients of their weighted sum.
    fn reference(&self) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let [_, d, _] = self.sizes;
        let (hidden, lm_head) = (wide(&self.hidden), wide(&self.lm_head));
        let mut nll = Vec::new();
        let (mut grad_hidden, mut grad_head) = (vec![0.0; hidden.len()], vec![0.0; lm_head.len()]);
        for target in &self.targets {
            let row = target.row as usize * d..(target.row as usize + 1) * d;
            let plain: Vec<f64> = lm_head
                .chunks_exact(d)
                .map(|w| w.iter().zip(&hidden[row.clone()]).map(|(w, h)| w * h).sum())
                .collect();
            let cap = self.softcap.map(f64::from);
            let bounded = |x: &f64| cap.map_or(*x, |cap| cap * (x / cap).tanh());
            let logits: Vec<f64> = plain.iter().map(bounded).collect();
            let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logits.iter().map(|x| (x - max).exp()).sum();
            nll.push(max + sum.ln() - logits[target.token as usize]);
            for (token, logit) in logits.iter().enumerate() {
                let one = f64::from(u8::from(token == target.token as usize));
                let grad = ((logit - max).exp() / sum - one) * f64::from(self.loss_weight);
                let grad = grad * cap.map_or(1.0, |cap| 1.0 - (logit / cap).powi(2));
                for c in 0..d {
                    grad_hidden[row.start + c] += grad * lm_head[token * d + c];
                    grad_head[token * d + c] += grad * hidden[row.start + c];
                }
            }
        }
        (nll, grad_hidden, grad_head)
    }

    fn check(&self) {
        let found = self.run();
        let (nll, grad_hidden, grad_lm_head) = self.reference();
        assert_close(&found.nll, &nll, 1e-5);
        assert_close(&found.grad_hidden, &grad_hidden, 1e-4);
        assert_close(&found.grad_lm_head, &grad_lm_head, 1e-4);
        let sum: f64 = nll.iter().sum();
        assert!((found.sum - sum).abs() <= 1e-5 * sum.abs());
        let (forward, nll) = self.forward();
        assert_eq!((forward, bits(&nll)), (Ok(found.sum), bits(&found.nll)));
    }
}

#[test]
fn loss_and_gradients_equal_the_formula_also_across_chunks() {
    for (n, d, vocab_size) in [(1, 1, 1), (3, 7, 5), (13, 5, 1100), (1, 16, 61)] {
        Case::new(n, d, vocab_size).check();
    }
    let rows = chunk_rows(11);
    for n in [rows, rows + rows / 6, 2 * rows + rows / 2] {
        Case::new(n, 3, 11).check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_targets_have_the_formulas_gradients(
        d in 1usize..40,
        vocab_size in 1usize..90,
        rows in proptest::collection::vec(proptest::collection::vec(any::<u32>(), 0..4), 1..30),
        softcap in proptest::option::of(0.5f32..30.0),
    ) {
        let mut case = Case::new(rows.len(), d, vocab_size);
        case.softcap = softcap;
        case.targets.clear();
        for (row, tokens) in rows.iter().enumerate() {
            let target = |token: &u32| {
                Target { row: row as u32, token: token % vocab_size as u32 }
            };
            case.targets.extend(tokens.iter().map(target));
        }
        case.check();
    }
}

#[test]
fn a_scratch_that_has_been_used_changes_no_bit() {
    let (large, small) = (Case::new(40, 9, 70), Case::new(7, 5, 11));
    let mut scratch = Scratch::default();
    large.run_with(&mut scratch);
    let (found, expected) = (small.run_with(&mut scratch), small.run());
    assert_eq!(bits(&found.nll), bits(&expected.nll));
    assert_eq!(bits(&found.grad_hidden), bits(&expected.grad_hidden));
    assert_eq!(bits(&found.grad_lm_head), bits(&expected.grad_lm_head));
}

#[test]
fn bounded_logits_have_the_formulas_gradients_also_across_chunks() {
    let rows = chunk_rows(11);
    for (n, cap) in [(5, 0.3), (rows + rows / 6, 2.0), (40, 30.0)] {
        Case { softcap: Some(cap), ..Case::new(n, 3, 11) }.check();
    }
}

#[test]
fn extreme_logits_stay_finite() {
    for scale in [80.0, 1e4, 1e-30] {
        let mut case = Case::new(9, 4, 13);
        case.hidden.iter_mut().for_each(|x| *x *= scale);
        case.check();
    }
}

#[test]
fn the_gradient_equals_finite_differences() {
    let case = Case::new(5, 4, 6);
    let found = case.run();
    let loss = |hidden: &[f64]| -> f64 {
        let nll = |target: &Target| {
            let hidden = &hidden[target.row as usize * 4..][..4];
            let logit = |row: &[f32]| -> f64 {
                row.iter().zip(hidden).map(|(w, h)| f64::from(*w) * h).sum()
            };
            let sum: f64 = case.lm_head.chunks_exact(4).map(|row| logit(row).exp()).sum();
            sum.ln() - logit(&case.lm_head[target.token as usize * 4..][..4])
        };
        case.targets.iter().map(nll).sum::<f64>() * f64::from(case.loss_weight)
    };
    assert_close(&found.grad_hidden, &differences(&case.hidden, loss), 1e-4);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let case = Case::new(600, 64, 130);
    let run = |threads| {
        let found = with_threads(threads, || case.run());
        let gradients = (bits(&found.grad_hidden), bits(&found.grad_lm_head));
        (found.sum.to_bits(), bits(&found.nll), gradients)
    };
    assert_eq!(run(1), run(2));
}

#[test]
fn every_instruction_set_agrees() {
    let logits: Vec<f32> = numbers(SUM_LENGTH + 61, 5).iter().map(|x| x * 20.0).collect();
    let max = wide(&logits).into_iter().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = wide(&logits).iter().map(|x| (x - max).exp()).sum();
    let mut expected: Vec<f64> =
        wide(&logits).iter().map(|x| 2.0 * 0.5 * (x - max).exp() / sum).collect();
    expected[3] -= 1.0;
    let targets = &[Target { row: 0, token: 3 }; 2];
    for isa in ISAS {
        let mut row = logits.clone();
        let gradient = Gradient { logits: &mut row, targets, loss_weight: 0.5 };
        let log_sum_exp = dispatch_on(isa, gradient);
        assert!((log_sum_exp - max - sum.ln()).abs() < 1e-5);
        assert_close(&row, &expected, 1e-5);
    }
}

#[test]
fn what_is_not_a_number_reaches_the_loss_and_the_gradients_of_its_row() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut case = Case::new(3, 3, 5);
        case.hidden[1] = bad;
        let found = case.run();
        assert!(found.nll[0].is_nan() && found.nll[1].is_finite() && found.sum.is_nan());
        assert!(found.grad_hidden[..3].iter().all(|x| x.is_nan()));
        assert!(found.grad_hidden[3..].iter().all(|x| x.is_finite()));
        assert!(found.grad_lm_head.iter().any(|x| x.is_nan()));
    }
}

#[test]
fn gradients_of_the_head_are_added_to_those_that_stand_there() {
    let case = Case::new(4, 3, 5);
    let expected: Vec<f64> = wide(&case.run().grad_lm_head).iter().map(|x| x + 2.0).collect();
    let (mut nll, mut grad_hidden) = (vec![0.0; case.targets.len()], vec![0.0; 12]);
    let mut grad_lm_head = vec![2.0; 15];
    forward_backward(
        case.sizes,
        &case.hidden,
        Weight::F32(&case.lm_head),
        None,
        &case.targets,
        case.loss_weight,
        &mut nll,
        &mut grad_hidden,
        Some(&mut grad_lm_head),
        &mut Scratch::default(),
    )
    .unwrap();
    assert_close(&grad_lm_head, &expected, 1e-6);
}

#[test]
fn wrong_lengths_and_targets_out_of_range_are_errors() {
    let error = |change: &dyn Fn(&mut Case)| {
        let mut case = Case::new(4, 3, 5);
        change(&mut case);
        case.forward().0.unwrap_err()
    };
    assert_eq!(
        error(&|case| case.targets[2].token = 5),
        KernelError::OutOfRange { operand: "tokens of targets", index: 2, found: 5, limit: 5 }
    );
    assert_eq!(
        error(&|case| case.targets[1].row = 4),
        KernelError::OutOfRange { operand: "rows of targets", index: 1, found: 4, limit: 4 }
    );
    assert_eq!(
        error(&|case| case.targets.swap(0, 1)),
        KernelError::Decreasing { operand: "rows of targets", index: 1, found: 0, before: 1 }
    );
    assert_eq!(
        error(&|case| case.sizes[1] = usize::MAX),
        KernelError::WrongLength { operand: "hidden", found: 12, expected: usize::MAX }
    );
    error(&|case| case.hidden.truncate(11));
    error(&|case| case.lm_head.truncate(14));
    let case = Case::new(4, 3, 5);
    let (lm_head, scratch) = (Weight::F32(&case.lm_head), &mut Scratch::default());
    let Case { sizes, hidden, targets, .. } = &case;
    assert!(forward(*sizes, hidden, lm_head, None, targets, &mut [], scratch).is_err());
}

#[test]
fn no_targets_have_no_loss_and_no_gradient() {
    let mut case = Case::new(2, 3, 5);
    case.targets.clear();
    let found = case.run();
    assert_eq!((found.sum, found.grad_hidden), (0.0, vec![0.0; 6]));
    assert_eq!(found.grad_lm_head, vec![0.0; 15]);
}
