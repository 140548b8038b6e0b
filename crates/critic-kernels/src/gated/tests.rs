use super::*;
use crate::simd::dispatch_on;
use crate::testing::{ISAS, assert_close, bits, differences, numbers, wide, with_threads};

const ACTIVATIONS: [Activation; 2] = [Activation::Silu, Activation::GeluTanh];

fn active(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::GeluTanh => {
            let argument = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            0.5 * x * (1.0 + argument.tanh())
        }
    }
}

fn reference(activation: Activation, gate: &[f64], up: &[f64]) -> Vec<f64> {
    gate.iter().zip(up).map(|(gate, up)| active(activation, *gate) * up).collect()
}

fn scaled(n: usize, scale: f32, seed: u64) -> Vec<f32> {
    numbers(n, seed).into_iter().map(|x| x * scale).collect()
}

#[test]
fn forward_equals_the_formula() {
    for activation in ACTIVATIONS {
        for n in [0, 1, 7, 16, 61, CHUNK + 3] {
            for scale in [1e-30, 1.0, 80.0, 1e4] {
                let (gate, up) = (scaled(n, scale, 1), numbers(n, 2));
                let mut out = vec![f32::NAN; n];
                forward(activation, &gate, &up, &mut out).unwrap();
                assert_close(&out, &reference(activation, &wide(&gate), &wide(&up)), 1e-6);
            }
        }
    }
}

#[test]
fn backward_equals_finite_differences() {
    for activation in ACTIVATIONS {
        for (n, scale) in [(1, 1.0), (61, 1.0), (61, 10.0), (61, 80.0)] {
            let (gate, up, grad_out) = (scaled(n, scale, 3), numbers(n, 4), numbers(n, 5));
            let (mut grad_gate, mut grad_up, mut inner) =
                (gate.clone(), up.clone(), grad_out.clone());
            backward_in_place(activation, &mut grad_gate, &mut grad_up, &mut inner).unwrap();
            let mut expected = vec![f32::NAN; n];
            forward(activation, &gate, &up, &mut expected).unwrap();
            assert_eq!(bits(&inner), bits(&expected));
            let loss = |gate: &[f64], up: &[f64]| -> f64 {
                let out = reference(activation, gate, up);
                out.iter().zip(&grad_out).map(|(x, g)| x * f64::from(*g)).sum()
            };
            assert_close(&grad_gate, &differences(&gate, |gate| loss(gate, &wide(&up))), 1e-4);
            assert_close(&grad_up, &differences(&up, |up| loss(&wide(&gate), up)), 1e-4);
        }
    }
}

#[test]
fn extreme_gates_give_finite_numbers() {
    for activation in ACTIVATIONS {
        let gate = [80.0, -80.0, 1e4, -1e4, 1e-30, -1e-30, 0.0, 1e30];
        let (mut out, mut grad_gate, mut grad_up) = ([1.0; 8], gate, [1.0; 8]);
        backward_in_place(activation, &mut grad_gate, &mut grad_up, &mut out).unwrap();
        assert_eq!((out[0], out[2], out[6], out[7]), (80.0, 1e4, 0.0, 1e30));
        assert_eq!((grad_gate[0], grad_gate[2], grad_gate[6]), (1.0, 1.0, 0.5));
        for x in [out, grad_gate, grad_up] {
            assert!(x.iter().all(|x| x.is_finite()));
            assert!(x[1].abs() < 1e-30 && x[3].abs() < 1e-30);
        }
    }
}

#[test]
fn every_instruction_set_and_number_of_threads_agrees() {
    let n = 2 * CHUNK + 5;
    let (gate, up) = (scaled(n, 5.0, 6), numbers(n, 7));
    for isa in ISAS {
        let mut out = vec![0.0; n];
        dispatch_on(isa, Forward { gate: &gate, up: &up, out: &mut out, shape: Silu });
        assert_close(&out, &reference(Activation::Silu, &wide(&gate), &wide(&up)), 1e-6);
        dispatch_on(isa, Forward { gate: &gate, up: &up, out: &mut out, shape: GeluTanh });
        assert_close(&out, &reference(Activation::GeluTanh, &wide(&gate), &wide(&up)), 1e-6);
    }
    let run = |threads| {
        let mut out = vec![0.0; n];
        with_threads(threads, || forward(Activation::Silu, &gate, &up, &mut out).unwrap());
        bits(&out)
    };
    assert_eq!(run(1), run(2));
}

#[test]
fn wrong_lengths_are_errors() {
    let silu = Activation::Silu;
    let error = forward(silu, &[0.0; 2], &[0.0; 3], &mut [0.0; 2]).unwrap_err();
    assert_eq!(error, KernelError::WrongLength { operand: "up", found: 3, expected: 2 });
    assert!(forward(silu, &[0.0; 2], &[0.0; 2], &mut [0.0; 1]).is_err());
    assert!(backward_in_place(silu, &mut [0.0; 2], &mut [0.0; 2], &mut [0.0; 1]).is_err());
    assert!(backward_in_place(silu, &mut [0.0; 2], &mut [0.0; 1], &mut [0.0; 2]).is_err());
}

#[test]
fn what_is_not_finite_does_not_become_a_number() {
    for activation in ACTIVATIONS {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let (mut gate, mut up, mut inner) = ([bad; 3], [1.0; 3], [1.0; 3]);
            backward_in_place(activation, &mut gate, &mut up, &mut inner).unwrap();
            assert!(up.iter().chain(&inner).all(|x| !x.is_finite()), "{activation:?} {bad}");
            assert!(activation != Activation::Silu || gate.iter().all(|x| !x.is_finite()));
        }
    }
}
