use proptest::prelude::*;

use super::layout::DEPTH;
use super::*;
use crate::linear::{Update, Weight, backward_input, backward_weight, forward};
use crate::simd::round;
use crate::testing::{ISAS, assert_close, bits, numbers, with_threads};
use crate::{Precision, isa};

/// `x` rounded to bfloat16.
fn rounded(x: &[f32]) -> Vec<f32> {
    x.iter().map(|x| f32::from_bits(round(*x))).collect()
}

/// `a · b` in `f64`, both row-major.
fn reference([m, k, n]: [usize; 3], a: &[f32], b: &[f32]) -> Vec<f64> {
    let mut out = vec![0.0; m * n];
    for i in 0..m {
        for l in 0..k {
            for j in 0..n {
                out[i * n + j] += f64::from(a[i * k + l]) * f64::from(b[l * n + j]);
            }
        }
    }
    out
}

fn transposed(x: &[f32], columns: usize) -> Vec<f32> {
    let rows = x.len() / columns;
    (0..x.len()).map(|i| x[i % rows * columns + i / rows]).collect()
}

/// The product on `isa` with operands at an odd place in memory.
fn run(
    isa: Isa,
    sizes @ [m, k, n]: [usize; 3],
    a: &[f32],
    b: &[f32],
    transpose: [bool; 2],
    mut out: Vec<f32>,
    update: Update,
) -> Vec<f32> {
    let shifted = |x: Vec<f32>| [vec![f32::NAN], x].concat();
    let a = shifted(if transpose[0] { transposed(a, k) } else { a.to_vec() });
    let b = shifted(if transpose[1] { transposed(b, n) } else { b.to_vec() });
    let left = if transpose[0] { Left::Columns(&a[1..]) } else { Left::Rows(&a[1..]) };
    let right = if transpose[1] { Source::Columns(&b[1..]) } else { Source::Rows(&b[1..]) };
    out.insert(0, f32::NAN);
    with_panels(isa, &[([k, n], right)], |panels| {
        products([Product { isa, sizes, left, right: panels[0], out: &mut out[1..], update }]);
    });
    assert_eq!(out.len(), 1 + m * n);
    out.split_off(1)
}

#[test]
fn rounding_is_to_nearest_with_ties_to_even_and_keeps_what_is_not_finite() {
    let round = |x: f32| f32::from_bits(round(x));
    let below = f32::from_bits(0x3f80_7fff);
    let (tie, odd_tie) = (f32::from_bits(0x3f80_8000), f32::from_bits(0x3f81_8000));
    assert_eq!((round(below), round(tie), round(-tie)), (1.0, 1.0, -1.0));
    assert_eq!(round(odd_tie), f32::from_bits(0x3f82_0000));
    assert_eq!((round(f32::MAX), round(f32::NEG_INFINITY)), (f32::INFINITY, f32::NEG_INFINITY));
    assert_eq!(round(-0.0).to_bits(), (-0.0f32).to_bits());
    assert_eq!(round(f32::from_bits(0x0001_8000)).to_bits(), 0x0002_0000);
    for nan in [0x7f80_0001, 0xff80_0001, 0x7fff_ffff, 0xffff_ffff] {
        assert!(round(f32::from_bits(nan)).is_nan());
    }
}

#[test]
fn the_four_layouts_of_the_operands_give_the_product_on_every_instruction_set() {
    for sizes @ [m, k, n] in [
        [1, 1, 1],
        [1, 2, 3],
        [5, 7, 11],
        [8, 288, 48],
        [97, 289, 49],
        [13, 2 * 2 * DEPTH + 3, 61],
        [200, 40, 800],
    ] {
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let expected = reference(sizes, &rounded(&a), &rounded(&b));
        for isa in ISAS {
            for transpose in [[false, false], [false, true], [true, false], [true, true]] {
                let out = vec![f32::NAN; m * n];
                let found = run(isa, sizes, &a, &b, transpose, out, Update::Write);
                assert_close(&found, &expected, 1e-5);
                let found = run(isa, sizes, &a, &b, transpose, found, Update::Add);
                let twice: Vec<f64> = expected.iter().map(|x| 2.0 * x).collect();
                assert_close(&found, &twice, 1e-5);
            }
        }
    }
}

