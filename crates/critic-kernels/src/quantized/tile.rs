//! Tiles of a product, accumulated in registers.

use crate::simd::integer::{BLOCK, Half, Integer, Line, PANEL, Pairs, Quads};

/// How the groups of a panel meet the activations.
pub(super) trait Terms {
    /// Lines of a group.
    const LINES: usize;
    /// Whether a tile of vectors of 8 lanes spans the panel: fewer loads of activations, more
    /// registers.
    const SPAN: bool;
    /// What a row of activations holds for a group.
    type Input;

    /// Adds a group's terms; vector `c` of a row begins at output `first + c · LANES`.
    fn add<S: Integer, const R: usize, const C: usize>(
        simd: S,
        group: &[Line],
        rows: [&Self::Input; R],
        first: usize,
        sums: &mut [[S::Floats; C]; R],
    );
}

/// 4-bit weights, `scale · code + least`.
pub(super) struct Nibbles;

impl Terms for Nibbles {
    const LINES: usize = BLOCK / 8 + 1;
    const SPAN: bool = false;
    type Input = Quads;

    #[inline(always)]
    fn add<S: Integer, const R: usize, const C: usize>(
        simd: S,
        group: &[Line],
        rows: [&Quads; R],
        first: usize,
        sums: &mut [[S::Floats; C]; R],
    ) {
        let mut exact = [[simd.splat_word(0); C]; R];
        for step in 0..BLOCK / 8 {
            let mut weights = [[simd.splat_word(0); 2]; C];
            for c in 0..C {
                weights[c] = simd.nibbles(&group[step], first + c * S::LANES);
            }
            for r in 0..R {
                for half in 0..2 {
                    let x = simd.splat_word(rows[r].codes[2 * step + half]);
                    for c in 0..C {
                        exact[r][c] = simd.add_nibbles(exact[r][c], weights[c][half], x);
                    }
                }
            }
        }
        for c in 0..C {
            let at = first + c * S::LANES;
            let [scale, least] = simd.halves(Half::F16, &group[BLOCK / 8], at);
            for r in 0..R {
                let total = simd.to_floats(simd.total_nibbles(exact[r][c]));
                let scale = simd.mul(scale, simd.splat(rows[r].scale));
                sums[r][c] = simd.mul_add(total, scale, sums[r][c]);
                sums[r][c] = simd.mul_add(least, simd.splat(rows[r].scaled_sum), sums[r][c]);
            }
        }
    }
}

/// 8-bit weights and activations widened to 16 bits, two terms a step.
pub(super) struct BytesByPairs;

impl Terms for BytesByPairs {
    const LINES: usize = BLOCK / 4 + 1;
    const SPAN: bool = true;
    type Input = Pairs;

    #[inline(always)]
    fn add<S: Integer, const R: usize, const C: usize>(
        simd: S,
        group: &[Line],
        rows: [&Pairs; R],
        first: usize,
        sums: &mut [[S::Floats; C]; R],
    ) {
        let exact = [[simd.start_bytes(0); C]; R];
        let factors = rows.map(|row| (&row.codes, row.scale));
        add_bytes(simd, group, factors, first, exact, sums);
    }
}

/// 8-bit weights and activations, four terms a step.
pub(super) struct BytesByQuads;

impl Terms for BytesByQuads {
    const LINES: usize = BLOCK / 4 + 1;
    const SPAN: bool = true;
    type Input = Quads;

    #[inline(always)]
    fn add<S: Integer, const R: usize, const C: usize>(
        simd: S,
        group: &[Line],
        rows: [&Quads; R],
        first: usize,
        sums: &mut [[S::Floats; C]; R],
    ) {
        let exact = rows.map(|row| [simd.start_bytes(row.sum); C]);
        let factors = rows.map(|row| (&row.codes, row.scale));
        add_bytes(simd, group, factors, first, exact, sums);
    }
}

/// A group of 8-bit weights; each row gives a word of codes for each of `STEPS`, and its scale.
#[inline(always)]
fn add_bytes<S: Integer, const R: usize, const C: usize, const STEPS: usize>(
    simd: S,
    group: &[Line],
    rows: [(&[i32; STEPS], f32); R],
    first: usize,
    mut exact: [[S::Words; C]; R],
    sums: &mut [[S::Floats; C]; R],
) {
    let codes: &[Line; BLOCK / 4] = &group.as_chunks().0[0];
    for line in 0..codes.len() {
        for part in 0..STEPS / codes.len() {
            let mut weights = [simd.splat_word(0); C];
            for c in 0..C {
                weights[c] = simd.bytes(&codes[line], part, first + c * S::LANES);
            }
            for r in 0..R {
                let x = simd.splat_word(rows[r].0[line * STEPS / codes.len() + part]);
                for c in 0..C {
                    exact[r][c] = simd.add_bytes(exact[r][c], weights[c], x);
                }
            }
        }
    }
    for c in 0..C {
        let scale = simd.load(&group[BLOCK / 4], first + c * S::LANES);
        for r in 0..R {
            let scale = simd.mul(scale, simd.splat(rows[r].1));
            sums[r][c] = simd.mul_add(simd.to_floats(exact[r][c]), scale, sums[r][c]);
        }
    }
}

