//! The product, in pieces for the threads.

use rayon::prelude::*;

use super::format::Layout;
use super::tile::{Bytes, BytesOfHalves, Halves, Nibbles, sweep};
use super::weight::panel_lines;
use super::{Activations, Format, Weight};
use crate::error::{KernelError, check_length};
use crate::simd::integer::{BLOCK, Integer, IntegerKernel, Line, PANEL, Pairs, Quads, dispatch};

/// Rows that stay in the cache while the weight passes by.
const ROWS: usize = 64;
/// Pieces into which the panels of a weight are cut, about.
const PIECES: usize = 64;
/// Multiplications that are worth a task of their own.
const TASK: usize = 1 << 17;

/// `out = x · weightᵀ`; row `i` of the result has the same bits whatever the other rows are.
///
/// # Shapes
/// `x`: `[n_rows, n_in]`, `weight`: `[n_out, n_in]`, `out`: `[n_rows, n_out]`, row-major.
///
/// # Errors
/// Where the sizes do not fit, or `x` is not held in the weight's [`Format::precision`].
pub fn product(weight: &Weight, x: &Activations, out: &mut [f32]) -> Result<(), KernelError> {
    products(&mut [(weight, out)], x)
}

/// [`product`] with several weights at once: the threads meet once for all of them.
///
/// Each result has the bits that its weight alone would give.
///
/// # Errors
/// As [`product`], of the first that does not fit; nothing is written then.
pub fn products(parts: &mut [(&Weight, &mut [f32])], x: &Activations) -> Result<(), KernelError> {
    let mut columns = 0;
    for (weight, out) in &*parts {
        check_length("x", x.n_in(), weight.n_in())?;
        check_length("out", out.len(), x.n_rows() * weight.n_out())?;
        if x.precision() != weight.format().precision() {
            return Err(KernelError::WrongPrecision { format: weight.format().name() });
        }
        columns += weight.n_out();
    }
    let all = x.n_rows() * columns * x.n_in();
    let panels = columns.div_ceil(PANEL);
    let width = if all <= TASK { panels } else { panels.div_ceil(PIECES).max(2) };
    let mut pieces = Vec::new();
    for (weight, out) in parts {
        cut(weight, x, width, out, &mut pieces);
    }
    if all <= TASK {
        pieces.into_iter().for_each(dispatch);
        return Ok(());
    }
    let rows = ROWS.min(x.n_rows());
    let least = (TASK / (rows * width * PANEL * x.n_in())).max(1);
    pieces.into_par_iter().with_min_len(least).for_each(dispatch);
    Ok(())
}

/// The pieces of a product, `width` panels each.
fn cut<'a, 'b>(
    weight: &'a Weight,
    x: &'a Activations,
    width: usize,
    out: &'b mut [f32],
    pieces: &mut Vec<Piece<'a, 'b>>,
) {
    let (n_out, panels) = (weight.n_out(), weight.n_out().div_ceil(PANEL));
    for (chunk, out) in out.chunks_mut(ROWS * n_out).enumerate() {
        let first = pieces.len();
        for panel in (0..panels).step_by(width) {
            pieces.push(Piece {
                format: weight.format(),
                n_in: weight.n_in(),
                panels: weight.panels(panel..panel + width),
                input: Input::of(x, chunk),
                out: Vec::with_capacity(out.len() / n_out),
            });
        }
        for row in out.chunks_mut(n_out) {
            for (piece, part) in pieces[first..].iter_mut().zip(row.chunks_mut(width * PANEL)) {
                piece.out.push(part);
            }
        }
    }
}

/// Some rows of activations; the kinds that the format does not read are empty.
#[derive(Clone, Copy)]
struct Input<'a> {
    quads: &'a [Quads],
    pairs: &'a [Pairs],
    numbers: &'a [[f32; 2]],
}

impl<'a> Input<'a> {
    /// A run of [`ROWS`] rows.
    fn of(x: &'a Activations, chunk: usize) -> Self {
        let (blocks, pairs) = (x.n_in().div_ceil(BLOCK), x.n_in().div_ceil(2));
        Self {
            quads: part(x.quads(), chunk * ROWS * blocks),
            pairs: part(x.pairs(), chunk * ROWS * blocks),
            numbers: part(x.numbers(), chunk * ROWS * pairs),
        }
    }
}

fn part<T>(x: &[T], from: usize) -> &[T] {
    x.get(from..).unwrap_or_default()
}

/// Some panels of a weight times some rows, one for each part of `out`.
struct Piece<'a, 'b> {
    format: Format,
    n_in: usize,
    panels: &'a [Line],
    input: Input<'a>,
    out: Vec<&'b mut [f32]>,
}

impl IntegerKernel for Piece<'_, '_> {
    #[inline(always)]
    fn run<S: Integer>(self, simd: S) {
        let Self { format, n_in, panels, input: Input { quads, pairs, numbers }, mut out } = self;
        let (lines, out) = (panel_lines(format, n_in), &mut out[..]);
        let by_quads = S::BYTE_STEP == 4;
        match format.layout() {
            Layout::Nibbles => sweep::<S, Nibbles<false>>(simd, panels, lines, quads, out),
            Layout::WideNibbles => sweep::<S, Nibbles<true>>(simd, panels, lines, quads, out),
            Layout::Bytes if by_quads => {
                sweep::<S, Bytes<Quads, false>>(simd, panels, lines, quads, out);
            }
            Layout::Bytes => sweep::<S, Bytes<Pairs, false>>(simd, panels, lines, pairs, out),
            Layout::BytesAndLeast if by_quads => {
                sweep::<S, Bytes<Quads, true>>(simd, panels, lines, quads, out);
            }
            Layout::BytesAndLeast => {
                sweep::<S, Bytes<Pairs, true>>(simd, panels, lines, pairs, out);
            }
            Layout::BytesOfHalves if by_quads => {
                sweep::<S, BytesOfHalves<Quads>>(simd, panels, lines, quads, out);
            }
            Layout::BytesOfHalves => {
                sweep::<S, BytesOfHalves<Pairs>>(simd, panels, lines, pairs, out);
            }
            Layout::Halves if format == Format::F16 => {
                sweep::<S, Halves<false>>(simd, panels, lines, numbers, out);
            }
            Layout::Halves => sweep::<S, Halves<true>>(simd, panels, lines, numbers, out),
        }
    }
}

#[cfg(test)]
pub(super) mod on {
    //! A product on a chosen instruction set.

    use super::*;
    use crate::isa::Isa;
    use crate::simd::integer::dispatch_on;

    /// [`product`] of at most [`ROWS`] rows, in one piece.
    pub(in super::super) fn product_on(
        isa: Isa,
        vnni: bool,
        weight: &Weight,
        x: &Activations,
    ) -> Vec<f32> {
        let mut out = vec![f32::NAN; x.n_rows() * weight.n_out()];
        let panels = weight.panels(0..weight.n_out().div_ceil(PANEL));
        let (format, n_in, input) = (weight.format(), weight.n_in(), Input::of(x, 0));
        let rows = out.chunks_mut(weight.n_out()).collect();
        dispatch_on(isa, vnni, Piece { format, n_in, panels, input, out: rows });
        out
    }
}
