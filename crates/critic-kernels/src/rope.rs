//! Rotary position embedding (Su et al. 2021, arXiv 2104.09864), Hugging Face's "rotate half".

use rayon::prelude::*;

use crate::error::{KernelError, check_length, count_rows};

/// Tokens of a parallel piece of work.
const TOKENS_PER_TASK: usize = 32;

/// Cosines and sines by position.
#[derive(Debug, Clone)]
pub struct RopeTable {
    half: usize,
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
        Self { half, n_positions, cos, sin }
    }

    /// The number of positions that the table covers.
    pub fn n_positions(&self) -> usize {
        self.n_positions
    }

    /// The width of a head, twice the number of frequencies.
    pub fn head_dim(&self) -> usize {
        2 * self.half
    }
}

/// Rotates every head of every token by its position's angles.
///
/// `out[..half] = x₁·cos − x₂·sin`, `out[half..] = x₂·cos + x₁·sin`, where `x₁` and `x₂` are the
/// halves of a head.
///
/// # Shapes
/// `x` and `out`: `[n_tokens, n_heads · head_dim]`, `positions`: `[n_tokens]`.
///
/// # Errors
/// Where the lengths do not fit, or a position lies beyond the table.
pub fn forward(
    x: &[f32],
    positions: &[u32],
    n_heads: usize,
    table: &RopeTable,
    out: &mut [f32],
) -> Result<(), KernelError> {
    check("x", x, positions, n_heads, table)?;
    check_length("out", out.len(), x.len())?;
    rotate::<false>(x, positions, n_heads, table, out);
    Ok(())
}

/// Gradient of [`forward`], the rotation by the opposite angles; overwritten.
///
/// # Shapes
/// `grad_out` and `grad_x`: `[n_tokens, n_heads · head_dim]`, `positions`: `[n_tokens]`.
///
/// # Errors
/// Where the lengths do not fit, or a position lies beyond the table.
pub fn backward(
    grad_out: &[f32],
    positions: &[u32],
    n_heads: usize,
    table: &RopeTable,
    grad_x: &mut [f32],
) -> Result<(), KernelError> {
    check("grad_out", grad_out, positions, n_heads, table)?;
    check_length("grad_x", grad_x.len(), grad_out.len())?;
    rotate::<true>(grad_out, positions, n_heads, table, grad_x);
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

fn rotate<const BACK: bool>(
    x: &[f32],
    positions: &[u32],
    n_heads: usize,
    table: &RopeTable,
    out: &mut [f32],
) {
    let (half, width) = (table.half, n_heads * table.head_dim());
    let tokens = out.par_chunks_mut(width).zip(x.par_chunks(width)).zip(positions);
    tokens.with_min_len(TOKENS_PER_TASK).for_each(|((out, x), &position)| {
        let angles = position as usize * half..(position as usize + 1) * half;
        let (cos, sin) = (&table.cos[angles.clone()], &table.sin[angles]);
        for (out, x) in out.chunks_exact_mut(2 * half).zip(x.chunks_exact(2 * half)) {
            let ((out1, out2), (x1, x2)) = (out.split_at_mut(half), x.split_at(half));
            for i in 0..half {
                let sin = if BACK { -sin[i] } else { sin[i] };
                out1[i] = x1[i] * cos[i] - x2[i] * sin;
                out2[i] = x2[i] * cos[i] + x1[i] * sin;
            }
        }
    });
}
