//! What the bytes of blocks stand for.

use super::*;
use crate::quantized::dequantize::Rows;
use crate::simd::integer::dispatch_on;
use serde_json::Value;
use std::fs;

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
