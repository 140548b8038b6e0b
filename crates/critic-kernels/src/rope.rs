//! Rotary position embedding (Su et al. 2021, arXiv 2104.09864), Hugging Face's "rotate half".

use rayon::prelude::*;

use crate::error::{KernelError, check_length, count_rows};
use crate::simd::{Kernel, Simd, dispatch};

/// Tokens of a parallel piece of work.
const TOKENS_PER_TASK: usize = 32;

/// Cosines and sines by position.
#[derive(Debug, Clone)]
pub struct RopeTable {
    half: usize,
    head_dim: usize,
    n_positions: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl RopeTable {
    /// The table for positions `0..n_positions` and `head_dim = 2 · inverse_frequencies.len()`.
    ///
    /// The angle is the `f32` product of position and inverse frequency, as in the reference
    /// implementation (Hugging Face transformers); its cosine and sine are exact to `f32`.
    pub fn new(inverse_frequencies: &[f32], n_positions: usize) -> Self {
        let half = inverse_frequencies.len();
        let mut cos = Vec::with_capacity(n_positions * half);
        let mut sin = Vec::with_capacity(n_positions * half);
        for position in 0..n_positions {
            for frequency in inverse_frequencies {
                let (s, c) = f64::from(position as f32 * frequency).sin_cos();
                cos.push(c as f32);
                sin.push(s as f32);
            }
        }
        Self { half, head_dim: 2 * half, n_positions, cos, sin }
    }

    /// The same table for heads of this width: what lies past the rotated numbers stays as it is.
    ///
    /// # Errors
    /// Where a head is narrower than its rotated part.
    pub fn within(self, head_dim: usize) -> Result<Self, KernelError> {
        if head_dim < 2 * self.half {
            let rule = "at least twice the number of frequencies";
            return Err(KernelError::InvalidSize { operand: "head_dim", found: head_dim, rule });
        }
        Ok(Self { head_dim, ..self })
    }

    /// The same table with every cosine and sine multiplied (the attention factor of YaRN and LongRoPE).
    #[must_use]
    pub fn scaled(mut self, factor: f32) -> Self {
        self.cos.iter_mut().chain(&mut self.sin).for_each(|x| *x *= factor);
        self
    }

    /// Cosines and sines of a position, one of each for a frequency; nothing beyond the table.
    pub fn at(&self, position: usize) -> Option<(&[f32], &[f32])> {
        let from = position.checked_mul(self.half)?;
        let to = from.checked_add(self.half)?;
        Some((self.cos.get(from..to)?, self.sin.get(from..to)?))
    }

    /// The number of positions that the table covers.
    pub fn n_positions(&self) -> usize {
        self.n_positions
    }

    /// The width of a head.
    pub fn head_dim(&self) -> usize {
        self.head_dim
    }
}

/// Rotates every head of every token by its position's angles.
///
/// `out[..half] = x₁·cos − x₂·sin`, `out[half..] = x₂·cos + x₁·sin`, where `x₁` and `x₂` are the
/// halves of a head's rotated part; with a table that is [scaled](RopeTable::scaled) both are multiplied.
///
/// # Shapes
/// `x`: `[n_tokens, n_heads · head_dim]`, `positions`: `[n_tokens]`.
///
/// # Errors
/// Where the lengths do not fit, or a position lies beyond the table.
pub fn forward_in_place(
    x: &mut [f32],
    positions: &[u32],
    n_heads: usize,
    table: &RopeTable,
) -> Result<(), KernelError> {
    check("x", x, positions, n_heads, table)?;
    rotate::<false>(x, positions, n_heads, table);
    Ok(())
}

/// Turns the gradient of [`forward_in_place`]'s result into that of its operand, by rotating it
/// by the opposite angles.
///
/// # Shapes
/// `grad`: `[n_tokens, n_heads · head_dim]`, `positions`: `[n_tokens]`.
///
/// # Errors
/// Where the lengths do not fit, or a position lies beyond the table.
pub fn backward_in_place(
    grad: &mut [f32],
    positions: &[u32],
    n_heads: usize,
    table: &RopeTable,
) -> Result<(), KernelError> {
    check("grad", grad, positions, n_heads, table)?;
    rotate::<true>(grad, positions, n_heads, table);
    Ok(())
}

fn check(
    operand: &'static str,
    x: &[f32],
    positions: &[u32],
    n_heads: usize,
    table: &RopeTable,
) -> Result<(), KernelError> {
    let n_tokens = count_rows(operand, x.len(), n_heads * table.head_dim())?;
    check_length("positions", positions.len(), n_tokens)?;
    for (index, &position) in positions.iter().enumerate() {
        if position as usize >= table.n_positions {
            return Err(KernelError::OutOfRange {
                operand: "positions",
                index,
                found: position as usize,
                limit: table.n_positions,
            });
        }
    }
    Ok(())
}

fn rotate<const BACK: bool>(x: &mut [f32], positions: &[u32], n_heads: usize, table: &RopeTable) {
    let width = n_heads * table.head_dim();
    x.par_chunks_mut(TOKENS_PER_TASK * width)
        .zip(positions.par_chunks(TOKENS_PER_TASK))
        .for_each(|(x, positions)| dispatch(Rotate::<BACK> { x, positions, table, width }));
}

struct Rotate<'a, const BACK: bool> {
    x: &'a mut [f32],
    positions: &'a [u32],
    table: &'a RopeTable,
    width: usize,
}

