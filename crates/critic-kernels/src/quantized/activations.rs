//! Rows of activations in the form that the products read.

use rayon::prelude::*;

use crate::error::{KernelError, count_rows};
use crate::simd::integer::{BLOCK, Pairs, Quads};
use crate::simd::{Kernel, Simd, dispatch};

/// Numbers that are worth a task of their own.
const TASK: usize = 1 << 14;
/// The greatest magnitude of a code.
const GREATEST_CODE: f32 = 127.0;
/// A block without a number of at least this magnitude is taken as zeros: its scale would not be a
/// normal number.
const SMALLEST: f32 = 127.0 * f32::MIN_POSITIVE;
/// `1.5 · 2²³`: adding it leaves the nearest whole number, ties to even, in the lowest bits.
const ROUND: f32 = 12_582_912.0;
/// The bits of +∞; those of magnitudes that are not finite are not less.
const INFINITY_BITS: u32 = 0x7f80_0000;

/// How activations are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 8 bits and a scale for each block of 32, for weights in blocks.
    Int8,
    /// As they are, for weights in half precision.
    F32,
}

/// Rows of activations, read by any number of products; the memory is used again by every load.
///
/// A number `x` of a block is held as the whole number nearest to `x / scale`, with
/// `scale = max |x| / 127` over the block: it is off by `scale / 2` at most. A block with a number
/// that is not finite has a scale of NaN, and so are the results of its row.
#[derive(Debug, Clone)]
pub struct Activations {
    precision: Precision,
    n_in: usize,
    n_rows: usize,
    quads: Vec<Quads>,
    pairs: Vec<Pairs>,
    numbers: Vec<[f32; 2]>,
}

impl Activations {
    /// No rows.
    pub fn new() -> Self {
        Self {
            precision: Precision::F32,
            n_in: 1,
            n_rows: 0,
            quads: Vec::new(),
            pairs: Vec::new(),
            numbers: Vec::new(),
        }
    }

    /// Replaces the rows.
    ///
    /// # Shapes
    /// `x`: `[n_rows, n_in]`, row-major.
    ///
    /// # Errors
    /// Where `n_in` is 0 or `x` is no whole number of rows; the rows are left as they were.
    pub fn load(
        &mut self,
        precision: Precision,
        n_in: usize,
        x: &[f32],
    ) -> Result<(), KernelError> {
        self.n_rows = count_rows("x", x.len(), n_in)?;
        (self.precision, self.n_in) = (precision, n_in);
        match precision {
            Precision::Int8 => self.quantize(x),
            Precision::F32 => self.copy(x),
        }
        Ok(())
    }

    /// How the rows are held.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Numbers of a row.
    pub fn n_in(&self) -> usize {
        self.n_in
    }

    /// Rows held.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    pub(super) fn quads(&self) -> &[Quads] {
        &self.quads
    }

    pub(super) fn pairs(&self) -> &[Pairs] {
        &self.pairs
    }

    pub(super) fn numbers(&self) -> &[[f32; 2]] {
        &self.numbers
    }

    fn quantize(&mut self, x: &[f32]) {
        let blocks = self.n_in.div_ceil(BLOCK);
        self.quads.resize(self.n_rows * blocks, Quads::ZERO);
        self.pairs.resize(self.n_rows * blocks, Pairs::ZERO);
        let (quads, pairs) = (&mut self.quads, &mut self.pairs);
        if x.len() <= TASK {
            dispatch(Rows { n_in: self.n_in, x, quads, pairs });
            return;
        }
        let rows = TASK.div_ceil(self.n_in);
        let (quads, pairs) =
            (quads.par_chunks_mut(rows * blocks), pairs.par_chunks_mut(rows * blocks));
        let pieces = (x.par_chunks(rows * self.n_in), quads, pairs).into_par_iter();
        pieces.for_each(|(x, quads, pairs)| dispatch(Rows { n_in: self.n_in, x, quads, pairs }));
    }

    fn copy(&mut self, x: &[f32]) {
        self.numbers.clear();
        for row in x.chunks_exact(self.n_in) {
            let (pairs, last) = row.as_chunks();
            self.numbers.extend_from_slice(pairs);
            self.numbers.extend(last.iter().map(|x| [*x, 0.0]));
        }
    }
}

impl Default for Activations {
    fn default() -> Self {
        Self::new()
    }
}

impl Quads {
    const ZERO: Self = Self { codes: [0; BLOCK / 4], scale: 0.0, scaled_sum: 0.0, sums: [0; 2] };
}

impl Pairs {
    const ZERO: Self = Self { codes: [0; BLOCK / 2], scale: 0.0, scaled_sum: 0.0 };
}

/// Rows and where their blocks go.
struct Rows<'a> {
    n_in: usize,
    x: &'a [f32],
    quads: &'a mut [Quads],
    pairs: &'a mut [Pairs],
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let blocks = self.n_in.div_ceil(BLOCK);
        let to = self.quads.chunks_exact_mut(blocks).zip(self.pairs.chunks_exact_mut(blocks));
        for (row, (quads, pairs)) in self.x.chunks_exact(self.n_in).zip(to) {
            let (whole, rest) = row.as_chunks::<BLOCK>();
            for ((x, quads), pairs) in whole.iter().zip(&mut *quads).zip(&mut *pairs) {
                quantize(x, quads, pairs);
            }
            if !rest.is_empty() {
                let mut last = [0.0; BLOCK];
                last[..rest.len()].copy_from_slice(rest);
                quantize(&last, &mut quads[blocks - 1], &mut pairs[blocks - 1]);
            }
        }
    }
}

/// Holds a block as whole numbers.
#[inline(always)]
fn quantize(x: &[f32; BLOCK], quads: &mut Quads, pairs: &mut Pairs) {
    let mut greatest = 0;
    for x in x {
        greatest = greatest.max((x.to_bits() & 0x7fff_ffff) as i32);
    }
    let greatest = f32::from_bits(greatest as u32);
    let (scale, inverse) = if greatest.to_bits() >= INFINITY_BITS {
        (f32::NAN, 0.0)
    } else if greatest < SMALLEST {
        (0.0, 0.0)
    } else {
        (greatest / GREATEST_CODE, GREATEST_CODE / greatest)
    };
    let mut codes = [0; BLOCK];
    for i in 0..BLOCK {
        // The low byte of a NaN is of no account: its scale is NaN.
        let bits = (x[i] * inverse + ROUND).to_bits();
        codes[i] = i32::from(bits as i8);
    }
    let mut sums = [[0; 4]; 2];
    for i in 0..BLOCK {
        sums[2 * i / BLOCK][i % 4] += codes[i];
    }
    for i in 0..BLOCK / 2 {
        pairs.codes[i] = codes[2 * i] & 0xffff | codes[2 * i + 1] << 16;
    }
    for i in 0..BLOCK / 4 {
        let byte = |j: usize| (codes[4 * i + j] & 0xff) << (8 * j);
        quads.codes[i] = byte(0) | byte(1) | byte(2) | byte(3);
    }
    quads.sums = sums.map(|[a, b, c, d]| a + b + c + d);
    let scaled_sum = scale * (quads.sums[0] + quads.sums[1]) as f32;
    (quads.scale, pairs.scale) = (scale, scale);
    (quads.scaled_sum, pairs.scaled_sum) = (scaled_sum, scaled_sum);
}
