use std::fs;

use proptest::prelude::*;
use serde_json::Value;

use super::dequantize::Rows;
use super::product::on::product_on;
use super::*;
use crate::KernelError;
use crate::isa::Isa;
use crate::simd::integer::{BLOCK, dispatch_on};
use crate::testing::{ISAS, assert_close, bits, numbers, wide, with_threads};

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
fn blocks_are_those_of_the_reference_quantiser() {
    let path = format!("{}/../../reference/golden", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(format!("{path}/quantized_blocks.json")).unwrap();
    let golden: Value = serde_json::from_str(&text).unwrap();
    let size = |i: usize| golden["shape"][i].as_u64().unwrap() as usize;
    let (n_out, n_in) = (size(0), size(1));
    let matrix = |value: &Value| -> Vec<f32> {
        let rows = value.as_array().unwrap().iter();
        let number = |x: &Value| x.as_f64().unwrap() as f32;
        rows.flat_map(|row| row.as_array().unwrap().iter().map(number)).collect()
    };
    let x = matrix(&golden["x"]);
    for (format, entry) in FORMATS.into_iter().zip(golden["formats"].as_array().unwrap()) {
        assert_eq!(entry["format"], format.name());
        let hex = entry["blocks"].as_str().unwrap();
        let byte = |i: usize| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap();
        let blocks: Vec<u8> = (0..hex.len() / 2).map(byte).collect();
        let read = Weight::from_gguf_blocks(format, n_out, n_in, &blocks).unwrap();
        let made = Weight::from_f32(format, n_out, n_in, &x).unwrap();
        assert_eq!(bits(&dequantized(&read)), bits(&matrix(&entry["numbers"])), "{format:?}");
        assert_eq!(read, made, "{format:?}");
    }
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

#[test]
fn what_does_not_fit_is_an_error_that_says_what() {
    let error = Weight::from_gguf_blocks(Format::Q4_0, 2, 48, &[0; 54]).unwrap_err();
    assert!(error.to_string().contains("48") && error.to_string().contains("multiple of 32"));
    let error = Weight::from_gguf_blocks(Format::Q4_1, 2, 32, &[0; 36]).unwrap_err();
    let expected = KernelError::WrongLength { operand: "blocks", found: 36, expected: 40 };
    assert_eq!(error, expected);
    let error = Weight::from_gguf_blocks(Format::Q4K, 1, 128, &[0; 72]).unwrap_err();
    assert!(error.to_string().contains("128") && error.to_string().contains("multiple of 256"));
    for format in READ {
        let error = Weight::from_f32(format, 1, 256, &[0.0; 256]).unwrap_err();
        assert_eq!(error, KernelError::OnlyRead { format: format.name() });
    }
    assert!(Weight::from_f32(Format::Q8_0, 0, 32, &[]).is_err());
    assert!(Weight::from_f32(Format::Q8_0, 2, 32, &[0.0; 63]).is_err());

    let weight = Weight::from_f32(Format::Q8_0, 2, 32, &[0.5; 64]).unwrap();
    let mut x = Activations::new();
    assert!(x.load(Precision::Int8, 32, &[0.0; 33]).is_err());
    x.load(Precision::F32, 32, &[0.0; 32]).unwrap();
    let error = product(&weight, &x, &mut [0.0; 2]).unwrap_err();
    assert_eq!(error, KernelError::WrongPrecision { format: "Q8_0" });
    x.load(Precision::Int8, 32, &[0.0; 32]).unwrap();
    assert!(product(&weight, &x, &mut [0.0; 3]).is_err());
    x.load(Precision::Int8, 64, &[0.0; 64]).unwrap();
    assert!(product(&weight, &x, &mut [0.0; 2]).is_err());
    assert!(weight.dequantize(2..3, &mut [0.0; 32]).is_err());
    assert!(weight.dequantize(0..1, &mut [0.0; 31]).is_err());
}

#[test]
fn a_weight_that_is_not_finite_in_its_format_is_an_error_that_says_where() {
    let mut w = numbers(3 * 64, 17);
    w[64 + 35] = f32::NAN;
    for format in FORMATS {
        let error = Weight::from_f32(format, 3, 64, &w).unwrap_err();
        let expected = KernelError::NonFiniteWeight { row: 1, term: 35, format: format.name() };
        assert_eq!(error, expected);
    }
    w[64 + 35] = 1e30;
    let error = Weight::from_f32(Format::Q4_1, 3, 64, &w).unwrap_err();
    assert_eq!(error, KernelError::NonFiniteWeight { row: 1, term: 32, format: "Q4_1" });
    let error = Weight::from_f32(Format::F16, 3, 64, &w).unwrap_err();
    assert_eq!(error, KernelError::NonFiniteWeight { row: 1, term: 35, format: "F16" });
    assert!(Weight::from_f32(Format::Bf16, 3, 64, &w).is_ok());

    let mut blocks = [0; 2 * 34];
    blocks[34..36].copy_from_slice(&[0x00, 0x7c]);
    let error = Weight::from_gguf_blocks(Format::Q8_0, 2, 32, &blocks).unwrap_err();
    assert_eq!(error, KernelError::NonFiniteWeight { row: 1, term: 0, format: "Q8_0" });

    // The least number of a block of Q4_0 is −8 times its scale, here −8 · 8192.
    let blocks = [&[0x00, 0x70], &[0; 16][..]].concat();
    let error = Weight::from_gguf_blocks(Format::Q4_0, 1, 32, &blocks).unwrap_err();
    assert_eq!(error, KernelError::NonFiniteWeight { row: 0, term: 0, format: "Q4_0" });
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

    #[test]
    fn bytes_of_a_file_come_back_as_their_numbers(
        format in 0..3usize,
        n in 1usize..40,
        blocks in 1usize..4,
        seed in 0u64..1000,
    ) {
        let format = FORMATS[format];
        let bytes: Vec<u8> = numbers(n * blocks * format.block_bytes(), seed)
            .iter()
            .enumerate()
            .map(|(i, x)| {
                // The upper byte of a scale or a least number stays far from the infinities.
                let at = i % format.block_bytes();
                let upper = at == 1 || format == Format::Q4_1 && at == 3;
                if upper { (x * 32.0) as i8 as u8 & 0xbf } else { (x * 128.0) as i8 as u8 }
            })
            .collect();
        let weight = Weight::from_gguf_blocks(format, n, 32 * blocks, &bytes).unwrap();
        let half = |at: usize| half::f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32();
        for (row, found) in dequantized(&weight).chunks(32 * blocks).enumerate() {
            for (term, found) in found.iter().enumerate() {
                let block = (row * blocks + term / 32) * format.block_bytes();
                let place = term % 32;
                let (codes, nibble) = (if format == Format::Q4_1 { 4 } else { 2 }, place / 16 * 4);
                let expected = if format == Format::Q8_0 {
                    half(block) * f32::from(bytes[block + 2 + place] as i8)
                } else {
                    let code = f32::from(bytes[block + codes + place % 16] >> nibble & 15);
                    match format {
                        Format::Q4_0 => half(block) * (code - 8.0),
                        _ => half(block) * code + half(block + 2),
                    }
                };
                prop_assert_eq!(found.to_bits(), expected.to_bits());
            }
        }
    }
}

/// What a block of a file stands for, in the loops of ggml's `dequantize_row_*`.
fn ggml(format: Format, block: &[u8]) -> Vec<f32> {
    let half = |at: usize| half::f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
    let mut y = vec![0.0; format.block_len()];
    match format {
        Format::Q5_0 | Format::Q5_1 => {
            let at = if format == Format::Q5_0 { 2 } else { 4 };
            let qh = u32::from_le_bytes(block[at..at + 4].try_into().unwrap());
            for j in 0..16 {
                let byte = block[at + 4 + j];
                let x0 = byte & 0x0f | ((qh >> j) << 4) as u8 & 0x10;
                let x1 = byte >> 4 | (qh >> (j + 12)) as u8 & 0x10;
                for (place, x) in [(j, x0), (j + 16, x1)] {
                    y[place] = match format {
                        Format::Q5_0 => f32::from(x as i8 - 16) * half(0),
                        _ => f32::from(x) * half(0) + half(2),
                    };
                }
            }
        }
        Format::Q4K | Format::Q5K => {
            let scales = &block[4..16];
            let scale_min = |j: usize| match j {
                0..4 => (scales[j] & 63, scales[j + 4] & 63),
                _ => (
                    scales[j + 4] & 0x0f | (scales[j - 4] >> 6) << 4,
                    scales[j + 4] >> 4 | (scales[j] >> 6) << 4,
                ),
            };
            let (qh, ql) = match format {
                Format::Q4K => (&[0; 32][..], &block[16..]),
                _ => (&block[16..48], &block[48..]),
            };
            for part in 0..4 {
                for upper in 0..2 {
                    let (scale, min) = scale_min(2 * part + upper);
                    let (d1, m1) = (half(0) * f32::from(scale), half(2) * f32::from(min));
                    for l in 0..32 {
                        let high = qh[l] & 1 << (2 * part + upper) != 0;
                        let low = ql[32 * part + l] >> (4 * upper) & 0x0f;
                        let code = f32::from(low + if high { 16 } else { 0 });
                        y[64 * part + 32 * upper + l] = d1 * code - m1;
                    }
                }
            }
        }
        _ => {
            for n in 0..2 {
                let (ql, qh) = (&block[64 * n..][..64], &block[128 + 32 * n..][..32]);
                let scales = &block[192 + 8 * n..][..8];
                for l in 0..32 {
                    let codes = [
                        ql[l] & 0x0f | (qh[l] & 3) << 4,
                        ql[l + 32] & 0x0f | (qh[l] >> 2 & 3) << 4,
                        ql[l] >> 4 | (qh[l] >> 4 & 3) << 4,
                        ql[l + 32] >> 4 | (qh[l] >> 6 & 3) << 4,
                    ];
                    for (i, code) in codes.into_iter().enumerate() {
                        let scale = half(208) * f32::from(scales[l / 16 + 2 * i] as i8);
                        y[128 * n + 32 * i + l] = scale * f32::from(code as i8 - 32);
                    }
                }
            }
        }
    }
    y
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bytes_of_formats_that_are_read_only_stand_for_ggmls_numbers(
        format in prop::sample::select(READ.to_vec()),
        n in 1usize..40,
        blocks in 1usize..4,
        seed in 0u64..1000,
    ) {
        let k = blocks * format.block_len();
        let bytes = file_bytes(format, n, k, seed);
        let weight = Weight::from_gguf_blocks(format, n, k, &bytes).unwrap();
        let expected: Vec<f32> =
            bytes.chunks(format.block_bytes()).flat_map(|block| ggml(format, block)).collect();
        prop_assert_eq!(bits(&dequantized(&weight)), bits(&expected));
    }

    #[test]
    fn rows_that_fill_panels_are_a_weight_of_their_own(
        format in 0..FORMATS.len() + READ.len(),
        n in 1usize..70,
        first in 0usize..5,
        last in 0usize..5,
    ) {
        let format = all_formats().nth(format).unwrap();
        let k = width(format, 40);
        let weight = made(format, n, k, 21);
        let rows = 16 * first..(16 * last).min(n);
        match weight.rows(rows.clone()) {
            None => prop_assert!(rows.is_empty()),
            Some(part) => {
                let all = dequantized(&weight);
                let expected = bits(&all[rows.start * k..rows.end * k]);
                prop_assert_eq!(bits(&dequantized(&part)), expected);
            }
        }
        prop_assert!(weight.rows(0..n).is_some_and(|all| all == weight));
        prop_assert!(n < 2 || weight.rows(1..n).is_none());
    }

    #[test]
    fn any_rows_stand_for_the_same_numbers_on_every_instruction_set(
        format in 0..FORMATS.len() + READ.len(),
        n in 1usize..70,
        k in 1usize..150,
        first in 0usize..70,
        len in 0usize..70,
    ) {
        let format = all_formats().nth(format).unwrap();
        let k = width(format, k);
        let weight = made(format, n, k, 20);
        let mut rows = Vec::new();
        for row in 0..n {
            let mut out = vec![f32::NAN; k];
            dispatch_on(Isa::Portable, false, Rows { weight: &weight, first: row, out: &mut out });
            rows.extend(out);
        }
        let first = first % n;
        let len = len.min(n - first);
        let expected = bits(&rows[first * k..][..len * k]);
        let mut found = vec![f32::NAN; len * k];
        weight.dequantize(first..first + len, &mut found).unwrap();
        prop_assert_eq!(bits(&found), &expected[..]);
        for isa in ISAS {
            found.fill(f32::NAN);
            dispatch_on(isa, true, Rows { weight: &weight, first, out: &mut found });
            prop_assert_eq!(bits(&found), &expected[..], "{:?}", isa);
        }
    }
}
