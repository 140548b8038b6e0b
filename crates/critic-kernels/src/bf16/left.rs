//! The left operand: blocks of it, rounded and packed for the register tiles.

use std::ops::Range;

use crate::simd::Dots;

/// Terms of [`Left::Columns`] that are asked for before they are packed.
const AHEAD: usize = 8;

/// Where the left operand `[m, k]` is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Left<'a> {
    /// Row-major.
    Rows(&'a [f32]),
    /// Column-major.
    Columns(&'a [f32]),
}

/// Packs `rows` by the pairs `depth`, `step` pairs of all rows after the other; in groups of `R` rows, those
/// beyond the last zeros.
///
/// [`Left::Rows`]: a row's pairs of a step side by side. [`Left::Columns`]: the pairs of a group's rows side
/// by side.
#[inline(always)]
pub(super) fn pack<D: Dots, const R: usize>(
    dots: D,
    left: Left<'_>,
    [m, k]: [usize; 2],
    rows: Range<usize>,
    depth: Range<usize>,
    step: usize,
    pairs: &mut [D::Left],
) {
    let n_rows = rows.len().next_multiple_of(R);
    match left {
        Left::Rows(x) => {
            for at in 0..n_rows {
                let row = rows.start + at;
                if row + 1 < rows.end {
                    let next = &x[(row + 1) * k..][..k];
                    D::prefetch(&next[2 * depth.start..k.min(2 * depth.end)]);
                }
                let x = if row < rows.end { &x[row * k..][..k] } else { &[] };
                for (first, pairs) in
                    depth.clone().step_by(step).zip(pairs.chunks_mut(n_rows * step))
                {
                    let len = step.min(depth.end - first);
                    let pairs = &mut pairs[at * len..][..len];
                    let x = x.get(2 * first..).unwrap_or(&[]);
                    dots.lefts(&x[..x.len().min(2 * len)], pairs);
                }
            }
        }
        Left::Columns(x) => {
            for (first, pairs) in depth.clone().step_by(step).zip(pairs.chunks_mut(n_rows * step)) {
                let len = step.min(depth.end - first);
                for at in 0..len {
                    let term = 2 * (first + at);
                    for ahead in term + AHEAD..k.min(term + AHEAD + 2) {
                        D::prefetch(&x[ahead * m..][rows.clone()]);
                    }
                    let former = &x[term * m..][rows.clone()];
                    let latter =
                        if term + 1 < k { &x[(term + 1) * m..][rows.clone()] } else { &[] };
                    for (group, pairs) in pairs.chunks_exact_mut(R * len).enumerate() {
                        let pairs = &mut pairs[at * R..][..R];
                        let former = filled::<R>(former.get(group * R..).unwrap_or(&[]));
                        let latter = filled::<R>(latter.get(group * R..).unwrap_or(&[]));
                        for r in 0..R {
                            pairs[r] = D::left(former[r], latter[r]);
                        }
                    }
                }
            }
        }
    }
}

/// `x`, and zeros after it.
#[inline(always)]
fn filled<const R: usize>(x: &[f32]) -> [f32; R] {
    if let Some(x) = x.first_chunk::<R>() {
        return *x;
    }
    let mut filled = [0.0; R];
    filled.iter_mut().zip(x).for_each(|(to, x)| *to = *x);
    filled
}
