//! The left operand: blocks of it, rounded and packed for the register tiles.

use std::ops::Range;

use crate::simd::Dots;

/// Pairs of the summed dimension of a block, at most: a right panel of so many stays in the
/// first-level cache while the rows of a block pass by.
pub(super) const DEPTH: usize = 144;

/// Where the left operand `[m, k]` is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Left<'a> {
    /// Row-major.
    Rows(&'a [f32]),
    /// Column-major.
    Columns(&'a [f32]),
}

/// Packs `rows` by the pairs `depth`, in groups of `R` rows; rows beyond the last are zeros.
///
/// [`Left::Rows`]: a row after the other, room for [`DEPTH`] pairs each. [`Left::Columns`]: groups
/// of `R · DEPTH` pairs, in them `R` rows' pairs side by side.
#[inline(always)]
pub(super) fn pack<D: Dots, const R: usize>(
    left: Left<'_>,
    [m, k]: [usize; 2],
    rows: Range<usize>,
    depth: Range<usize>,
    pairs: &mut [D::Left],
) {
    let terms = 2 * depth.start..k.min(2 * depth.end);
    match left {
        Left::Rows(x) => {
            let (packed, beyond) = pairs.split_at_mut(rows.len() * DEPTH);
            for (row, pairs) in rows.zip(packed.chunks_exact_mut(DEPTH)) {
                let (whole, rest) = x[row * k..][terms.clone()].as_chunks::<2>();
                for (to, x) in pairs.iter_mut().zip(whole) {
                    *to = D::left(x[0], x[1]);
                }
                if let [last] = rest {
                    pairs[whole.len()] = D::left(*last, 0.0);
                }
            }
            beyond.fill(D::left(0.0, 0.0));
        }
        Left::Columns(x) => {
            for (group, pairs) in pairs.chunks_exact_mut(R * DEPTH).enumerate() {
                let first = rows.start + group * R;
                let columns = first..rows.end.min(first + R);
                let steps = &mut pairs.as_chunks_mut::<R>().0[..depth.len()];
                for (step, pairs) in steps.iter_mut().enumerate() {
                    let term = terms.start + 2 * step;
                    let former = &x[term * m..][columns.clone()];
                    let latter =
                        if term + 1 < k { &x[(term + 1) * m..][columns.clone()] } else { &[] };
                    let (former, latter) = (filled::<R>(former), filled::<R>(latter));
                    for r in 0..R {
                        pairs[r] = D::left(former[r], latter[r]);
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
