use super::product::on::product_on;
use super::*;
use crate::KernelError;
use crate::isa::Isa;
use crate::simd::integer::BLOCK;
use crate::testing::{ISAS, assert_close, bits, numbers, wide, with_threads};
use proptest::prelude::*;

mod blocks;
mod refusals;

/// Those that are rounded to.
const FORMATS: [Format; 5] = [Format::Q8_0, Format::Q4_0, Format::Q4_1, Format::F16, Format::Bf16];
/// Those that are read only.
const READ: [Format; 5] = [Format::Q5_0, Format::Q5_1, Format::Q4K, Format::Q5K, Format::Q6K];

fn all_formats() -> impl Iterator<Item = Format> {
    FORMATS.into_iter().chain(READ)
}

/// The next width that rows of a format can have.
fn width(format: Format, n_in: usize) -> usize {
    if READ.contains(&format) { n_in.next_multiple_of(format.block_len()) } else { n_in }
}

/// The bytes that a file holds for a weight in blocks, with scales and least numbers of at most 1.
fn file_bytes(format: Format, n_out: usize, n_in: usize, seed: u64) -> Vec<u8> {
    let n_blocks = n_out * n_in / format.block_len();
    let mut bytes: Vec<u8> = numbers(n_blocks * format.block_bytes(), seed)
        .into_iter()
        .map(|x| (x * 128.0) as i8 as u8)
        .collect();
    for (block, x) in bytes.chunks_mut(format.block_bytes()).zip(numbers(n_blocks, seed + 1)) {
        let halves: &[usize] = match format {
            Format::Q6K => &[208],
            Format::Q8_0 | Format::Q4_0 | Format::Q5_0 => &[0],
            _ => &[0, 2],
        };
        for (&at, x) in halves.iter().zip([x, 1.0 - x.abs()]) {
            block[at..at + 2].copy_from_slice(&half::f16::from_f32(x).to_le_bytes());
        }
    }
    bytes
}

/// A weight of some numbers, of a width that the format can have.
fn made(format: Format, n_out: usize, n_in: usize, seed: u64) -> Weight {
    match READ.contains(&format) {
        true => {
            let bytes = file_bytes(format, n_out, n_in, seed);
            Weight::from_gguf_blocks(format, n_out, n_in, &bytes).unwrap()
        }
        false => Weight::from_f32(format, n_out, n_in, &numbers(n_out * n_in, seed)).unwrap(),
    }
}

fn loaded(format: Format, n_in: usize, x: &[f32]) -> Activations {
    let mut activations = Activations::new();
    activations.load(format.precision(), n_in, x).unwrap();
    activations
}

fn run(weight: &Weight, x: &[f32]) -> Vec<f32> {
    let x = loaded(weight.format(), weight.n_in(), x);
    let mut out = vec![f32::NAN; x.n_rows() * weight.n_out()];
    product(weight, &x, &mut out).unwrap();
    out
}

/// What a weight stands for, row-major.
fn dequantized(weight: &Weight) -> Vec<f32> {
    let mut all = vec![f32::NAN; weight.n_out() * weight.n_in()];
    weight.dequantize(0..weight.n_out(), &mut all).unwrap();
    all
}

/// What the activations stand for, row-major.
fn held(x: &Activations) -> Vec<f64> {
    if x.precision() == Precision::F32 {
        let rows = x.numbers().chunks(x.n_in().div_ceil(2));
        return rows.flat_map(|row| wide(&row.as_flattened()[..x.n_in()])).collect();
    }
    let rows = x.quads().chunks(x.n_in().div_ceil(BLOCK));
    let row = |row: &[crate::simd::integer::Quads]| {
        let mut numbers = Vec::new();
        for block in row {
            let codes = block.codes.iter().flat_map(|word| word.to_le_bytes());
            numbers.extend(codes.map(|code| f64::from(code as i8) * f64::from(block.scale)));
        }
        numbers.truncate(x.n_in());
        numbers
    };
    rows.flat_map(row).collect()
}

fn reference(weight: &Weight, x: &[f64]) -> Vec<f64> {
    let w = wide(&dequantized(weight));
    let row = |x: &[f64]| -> Vec<f64> {
        let dot = |w: &[f64]| w.iter().zip(x).map(|(w, x)| w * x).sum();
        w.chunks(weight.n_in()).map(dot).collect()
    };
    x.chunks(weight.n_in()).flat_map(row).collect()
}

#[test]
fn a_product_is_that_of_the_numbers_held() {
    let sizes = [(1, 32, 1), (1, 576, 192), (2, 64, 17), (3, 1536, 33), (5, 96, 16), (13, 45, 31)];
    for format in all_formats() {
        for (m, k, n) in sizes {
            let k = width(format, k);
            let weight = made(format, n, k, 1);
            let x = numbers(m * k, 2);
            let expected = reference(&weight, &held(&loaded(format, k, &x)));
            assert_close(&run(&weight, &x), &expected, 3e-6);
        }
    }
}