impl<const BACK: bool> Kernel for Rotate<'_, BACK> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let half = self.table.half;
        for (x, &position) in self.x.chunks_exact_mut(self.width).zip(self.positions) {
            let first = position as usize * half;
            let cos = &self.table.cos[first..][..half];
            let sin = &self.table.sin[first..][..half];
            for x in x.chunks_exact_mut(self.table.head_dim) {
                let (x1, x2) = x[..2 * half].split_at_mut(half);
                let (x1, x2) = (&mut x1[..half], &mut x2[..half]);
                for i in 0..half {
                    let sin = if BACK { -sin[i] } else { sin[i] };
                    (x1[i], x2[i]) = (x1[i] * cos[i] - x2[i] * sin, x2[i] * cos[i] + x1[i] * sin);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, bits, numbers, wide, with_threads};

    fn table(half: usize, n_positions: usize) -> RopeTable {
        let frequency = |i: usize| 1e4f32.powf(-(i as f32) / half as f32);
        RopeTable::new(&(0..half).map(frequency).collect::<Vec<_>>(), n_positions)
    }

    fn reference(x: &[f64], positions: &[u32], n_heads: usize, half: usize) -> Vec<f64> {
        let mut out = vec![0.0; x.len()];
        for (token, &position) in positions.iter().enumerate() {
            for head in 0..n_heads {
                let at = (token * n_heads + head) * 2 * half;
                for i in 0..half {
                    let angle = f64::from(position) * 1e4f64.powf(-(i as f64) / half as f64);
                    let (x1, x2) = (x[at + i], x[at + half + i]);
                    out[at + i] = x1 * angle.cos() - x2 * angle.sin();
                    out[at + half + i] = x2 * angle.cos() + x1 * angle.sin();
                }
            }
        }
        out
    }

    #[test]
    fn forward_turns_each_head_by_its_tokens_angles() {
        for (positions, n_heads, half) in
            [(&[0u32, 5, 5, 63][..], 3, 4), (&[1], 1, 1), (&[9, 2, 40], 2, 32)]
        {
            let x = numbers(positions.len() * n_heads * 2 * half, 1);
            let mut out = x.clone();
            forward_in_place(&mut out, positions, n_heads, &table(half, 64)).unwrap();
            assert_close(&out, &reference(&wide(&x), positions, n_heads, half), 1e-5);
        }
    }

    #[test]
    fn backward_is_the_transpose_of_forward() {
        let (positions, table) = ([3, 17, 17, 0, 60], table(5, 61));
        let (x, grad_out) = (numbers(5 * 2 * 10, 2), numbers(5 * 2 * 10, 3));
        let (mut out, mut grad_x) = (x.clone(), grad_out.clone());
        forward_in_place(&mut out, &positions, 2, &table).unwrap();
        backward_in_place(&mut grad_x, &positions, 2, &table).unwrap();
        let product = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        assert!((product(&out, &grad_out) - product(&x, &grad_x)).abs() < 1e-5);
        let mut back = out;
        backward_in_place(&mut back, &positions, 2, &table).unwrap();
        assert_close(&back, &wide(&x), 1e-6);
    }

    #[test]
    fn only_the_first_part_of_a_head_turns_where_the_table_says_so() {
        let (positions, x) = ([3u32, 60], numbers(2 * 3 * 14, 5));
        assert!(table(4, 61).within(7).is_err());
        let table = table(4, 61).within(14).unwrap().scaled(1.25);
        assert_eq!(table.head_dim(), 14);
        let mut out = x.clone();
        forward_in_place(&mut out, &positions, 3, &table).unwrap();
        let rotated = |x: &[f32]| -> Vec<f64> {
            x.chunks_exact(14).flat_map(|head| wide(&head[..8])).collect()
        };
        let expected = reference(&rotated(&x), &positions, 3, 4);
        let expected: Vec<f64> = expected.iter().map(|x| x * 1.25).collect();
        let found: Vec<f32> = rotated(&out).iter().map(|x| *x as f32).collect();
        assert_close(&found, &expected, 1e-5);
        for (x, out) in x.chunks_exact(14).zip(out.chunks_exact(14)) {
            assert_eq!(bits(&x[8..]), bits(&out[8..]));
        }
        let mut grad = out;
        backward_in_place(&mut grad, &positions, 3, &table).unwrap();
        let back: Vec<f64> = rotated(&x).iter().map(|x| x * 1.25 * 1.25).collect();
        let found: Vec<f32> = rotated(&grad).iter().map(|x| *x as f32).collect();
        assert_close(&found, &back, 1e-5);
    }

    #[test]
    fn a_token_has_the_same_bits_alone_and_among_others() {
        let (table, positions) = (table(4, 100), (0..100).collect::<Vec<u32>>());
        let x = numbers(100 * 24, 4);
        let run = |threads| {
            let mut out = x.clone();
            with_threads(threads, || {
                forward_in_place(&mut out, &positions, 3, &table).unwrap();
            });
            bits(&out)
        };
        let all = run(1);
        assert_eq!(all, run(2));
        let mut alone = x[71 * 24..72 * 24].to_vec();
        forward_in_place(&mut alone, &[71], 3, &table).unwrap();
        assert_eq!(bits(&alone), all[71 * 24..72 * 24]);
    }

    #[test]
    fn wrong_lengths_and_positions_beyond_the_table_are_errors() {
        let table = table(2, 10);
        assert_eq!((table.head_dim(), table.n_positions()), (4, 10));
        let error = forward_in_place(&mut [0.0; 8], &[0, 10], 1, &table).unwrap_err();
        let expected =
            KernelError::OutOfRange { operand: "positions", index: 1, found: 10, limit: 10 };
        assert_eq!(error, expected);
        assert!(forward_in_place(&mut [0.0; 8], &[0], 1, &table).is_err());
        assert!(forward_in_place(&mut [0.0; 6], &[0], 1, &table).is_err());
        assert!(backward_in_place(&mut [0.0; 4], &[0], 0, &table).is_err());
        forward_in_place(&mut [], &[], 1, &table).unwrap();
    }
}