/// Half-precision weights: [`Half::Bf16`] where `BF16` is set.
pub(super) struct Halves<const BF16: bool>;

impl<const BF16: bool> Terms for Halves<BF16> {
    const LINES: usize = 1;
    const SPAN: bool = true;
    type Input = [f32; 2];

    #[inline(always)]
    fn add<S: Integer, const R: usize, const C: usize>(
        simd: S,
        group: &[Line],
        rows: [&[f32; 2]; R],
        first: usize,
        sums: &mut [[S::Floats; C]; R],
    ) {
        let format = if BF16 { Half::Bf16 } else { Half::F16 };
        for c in 0..C {
            let weights = simd.halves(format, &group[0], first + c * S::LANES);
            for r in 0..R {
                for i in 0..2 {
                    let x = simd.splat(rows[r][i]);
                    sums[r][c] = simd.add_product(weights[i], x, sums[r][c]);
                }
            }
        }
    }
}

/// Panels times rows; `out` holds each row's part, `input` the rows one after the other.
#[inline(always)]
pub(super) fn sweep<S: Integer, T: Terms>(
    simd: S,
    panels: &[Line],
    panel_lines: usize,
    input: &[T::Input],
    out: &mut [&mut [f32]],
) {
    let groups = panel_lines / T::LINES;
    let n_rows = out.len();
    for (p, panel) in panels.chunks_exact(panel_lines).enumerate() {
        let mut strip = Strip::<T> { panel, groups, input, column: p * PANEL, row: 0, out };
        if S::LANES == PANEL {
            while strip.row + 8 <= n_rows {
                strip.advance::<S, 8, 1>(simd);
            }
        }
        while (S::LANES == PANEL || !T::SPAN) && strip.row + 4 <= n_rows {
            strip.advance::<S, 4, 1>(simd);
        }
        while S::LANES < PANEL && T::SPAN && strip.row + 3 <= n_rows {
            strip.advance::<S, 3, 2>(simd);
        }
        while strip.row + 2 <= n_rows {
            if S::LANES < PANEL {
                strip.advance::<S, 2, 2>(simd);
            } else {
                strip.advance::<S, 2, 1>(simd);
            }
        }
        if strip.row < n_rows {
            if S::LANES < PANEL {
                strip.advance::<S, 1, 2>(simd);
            } else {
                strip.advance::<S, 1, 1>(simd);
            }
        }
    }
}

/// A panel on its way down the rows.
struct Strip<'a, 'b, 'c, T: Terms> {
    panel: &'a [Line],
    groups: usize,
    input: &'a [T::Input],
    column: usize,
    row: usize,
    out: &'b mut [&'c mut [f32]],
}

impl<T: Terms> Strip<'_, '_, '_, T> {
    /// Computes `R` rows of the panel in tiles of `C` vectors, and goes on to the next.
    #[inline(always)]
    fn advance<S: Integer, const R: usize, const C: usize>(&mut self, simd: S) {
        let mut lanes = [[0.0; PANEL]; R];
        for first in (0..PANEL).step_by(C * S::LANES) {
            let sums = self.tile::<S, R, C>(simd, first);
            for r in 0..R {
                for c in 0..C {
                    simd.store(sums[r][c], &mut lanes[r], first + c * S::LANES);
                }
            }
        }
        for r in 0..R {
            let to = &mut self.out[self.row + r][self.column..];
            let n = to.len().min(PANEL);
            to[..n].copy_from_slice(&lanes[r][..n]);
        }
        self.row += R;
    }

    #[inline(always)]
    fn tile<S: Integer, const R: usize, const C: usize>(
        &self,
        simd: S,
        first: usize,
    ) -> [[S::Floats; C]; R] {
        let mut sums = [[simd.splat(0.0); C]; R];
        let mut rows = [&self.input[..0]; R];
        for r in 0..R {
            rows[r] = &self.input[(self.row + r) * self.groups..][..self.groups];
        }
        for (g, group) in self.panel.chunks_exact(T::LINES).take(self.groups).enumerate() {
            T::add(simd, group, rows.map(|row| &row[g]), first, &mut sums);
        }
        sums
    }
}
