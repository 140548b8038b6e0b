use super::*;
use crate::matmul;
use crate::quantized::Format;
use crate::testing::{assert_close, bits, numbers, with_threads};
use proptest::prelude::*;

#[test]
fn the_three_products_write_and_add() {
    let sizes @ [m, k, n] = [7, 13, 5];
    let (x, weight, grad) = (numbers(m * k, 1), numbers(n * k, 2), numbers(m * n, 3));
    let twice = |values: &[f32]| values.iter().map(|&v| 2.0 * f64::from(v)).collect::<Vec<_>>();

    let mut y = vec![f32::NAN; m * n];
    forward(sizes, &x, Weight::F32(&weight), &mut y, Update::Write).unwrap();
    let mut expected = vec![0.0; m * n];
    matmul::nt(m, k, n, &x, &weight, &mut expected).unwrap();
    forward(sizes, &x, Weight::F32(&weight), &mut y, Update::Add).unwrap();
    assert_close(&y, &twice(&expected), 1e-5);

    let mut grad_x = vec![f32::NAN; m * k];
    backward_input(sizes, &grad, Weight::F32(&weight), &mut grad_x, Update::Write).unwrap();
    let mut expected = vec![0.0; m * k];
    matmul::nn(m, n, k, &grad, &weight, &mut expected).unwrap();
    backward_input(sizes, &grad, Weight::F32(&weight), &mut grad_x, Update::Add).unwrap();
    assert_close(&grad_x, &twice(&expected), 1e-5);

    let mut grad_weight = vec![0.0; n * k];
    backward_weight(Precision::F32, sizes, &grad, &x, &mut grad_weight).unwrap();
    backward_weight(Precision::F32, sizes, &grad, &x, &mut grad_weight).unwrap();
    let mut expected = vec![0.0; n * k];
    matmul::tn(n, m, k, &grad, &x, &mut expected).unwrap();
    assert_close(&grad_weight, &twice(&expected), 1e-5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn products_side_by_side_have_the_bits_that_each_has_by_itself(
        m in 1usize..200,
        k in 1usize..120,
        outs in prop::collection::vec((1usize..300, any::<bool>()), 1..5),
        threads in 1usize..4,
    ) {
        let x = numbers(m * k, 1);
        let layers: Vec<_> = outs.iter().map(|&(n, rounds)| {
            let weight = numbers(n * k, n as u64);
            let mut packed = PackedWeight::new(n, k);
            packed.pack(&weight).unwrap();
            (n, rounds, numbers(m * n, 3), weight, packed)
        }).collect();
        let room = || -> Vec<_> {
            layers.iter().map(|(n, ..)| (vec![f32::NAN; m * k], numbers(n * k, 4))).collect()
        };
        let (mut together, mut alone) = (room(), room());
        let products = layers.iter().zip(&mut together).flat_map(|(layer, to)| {
            let (n, rounds, grad_y, weight, packed) = layer;
            let weight = if *rounds { Weight::Bf16(packed) } else { Weight::F32(weight) };
            let (sizes, precision, update) = ([m, k, *n], weight.precision(), Update::Write);
            let (grad_x, grad_weight) = (&mut to.0, &mut to.1);
            [
                Backward::Input { sizes, grad_y, weight, grad_x, update },
                Backward::Weight { precision, sizes, grad_y, x: &x, grad_weight },
            ]
        });
        with_threads(threads, || backward(products)).unwrap();
        for ((n, rounds, grad_y, weight, packed), to) in layers.iter().zip(&mut alone) {
            let weight = if *rounds { Weight::Bf16(packed) } else { Weight::F32(weight) };
            let sizes = [m, k, *n];
            with_threads(threads, || {
                backward_input(sizes, grad_y, weight, &mut to.0, Update::Write).unwrap();
                backward_weight(weight.precision(), sizes, grad_y, &x, &mut to.1).unwrap();
            });
        }
        for (together, alone) in together.iter().zip(&alone) {
            prop_assert_eq!(bits(&together.0), bits(&alone.0));
            prop_assert_eq!(bits(&together.1), bits(&alone.1));
        }
    }
}

#[test]
fn wrong_lengths_are_errors_that_name_the_operand() {
    let error =
        forward([2, 3, 4], &[0.0; 6], Weight::F32(&[0.0; 11]), &mut [0.0; 8], Update::Write);
    assert_eq!(
        error.unwrap_err(),
        KernelError::WrongLength { operand: "weight", found: 11, expected: 12 }
    );
    let f32 = Precision::F32;
    assert!(backward_weight(f32, [2, 3, 4], &[0.0; 8], &[0.0; 6], &mut [0.0; 11]).is_err());
    let packed = PackedWeight::new(4, 2);
    let error = forward([2, 3, 4], &[0.0; 6], Weight::Bf16(&packed), &mut [0.0; 8], Update::Write);
    let (found, expected) = ([4, 2], [4, 3]);
    assert_eq!(error.unwrap_err(), KernelError::WrongShape { operand: "weight", found, expected });
}

/// Both products with a weight and with the numbers that it stands for.
fn check_quantized(format: Format, sizes: [usize; 3], update: Update) {
    let [m, k, n] = sizes;
    let weight = quantized::Weight::from_f32(format, n, k, &numbers(n * k, 4)).unwrap();
    let mut dense = vec![0.0; n * k];
    weight.dequantize(0..n, &mut dense).unwrap();
    let (x, grad) = (numbers(m * k, 5), numbers(m * n, 6));
    let [found, expected] = [Weight::Quantized(&weight), Weight::F32(&dense)].map(|weight| {
        let (mut y, mut grad_x) = (numbers(m * n, 7), numbers(m * k, 8));
        super::forward(sizes, &x, weight, &mut y, update).unwrap();
        backward_input(sizes, &grad, weight, &mut grad_x, update).unwrap();
        [bits(&y), bits(&grad_x)]
    });
    assert_eq!(found, expected, "{format:?} {sizes:?} {update:?}");
}

#[test]
fn the_smallest_runs_of_outputs_have_the_bits_of_the_whole() {
    for n in [512, 513, 768, 769, 1024, 1025, 1281] {
        check_quantized(Format::Q8_0, [1, 3, n], Update::Write);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn products_of_a_quantised_weight_have_the_bits_of_its_numbers(
        format in prop::sample::select(vec![Format::Q8_0, Format::Q4_0, Format::Q4_1, Format::F16, Format::Bf16]),
        m in prop_oneof![1usize..4, 1usize..90],
        k in prop_oneof![1usize..40, 1usize..700],
        n in prop_oneof![1usize..40, 500usize..530, 1usize..1700],
        adds in any::<bool>(),
        threads in 1usize..3,
    ) {
        let update = if adds { Update::Add } else { Update::Write };
        with_threads(threads, || check_quantized(format, [m, k, n], update));
    }
}

#[test]
fn a_sum_over_many_outputs_is_that_of_one_product() {
    let sizes @ [m, k, n] = [9, 33, 1300];
    let (weight, grad) = (numbers(n * k, 2), numbers(m * n, 3));
    let mut expected = vec![0.0; m * k];
    matmul::nn(m, n, k, &grad, &weight, &mut expected).unwrap();
    let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
    let mut grad_x = vec![f32::NAN; m * k];
    backward_input(sizes, &grad, Weight::F32(&weight), &mut grad_x, Update::Write).unwrap();
    assert_close(&grad_x, &expected, 1e-5);
    let mut nothing = vec![f32::NAN; m * k];
    backward_input([m, k, 0], &[], Weight::F32(&[]), &mut nothing, Update::Write).unwrap();
    assert_eq!(nothing, vec![0.0; m * k]);
}

#[test]
fn a_quantised_weight_of_another_shape_is_refused() {
    let weight = quantized::Weight::from_f32(Format::Q8_0, 4, 2, &[0.5; 8]).unwrap();
    let error =
        forward([2, 3, 4], &[0.0; 6], Weight::Quantized(&weight), &mut [0.0; 8], Update::Write);
    let (found, expected) = ([4, 2], [4, 3]);
    assert_eq!(error.unwrap_err(), KernelError::WrongShape { operand: "weight", found, expected });
}
