use super::*;
use crate::simd::dispatch_on;
use crate::testing::{ISAS, assert_close, bits, differences, numbers, wide, with_threads};

struct Case {
    hidden: Vec<f32>,
    weight: Vec<f32>,
    d: usize,
    targets: Vec<u32>,
    row_weight: Vec<f32>,
}

struct Found {
    loss: f64,
    nll: Vec<f32>,
    grad_hidden: Vec<f32>,
    grad_weight: Vec<f32>,
}

impl Case {
    fn new(n: usize, d: usize, vocabulary: usize) -> Self {
        let targets = (0..n).map(|i| ((i * 31 + 7) % vocabulary) as u32).collect();
        let row_weight = numbers(n, 3).iter().map(|x| x.abs()).collect();
        let (hidden, weight) = (numbers(n * d, 1), numbers(vocabulary * d, 2));
        Self { hidden, weight, d, targets, row_weight }
    }

    fn run(&self) -> Found {
        let Self { hidden, weight, d, targets, row_weight } = self;
        let mut nll = vec![f32::NAN; targets.len()];
        let mut grad_hidden = vec![f32::NAN; hidden.len()];
        let mut grad_weight = vec![f32::NAN; weight.len()];
        let loss = forward_backward(
            hidden,
            weight,
            *d,
            targets,
            row_weight,
            &mut nll,
            &mut grad_hidden,
            &mut grad_weight,
        )
        .unwrap();
        Found { loss, nll, grad_hidden, grad_weight }
    }

    /// Nats by row, the gradients of their weighted sum.
    fn reference(&self) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let (hidden, weight, d) = (wide(&self.hidden), wide(&self.weight), self.d);
        let mut nll = Vec::new();
        let (mut grad_hidden, mut grad_weight) = (vec![0.0; hidden.len()], vec![0.0; weight.len()]);
        for (i, &target) in self.targets.iter().enumerate() {
            let row = i * d..(i + 1) * d;
            let logits: Vec<f64> = weight
                .chunks_exact(d)
                .map(|w| w.iter().zip(&hidden[row.clone()]).map(|(w, h)| w * h).sum())
                .collect();
            let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logits.iter().map(|x| (x - max).exp()).sum();
            nll.push(max + sum.ln() - logits[target as usize]);
            for (token, logit) in logits.iter().enumerate() {
                let one = f64::from(u8::from(token == target as usize));
                let grad = ((logit - max).exp() / sum - one) * f64::from(self.row_weight[i]);
                for c in 0..d {
                    grad_hidden[i * d + c] += grad * weight[token * d + c];
                    grad_weight[token * d + c] += grad * hidden[i * d + c];
                }
            }
        }
        (nll, grad_hidden, grad_weight)
    }

    fn check(&self) {
        let found = self.run();
        let (nll, grad_hidden, grad_weight) = self.reference();
        assert_close(&found.nll, &nll, 1e-5);
        assert_close(&found.grad_hidden, &grad_hidden, 1e-4);
        assert_close(&found.grad_weight, &grad_weight, 1e-4);
        let loss: f64 = nll.iter().zip(wide(&self.row_weight)).map(|(nll, w)| nll * w).sum();
        assert!((found.loss - loss).abs() <= 1e-5 * loss.abs());
        let Self { hidden, weight, d, targets, row_weight } = self;
        let mut nll = vec![f32::NAN; targets.len()];
        let forward = forward(hidden, weight, *d, targets, row_weight, &mut nll).unwrap();
        assert_eq!((forward, bits(&nll)), (found.loss, bits(&found.nll)));
    }
}

#[test]
fn loss_and_gradients_equal_the_formula_also_across_chunks() {
    for (n, d, vocabulary) in [(1, 1, 1), (3, 7, 5), (13, 5, 1100), (1, 16, 61)] {
        Case::new(n, d, vocabulary).check();
    }
    let rows = chunk_rows(11);
    for n in [rows - 1, rows, rows + 1, 2 * rows + 1] {
        Case::new(n, 3, 11).check();
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
    let case = Case::new(3, 4, 6);
    let found = case.run();
    let loss = |hidden: &[f64]| -> f64 {
        let rows = hidden.chunks_exact(4).zip(&case.targets).zip(&case.row_weight);
        rows.map(|((hidden, &target), w)| {
            let logit = |row: &[f32]| -> f64 {
                row.iter().zip(hidden).map(|(w, h)| f64::from(*w) * h).sum()
            };
            let sum: f64 = case.weight.chunks_exact(4).map(|row| logit(row).exp()).sum();
            (sum.ln() - logit(&case.weight[target as usize * 4..][..4])) * f64::from(*w)
        })
        .sum()
    };
    assert_close(&found.grad_hidden, &differences(&case.hidden, loss), 1e-4);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let case = Case::new(600, 64, 130);
    let run = |threads| {
        let found = with_threads(threads, || case.run());
        let gradients = (bits(&found.grad_hidden), bits(&found.grad_weight));
        (found.loss.to_bits(), bits(&found.nll), gradients)
    };
    assert_eq!(run(1), run(2));
}

#[test]
fn every_instruction_set_agrees() {
    let logits: Vec<f32> = numbers(SUM_LENGTH + 61, 5).iter().map(|x| x * 20.0).collect();
    let max = wide(&logits).into_iter().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = wide(&logits).iter().map(|x| (x - max).exp()).sum();
    let mut expected: Vec<f64> =
        wide(&logits).iter().map(|x| 0.5 * (x - max).exp() / sum).collect();
    expected[3] -= 0.5;
    for isa in ISAS {
        let mut row = logits.clone();
        let gradient = Gradient { logits: &mut row, target: 3, row_weight: 0.5 };
        let nll = dispatch_on(isa, gradient);
        assert_close(&[nll], &[max + sum.ln() - f64::from(logits[3])], 1e-5);
        assert_close(&row, &expected, 1e-5);
    }
}

#[test]
fn a_logit_that_is_not_a_number_reaches_the_loss() {
    let mut case = Case::new(2, 3, 5);
    case.hidden[1] = f32::NAN;
    let found = case.run();
    assert!(found.nll[0].is_nan() && found.nll[1].is_finite() && found.loss.is_nan());
}

#[test]
fn wrong_lengths_and_targets_out_of_range_are_errors() {
    let mut case = Case::new(4, 3, 5);
    let mut nll = [0.0; 4];
    case.targets[2] = 5;
    let Case { hidden, weight, d, targets, row_weight } = &case;
    let error = forward(hidden, weight, *d, targets, row_weight, &mut nll).unwrap_err();
    let expected = KernelError::OutOfRange { operand: "targets", index: 2, found: 5, limit: 5 };
    assert_eq!(error, expected);
    let targets = [0; 4];
    assert!(forward(&hidden[1..], weight, 3, &targets, row_weight, &mut nll).is_err());
    assert!(forward(hidden, &weight[1..], 3, &targets, row_weight, &mut nll).is_err());
    assert!(forward(hidden, weight, 3, &targets, &row_weight[1..], &mut nll).is_err());
    assert!(forward(hidden, weight, 3, &targets, row_weight, &mut nll[1..]).is_err());
    assert!(forward(hidden, weight, 0, &targets, row_weight, &mut nll).is_err());
}

#[test]
fn no_targets_have_no_loss_and_no_gradient() {
    let found = Case::new(0, 3, 5).run();
    assert_eq!((found.loss, found.grad_weight), (0.0, vec![0.0; 15]));
}