#[test]
fn panels_hold_the_rounded_pairs_of_either_layout_and_zeros_beyond_them() {
    for [k, n] in [[1, 1], [5, 33], [70, 100], [2 * 2 * DEPTH + 3, 50]] {
        let x = numbers(k * n, 14);
        let at = |row: usize, column: usize| {
            if row < k && column < n { round(x[row * n + column]) } else { 0 }
        };
        for isa in ISAS {
            let layout @ Layout { width, .. } = Layout::of(isa);
            let (n_pairs, depth) = (layout.n_pairs(k), layout.piece_depth(k));
            let mut expected = Vec::new();
            for start in (0..n_pairs).step_by(depth) {
                for panel in 0..n.div_ceil(width) {
                    for pair in start..n_pairs.min(start + depth) {
                        expected.extend(
                            (panel * width..(panel + 1) * width).map(|column| {
                                at(2 * pair + 1, column) | at(2 * pair, column) >> 16
                            }),
                        );
                    }
                }
            }
            for source in [Source::Rows(&x), Source::Columns(&transposed(&x, n))] {
                let mut words = vec![u32::MAX; layout.n_words(k, n)];
                panels::pack(isa, [k, n], source, &mut words);
                assert!(words == expected, "{isa:?} {k} {n}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_size_gives_the_product_with_the_same_bits_on_one_thread_and_on_two(
        m in 1usize..210,
        k in 1usize..330,
        n in 1usize..120,
        isa in 0..ISAS.len(),
        transpose in any::<[bool; 2]>(),
        exponent in -30i32..30,
    ) {
        let sizes = [m, k, n];
        let scale = 2f32.powi(exponent);
        let a: Vec<f32> = numbers(m * k, 3).iter().map(|x| x * scale).collect();
        let b = numbers(k * n, 4);
        let expected = reference(sizes, &rounded(&a), &rounded(&b));
        let on = |threads| {
            let out = vec![f32::NAN; m * n];
            with_threads(threads, || {
                run(ISAS[isa], sizes, &a, &b, transpose, out, Update::Write)
            })
        };
        let found = on(1);
        assert_close(&found, &expected, 1e-5);
        prop_assert_eq!(bits(&found), bits(&on(2)));
    }

    #[test]
    fn a_row_has_the_same_bits_in_any_batch(
        m in 1usize..210,
        k in 1usize..330,
        n in 1usize..120,
        first in 0usize..210,
    ) {
        let (a, b) = (numbers(m * k, 5), numbers(k * n, 6));
        let first = first % m;
        for isa in ISAS {
            let on = |m, a: &[f32]| {
                run(isa, [m, k, n], a, &b, [false; 2], vec![0.0; m * n], Update::Write)
            };
            let (all, some) = (on(m, &a), on(m - first, &a[first * k..]));
            prop_assert_eq!(bits(&some), bits(&all[first * n..]));
        }
    }
}

#[test]
fn what_is_not_finite_reaches_its_row_and_its_column_and_nothing_else() {
    let sizes @ [m, k, n] = [10, 5, 50];
    for isa in ISAS {
        for bad in [f32::NAN, f32::INFINITY] {
            let (mut a, mut b) = (numbers(m * k, 7), numbers(k * n, 8));
            a[9 * k + 4] = bad;
            b[2 * n + 49] = bad;
            let out = run(isa, sizes, &a, &b, [false; 2], vec![0.0; m * n], Update::Write);
            for (at, x) in out.iter().enumerate() {
                assert_eq!(x.is_finite(), at / n != 9 && at % n != 49, "{isa:?} {at}");
            }
        }
    }
}

#[test]
fn extreme_operands_overflow_to_infinity_and_vanish_to_zero() {
    for isa in ISAS {
        let on = |a: &[f32], b: &[f32]| {
            let sizes = [1, a.len(), 1];
            run(isa, sizes, a, b, [false; 2], vec![f32::NAN], Update::Write)[0]
        };
        assert_eq!(on(&[1e38, 1e38], &[1.0, 1.0]), 2.0 * f32::from_bits(round(1e38)));
        assert_eq!(on(&[1e38, 1.0, 1.0], &[-1e38, 1.0, 1.0]), f32::NEG_INFINITY);
        assert!(!on(&[1e38, 1e38], &[1e38, -1e38]).is_finite());
        let tiny = f32::from_bits(0x0007_0000);
        assert!([0.0, tiny].contains(&on(&[tiny], &[1.0])));
        assert_eq!(on(&[1e-30, 0.0, -0.0], &[1e-30, 1e38, 1.0]), 0.0);
    }
}

#[test]
fn a_packed_weight_gives_a_layers_three_products() {
    for sizes @ [m, k, n] in [[3, 5, 7], [70, 100, 33]] {
        let (x, weight, grad) = (numbers(m * k, 9), numbers(n * k, 10), numbers(m * n, 11));
        let (rx, rweight, rgrad) = (rounded(&x), rounded(&weight), rounded(&grad));
        for isa in ISAS {
            let mut packed = PackedWeight::with_isa(isa, n, k);
            packed.pack(&numbers(n * k, 12)).unwrap();
            packed.pack(&weight).unwrap();
            let weight = Weight::Bf16(&packed);
            let mut y = vec![f32::NAN; m * n];
            forward(sizes, &x, weight, &mut y, Update::Write).unwrap();
            assert_close(&y, &reference([m, k, n], &rx, &transposed(&rweight, k)), 1e-5);
            let mut grad_x = vec![f32::NAN; m * k];
            backward_input(sizes, &grad, weight, &mut grad_x, Update::Write).unwrap();
            assert_close(&grad_x, &reference([m, n, k], &rgrad, &rweight), 1e-5);
        }
        let mut grad_weight = vec![1.0; n * k];
        backward_weight(Precision::Bf16, sizes, &grad, &x, &mut grad_weight).unwrap();
        let expected = reference([n, m, k], &transposed(&rgrad, n), &rx);
        let expected: Vec<f64> = expected.iter().map(|x| x + 1.0).collect();
        assert_close(&grad_weight, &expected, 1e-5);
    }
}

#[test]
fn repacking_keeps_the_room_and_wrong_lengths_are_errors() {
    let mut packed = PackedWeight::new(5, 7);
    let before = (packed.forward.as_ptr(), packed.backward.as_ptr());
    packed.pack(&numbers(35, 13)).unwrap();
    assert_eq!(before, (packed.forward.as_ptr(), packed.backward.as_ptr()));
    assert_eq!((packed.n_out(), packed.n_in()), (5, 7));
    let error = packed.pack(&[0.0; 34]).unwrap_err();
    assert_eq!(error, KernelError::WrongLength { operand: "weight", found: 34, expected: 35 });
}

#[test]
fn no_terms_give_zero_and_no_rows_give_nothing() {
    for isa in ISAS {
        assert_eq!(
            run(isa, [2, 0, 1], &[], &[], [false; 2], vec![1.0; 2], Update::Write),
            [0.0; 2]
        );
        assert_eq!(run(isa, [2, 0, 1], &[], &[], [false; 2], vec![1.0; 2], Update::Add), [1.0; 2]);
        assert!(run(isa, [0, 3, 2], &[], &[1.0; 6], [false; 2], vec![], Update::Write).is_empty());
        assert!(run(isa, [2, 3, 0], &[1.0; 6], &[], [false; 2], vec![], Update::Write).is_empty());
    }
}

#[test]
fn bf16_is_chosen_where_the_processor_multiplies_it() {
    assert_eq!(Precision::auto() == Precision::Bf16, isa::active() >= Isa::Avx512Bf16);
}