#[test]
fn a_product_is_within_the_rounding_of_the_activations() {
    let (m, k, n) = (4, 576, 40);
    let x = numbers(m * k, 3);
    for format in [Format::Q8_0, Format::Q4_0, Format::Q4_1] {
        let weight = Weight::from_f32(format, n, k, &numbers(n * k, 4)).unwrap();
        let w = dequantized(&weight);
        let (found, exact) = (run(&weight, &x), reference(&weight, &wide(&x)));
        for (i, x) in x.chunks(k).enumerate() {
            for (j, w) in w.chunks(k).enumerate() {
                let mut bound = 0.0;
                for (x, w) in x.chunks(BLOCK).zip(w.chunks(BLOCK)) {
                    let greatest = x.iter().fold(0.0f32, |greatest, x| greatest.max(x.abs()));
                    let magnitudes: f32 = w.iter().map(|w| w.abs()).sum();
                    bound += f64::from(greatest / 254.0 * magnitudes);
                }
                let error = (f64::from(found[i * n + j]) - exact[i * n + j]).abs();
                assert!(error <= 1.001 * bound, "{format:?} [{i}, {j}]: {error} > {bound}");
                assert!(bound < 5.0);
            }
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits_for_blocks_and_agrees_for_halves() {
    for (m, k, n) in [(1, 576, 50), (15, 96, 35), (23, 70, 16)] {
        for format in all_formats() {
            let k = width(format, k);
            let weight = made(format, n, k, 6);
            let x = loaded(format, k, &numbers(m * k, 5));
            let expected = product_on(Isa::Portable, false, &weight, &x);
            for (isa, vnni) in ISAS.into_iter().flat_map(|isa| [(isa, true), (isa, false)]) {
                let found = product_on(isa, vnni, &weight, &x);
                if format.precision() == Precision::Int8 {
                    assert_eq!(bits(&found), bits(&expected), "{format:?} {isa:?} {vnni}");
                } else {
                    assert_close(&found, &wide(&expected), 3e-6);
                }
            }
        }
    }
}

/// A weight whose codes are all `code`, with the greatest scale that there is over a scale of 1 and a least
/// number of 0.
fn constant(format: Format, n_out: usize, n_in: usize, code: u8) -> Weight {
    let (one, zero) = ([0x00, 0x3c], [0, 0]);
    let (nibbles, fifth) = ([(code & 15) << 4 | code & 15; 128], [(code >> 4) * 255; 32]);
    let block = match format {
        Format::Q8_0 => [&one[..], &[code; 32]].concat(),
        Format::Q4_0 => [&one[..], &nibbles[..16]].concat(),
        Format::Q5_0 => [&one[..], &fifth[..4], &nibbles[..16]].concat(),
        Format::Q5_1 => [&one[..], &zero, &fifth[..4], &nibbles[..16]].concat(),
        Format::Q4K => [&one[..], &zero, &[255; 12], &nibbles].concat(),
        Format::Q5K => [&one[..], &zero, &[255; 12], &fifth, &nibbles].concat(),
        Format::Q6K => [&nibbles[..], &[(code >> 4) * 0x55; 64], &[127; 16], &one].concat(),
        _ => [&one[..], &zero, &nibbles[..16]].concat(),
    };
    let n_blocks = n_out * n_in / format.block_len();
    Weight::from_gguf_blocks(format, n_out, n_in, &block.repeat(n_blocks)).unwrap()
}

#[test]
fn the_greatest_codes_do_not_overflow() {
    let corners = [
        (Format::Q8_0, 0x80, -128.0),
        (Format::Q8_0, 0x7f, 127.0),
        (Format::Q4_0, 0, -8.0),
        (Format::Q4_0, 15, 7.0),
        (Format::Q4_1, 15, 15.0),
        (Format::Q5_0, 0, -16.0),
        (Format::Q5_0, 31, 15.0),
        (Format::Q5_1, 31, 31.0),
        (Format::Q4K, 15, 15.0 * 63.0),
        (Format::Q5K, 31, 31.0 * 63.0),
        (Format::Q6K, 0, -32.0 * 127.0),
        (Format::Q6K, 63, 31.0 * 127.0),
    ];
    for (format, code, number) in corners {
        let k = width(format, 96);
        let weight = constant(format, 16, k, code);
        for x in [127.0, -127.0] {
            let row = loaded(format, k, &vec![x; k]);
            for (isa, vnni) in ISAS.into_iter().flat_map(|isa| [(isa, true), (isa, false)]) {
                let found = product_on(isa, vnni, &weight, &row);
                assert_eq!(found, [k as f32 * x * number; 16], "{format:?} {code} {isa:?}");
            }
        }
    }
}

#[test]
fn a_number_that_is_not_finite_makes_its_row_nan_and_no_other() {
    let (m, k, n) = (7, 75, 20);
    for format in FORMATS {
        let weight = Weight::from_f32(format, n, k, &numbers(n * k, 7)).unwrap();
        let clean = run(&weight, &numbers(m * k, 8));
        for (row, bad) in [(0, f32::NAN), (3, f32::INFINITY), (6, f32::NEG_INFINITY)] {
            let mut x = numbers(m * k, 8);
            x[row * k + 40] = bad;
            let found = run(&weight, &x);
            for i in 0..m {
                let (found, clean) = (&found[i * n..][..n], &clean[i * n..][..n]);
                if i == row {
                    assert!(found.iter().all(|x| !x.is_finite()), "{format:?}: {found:?}");
                } else {
                    assert_eq!(bits(found), bits(clean));
                }
            }
            if format.precision() == Precision::Int8 {
                assert!(found[row * n..][..n].iter().all(|x| x.is_nan()));
            }
        }
    }
}

#[test]
fn extreme_activations_keep_their_scale() {
    let k = 64;
    for format in [Format::Q8_0, Format::Q4_0, Format::Q4_1] {
        let weight = Weight::from_f32(format, 3, k, &numbers(3 * k, 9)).unwrap();
        for magnitude in [1e-30, 1e-10, 1e30, 3e36] {
            let x: Vec<f32> = numbers(k, 10).iter().map(|x| x * magnitude).collect();
            let expected = reference(&weight, &held(&loaded(format, k, &x)));
            assert_close(&run(&weight, &x), &expected, 3e-6);
        }
        assert_eq!(run(&weight, &vec![0.0; k]), [0.0; 3]);
        assert_eq!(run(&weight, &vec![1e-42; k]), [0.0; 3]);
        assert_eq!(run(&weight, &[]), [0.0; 0]);
    }
}

#[test]
fn many_rows_and_columns_take_the_same_arithmetic_as_few() {
    let (m, n) = (150, 2100);
    for format in all_formats() {
        let k = width(format, 40);
        let x = numbers(m * k, 12);
        let weight = made(format, n, k, 11);
        let all = run(&weight, &x);
        assert_close(&all, &reference(&weight, &held(&loaded(format, k, &x))), 3e-6);
        let last = match READ.contains(&format) {
            true => {
                let bytes = file_bytes(format, n, k, 11);
                let from = bytes.len() / n * (n - 3);
                Weight::from_gguf_blocks(format, 3, k, &bytes[from..]).unwrap()
            }
            false => Weight::from_f32(format, 3, k, &numbers(n * k, 11)[(n - 3) * k..]).unwrap(),
        };
        let few = run(&last, &x[(m - 1) * k..]);
        assert_eq!(bits(&all[m * n - 3..]), bits(&few));
    }
}

#[test]
fn several_weights_at_once_give_the_bits_of_each_alone() {
    for n_rows in [1, 5, 70] {
        let x = loaded(Format::Q8_0, 96, &numbers(n_rows * 96, 31));
        let weight = |format, n_out| {
            Weight::from_f32(format, n_out, 96, &numbers(n_out * 96, n_out as u64)).unwrap()
        };
        let weights =
            [weight(Format::Q4_1, 100), weight(Format::Q8_0, 7), weight(Format::Q4_0, 300)];
        let mut outs = weights.each_ref().map(|weight| vec![f32::NAN; n_rows * weight.n_out()]);
        let mut parts: Vec<_> =
            weights.iter().zip(&mut outs).map(|(weight, out)| (weight, &mut out[..])).collect();
        products(&mut parts, &x).unwrap();
        for (weight, out) in weights.iter().zip(&outs) {
            let mut alone = vec![f32::NAN; out.len()];
            product(weight, &x, &mut alone).unwrap();
            assert_eq!(bits(out), bits(&alone));
        }
        let mut short = [0.0; 3];
        let error = products(&mut [(&weights[1], &mut short)], &x).unwrap_err();
        assert!(matches!(error, KernelError::WrongLength { operand: "out", .. }));
    }
    products(&mut [], &Activations::new()).unwrap();
}

#[test]
fn activations_read_by_several_weights_are_loaded_once_and_again() {
    let k = 64;
    let weights = [Format::Q8_0, Format::Q4_1]
        .map(|format| Weight::from_f32(format, 5, k, &numbers(5 * k, 13)).unwrap());
    let mut x = loaded(Format::Q8_0, k, &numbers(9 * k, 14));
    for seed in [15, 16] {
        x.load(Precision::Int8, k, &numbers(2 * k, seed)).unwrap();
        for weight in &weights {
            let mut out = [f32::NAN; 10];
            product(weight, &x, &mut out).unwrap();
            assert_eq!(bits(&out), bits(&run(weight, &numbers(2 * k, seed))));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_row_has_the_same_bits_in_any_batch(
        format in 0..FORMATS.len() + READ.len(),
        m in 1usize..150,
        k in 1usize..300,
        n in 1usize..70,
        first in 0usize..150,
        len in 1usize..150,
        threads in 1usize..3,
    ) {
        let format = all_formats().nth(format).unwrap();
        let k = width(format, k);
        let weight = made(format, n, k, 18);
        let x = numbers(m * k, 19);
        let all = run(&weight, &x);
        let first = first % m;
        let len = len.min(m - first);
        let some = with_threads(threads, || run(&weight, &x[first * k..][..len * k]));
        prop_assert_eq!(bits(&some), bits(&all[first * n..][..len * n]));
    }
}
