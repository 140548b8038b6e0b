//! Tiles of a product, accumulated in registers.

use std::marker::PhantomData;

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

/// 4-bit weights, `scale · code + least`; both in `f32` where `WIDE` is set, else of half precision.
pub(super) struct Nibbles<const WIDE: bool>;

impl<const WIDE: bool> Terms for Nibbles<WIDE> {
    const LINES: usize = BLOCK / 8 + if WIDE { 2 } else { 1 };
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
        let factors = &group[BLOCK / 8..];
        for c in 0..C {
            let at = first + c * S::LANES;
            let [scale, least] = match WIDE {
                true => [simd.load(&factors[0], at), simd.load(&factors[1], at)],
                false => simd.halves(Half::F16, &factors[0], at),
            };
            for r in 0..R {
                let total = simd.to_floats(simd.total_nibbles(exact[r][c]));
                let scale = simd.mul(scale, simd.splat(rows[r].scale));
                sums[r][c] = simd.mul_add(total, scale, sums[r][c]);
                sums[r][c] = simd.mul_add(least, simd.splat(rows[r].scaled_sum), sums[r][c]);
            }
        }
    }
}

/// Activations that meet 8-bit weights.
pub(super) trait ByteInput {
    /// Words of codes for a line of weights.
    const STEPS: usize;

    fn word(&self, i: usize) -> i32;
    fn scale(&self) -> f32;
    fn scaled_sum(&self) -> f32;
    /// The sum of the codes of a half, where [`Integer::start_bytes`] asks for it.
    fn sum(&self, half: usize) -> i32;
}

/// Widened to 16 bits, two terms a step.
impl ByteInput for Pairs {
    const STEPS: usize = 2;

    #[inline(always)]
    fn word(&self, i: usize) -> i32 {
        self.codes[i]
    }

    #[inline(always)]
    fn scale(&self) -> f32 {
        self.scale
    }

    #[inline(always)]
    fn scaled_sum(&self) -> f32 {
        self.scaled_sum
    }

    #[inline(always)]
    fn sum(&self, _half: usize) -> i32 {
        0
    }
}

/// Four terms a step.
impl ByteInput for Quads {
    const STEPS: usize = 1;

    #[inline(always)]
    fn word(&self, i: usize) -> i32 {
        self.codes[i]
    }

    #[inline(always)]
    fn scale(&self) -> f32 {
        self.scale
    }

    #[inline(always)]
    fn scaled_sum(&self) -> f32 {
        self.scaled_sum
    }

    #[inline(always)]
    fn sum(&self, half: usize) -> i32 {
        self.sums[half]
    }
}

/// 8-bit weights, `scale · code`, and where `LEAST` is set `+ least`.
pub(super) struct Bytes<I, const LEAST: bool>(PhantomData<I>);

impl<I: ByteInput, const LEAST: bool> Terms for Bytes<I, LEAST> {
    const LINES: usize = BLOCK / 4 + if LEAST { 2 } else { 1 };
    const SPAN: bool = true;
    type Input = I;

    #[inline(always)]
    fn add<S: Integer, const R: usize, const C: usize>(
        simd: S,
        group: &[Line],
        rows: [&I; R],
        first: usize,
        sums: &mut [[S::Floats; C]; R],
    ) {
        let mut exact = rows.map(|row| [simd.start_bytes(row.sum(0) + row.sum(1)); C]);
        for half in 0..2 {
            add_half(simd, group, half, rows, first, &mut exact);
        }
        let factors = &group[BLOCK / 4..];
        for c in 0..C {
            let at = first + c * S::LANES;
            let scale = simd.load(&factors[0], at);
            for r in 0..R {
                let scale = simd.mul(scale, simd.splat(rows[r].scale()));
                sums[r][c] = simd.mul_add(simd.to_floats(exact[r][c]), scale, sums[r][c]);
                if LEAST {
                    let (least, sum) =
                        (simd.load(&factors[1], at), simd.splat(rows[r].scaled_sum()));
                    sums[r][c] = simd.mul_add(least, sum, sums[r][c]);
                }
            }
        }
    }
}

/// 8-bit weights, `scale · code` with a scale for each half of a group.
pub(super) struct BytesOfHalves<I>(PhantomData<I>);

impl<I: ByteInput> Terms for BytesOfHalves<I> {
    const LINES: usize = BLOCK / 4 + 2;
    const SPAN: bool = true;
    type Input = I;

    #[inline(always)]
    fn add<S: Integer, const R: usize, const C: usize>(
        simd: S,
        group: &[Line],
        rows: [&I; R],
        first: usize,
        sums: &mut [[S::Floats; C]; R],
    ) {
        for half in 0..2 {
            let mut exact = rows.map(|row| [simd.start_bytes(row.sum(half)); C]);
            add_half(simd, group, half, rows, first, &mut exact);
            for c in 0..C {
                let scale = simd.load(&group[BLOCK / 4 + half], first + c * S::LANES);
                for r in 0..R {
                    let scale = simd.mul(scale, simd.splat(rows[r].scale()));
                    sums[r][c] = simd.mul_add(simd.to_floats(exact[r][c]), scale, sums[r][c]);
                }
            }
        }
    }
}

/// Adds the products of half the codes of a group of 8-bit weights.
#[inline(always)]
fn add_half<S: Integer, I: ByteInput, const R: usize, const C: usize>(
    simd: S,
    group: &[Line],
    half: usize,
    rows: [&I; R],
    first: usize,
    exact: &mut [[S::Words; C]; R],
) {
    let codes: &[Line; BLOCK / 8] = &group.as_chunks().0[half];
    for line in 0..codes.len() {
        for part in 0..I::STEPS {
            let mut weights = [simd.splat_word(0); C];
            for c in 0..C {
                weights[c] = simd.bytes(&codes[line], part, first + c * S::LANES);
            }
            for r in 0..R {
                let x = rows[r].word((half * codes.len() + line) * I::STEPS + part);
                let x = simd.splat_word(x);
                for c in 0..C {
                    exact[r][c] = simd.add_bytes(exact[r][c], weights[c], x);
                }
            }
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
