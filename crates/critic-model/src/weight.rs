use crate::error::ModelError;
use candle_core::Tensor;
use critic_kernels::linear::{self, Update};
use critic_kernels::{KernelError, quantized};
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// Rows of blocks that a task multiplies out.
const ROWS_AT_ONCE: usize = 64;

/// The numbers of a parameter with their shape, row-major. Clones share the numbers.
///
/// One that is not held in `f32` makes those numbers anew whenever somebody asks for them, and keeps none.
#[derive(Debug, Clone)]
pub struct Weight {
    shape: Vec<usize>,
    numbers: Arc<Numbers>,
}

#[derive(Debug)]
enum Numbers {
    F32(Vec<f32>),
    /// Those of its file, or rounded to as it was read.
    Blocks(Arc<quantized::Weight>),
    /// W + B·A.
    Merged {
        base: Weight,
        a: Vec<f32>,
        b: Vec<f32>,
    },
}

impl Weight {
    /// A parameter of this shape.
    ///
    /// # Errors
    /// [`KernelError::WrongLength`] when `shape` does not hold so many numbers.
    pub fn new(shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Result<Self, ModelError> {
        let shape = shape.into();
        let expected = shape.iter().product();
        if values.len() != expected {
            let found = values.len();
            return Err(KernelError::WrongLength { operand: "values", found, expected }.into());
        }
        Ok(Self { shape, numbers: Arc::new(Numbers::F32(values)) })
    }

    /// A matrix in the form in which the products of a decoder read it.
    pub fn from_blocks(blocks: quantized::Weight) -> Self {
        let shape = vec![blocks.n_out(), blocks.n_in()];
        Self { shape, numbers: Arc::new(Numbers::Blocks(Arc::new(blocks))) }
    }

    /// The matrix `self + b·a`, added up where somebody asks for its numbers.
    ///
    /// # Shapes
    /// `self`: `[n_out, n_in]`, `a`: `[rank, n_in]`, `b`: `[n_out, rank]`
    pub(crate) fn merged(self, a: Vec<f32>, b: Vec<f32>) -> Self {
        Self { shape: self.shape.clone(), numbers: Arc::new(Numbers::Merged { base: self, a, b }) }
    }

    /// A copy of a tensor's numbers, from wherever it is.
    pub(crate) fn from_tensor(tensor: &Tensor) -> Result<Self, ModelError> {
        Self::new(tensor.dims(), tensor.flatten_all()?.to_vec1()?)
    }

    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its numbers, row by row; a copy where they are not held in `f32`.
    pub fn values(&self) -> Cow<'_, [f32]> {
        match &*self.numbers {
            Numbers::F32(values) => values.into(),
            made => made.values().into(),
        }
    }

    /// Its numbers, copied only where a clone still holds them.
    pub fn into_values(self) -> Vec<f32> {
        match Arc::try_unwrap(self.numbers) {
            Ok(numbers) => numbers.into_values(),
            Err(shared) => shared.values(),
        }
    }

    /// Its numbers, to be changed: from then on in `f32`, and no longer those of its clones.
    pub(crate) fn values_mut(&mut self) -> &mut [f32] {
        if !matches!(Arc::get_mut(&mut self.numbers), Some(Numbers::F32(_))) {
            let nothing = Arc::new(Numbers::F32(Vec::new()));
            let shared =
                Self { shape: Vec::new(), numbers: std::mem::replace(&mut self.numbers, nothing) };
            self.numbers = Arc::new(Numbers::F32(shared.into_values()));
        }
        match Arc::get_mut(&mut self.numbers) {
            Some(Numbers::F32(values)) => values,
            _ => unreachable!("the numbers are this weight's own, in f32"),
        }
    }

    /// The same numbers in `f32`: shared where they are held so.
    pub(crate) fn to_f32(&self) -> Self {
        match &*self.numbers {
            Numbers::F32(_) => self.clone(),
            made => {
                Self { shape: self.shape.clone(), numbers: Arc::new(Numbers::F32(made.values())) }
            }
        }
    }

    /// Copies row `i` of a matrix in `f32`; whether there is one. `out` is as long as a row.
    pub(crate) fn row(&self, i: usize, out: &mut [f32]) -> bool {
        if let Numbers::Blocks(blocks) = &*self.numbers {
            return blocks.dequantize(i..i + 1, out).is_ok();
        }
        let values = self.values();
        values.chunks_exact(out.len()).nth(i).map(|row| out.copy_from_slice(row)).is_some()
    }

    /// The matrix as the products of a linear layer read it.
    pub(crate) fn matrix(&self) -> linear::Weight<'_> {
        match &*self.numbers {
            Numbers::F32(values) => linear::Weight::F32(values),
            Numbers::Blocks(blocks) => linear::Weight::Quantized(blocks),
            Numbers::Merged { .. } => unreachable!("what is trained is not merged"),
        }
    }

    /// Its blocks or halves, where it is held in those.
    pub fn blocks(&self) -> Option<&Arc<quantized::Weight>> {
        match &*self.numbers {
            Numbers::Blocks(blocks) => Some(blocks),
            Numbers::F32(_) | Numbers::Merged { .. } => None,
        }
    }

    /// Rows of a matrix, in the form in which the whole of it is held where blocks can be cut there, else in
    /// `f32`.
    pub(crate) fn rows(&self, rows: Range<usize>) -> Result<Self, ModelError> {
        let part = self.blocks().and_then(|blocks| blocks.rows(rows.clone()));
        match (part, self.shape.get(1)) {
            (Some(part), _) => Ok(Self::from_blocks(part)),
            (None, Some(&n_in)) => {
                let values = self.values()[rows.start * n_in..rows.end * n_in].to_vec();
                Self::new([rows.len(), n_in], values)
            }
            (None, None) => Ok(self.clone()),
        }
    }

    /// Bytes of its numbers in memory.
    pub fn bytes(&self) -> usize {
        match &*self.numbers {
            Numbers::F32(values) => size_of_val(values.as_slice()),
            Numbers::Blocks(blocks) => blocks.bytes(),
            Numbers::Merged { base, a, b } => {
                base.bytes() + size_of_val(a.as_slice()) + size_of_val(b.as_slice())
            }
        }
    }
}

impl Numbers {
    fn values(&self) -> Vec<f32> {
        match self {
            Self::F32(values) => values.clone(),
            Self::Blocks(blocks) => {
                let (n_out, n_in) = (blocks.n_out(), blocks.n_in());
                let mut values = vec![0.0; n_out * n_in];
                let parts = values.par_chunks_mut((ROWS_AT_ONCE * n_in).max(1)).enumerate();
                parts.for_each(|(part, values)| {
                    let first = part * ROWS_AT_ONCE;
                    blocks
                        .dequantize(first..n_out.min(first + ROWS_AT_ONCE), values)
                        .expect("rows of the weight, and room for them");
                });
                values
            }
            Self::Merged { base, a, b } => {
                let mut values = base.values().into_owned();
                let (n_out, n_in) = (base.shape[0], base.shape[1]);
                let sizes = [n_out, n_in, a.len() / n_in];
                linear::backward_input(sizes, b, linear::Weight::F32(a), &mut values, Update::Add)
                    .expect("an adapter fits its matrix");
                values
            }
        }
    }

    fn into_values(self) -> Vec<f32> {
        match self {
            Self::F32(values) => values,
            made => made.values(),
        }
    }
}

impl PartialEq for Weight {
    /// Whether shapes and numbers are the same, however they are held.
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && self.values() == other.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use critic_kernels::quantized::Format;

    fn blocks() -> quantized::Weight {
        let values: Vec<f32> = (0..64).map(|x| x as f32 - 10.5).collect();
        quantized::Weight::from_f32(Format::Q4_1, 2, 32, &values).unwrap()
    }

    #[test]
    fn blocks_and_their_numbers_are_the_same_weight() {
        let weight = Weight::from_blocks(blocks());
        let mut row = [0.0; 32];
        assert!(weight.row(1, &mut row) && !weight.row(2, &mut [0.0; 32]));
        assert_eq!(weight.values()[32..], row);
        assert_eq!(weight.shape(), [2, 32]);
        let dense = Weight::new([2, 32], weight.values().to_vec()).unwrap();
        assert!(dense == weight && dense.blocks().is_none());
        assert!(dense.row(1, &mut row) && !dense.row(2, &mut [0.0; 32]));
        let clone = weight.clone();
        assert_eq!(weight.to_f32().into_values(), dense.values().into_owned());
        assert_eq!(weight.into_values(), dense.values().into_owned());
        assert_eq!(clone.into_values(), dense.into_values());
    }

    #[test]
    fn a_change_reaches_no_clone() {
        for weight in [Weight::new([2], vec![1.0, 2.0]).unwrap(), Weight::from_blocks(blocks())] {
            let (before, mut changed) = (weight.values().into_owned(), weight.clone());
            changed.values_mut()[1] = 7.0;
            let own = changed.values_mut().as_ptr();
            assert_eq!(changed.values_mut().as_ptr(), own);
            assert_eq!((changed.values()[0], changed.values()[1]), (before[0], 7.0));
            assert_eq!(weight.into_values(), before);
        }
    }

    #[test]
    fn a_merged_weight_is_the_sum() {
        let base = Weight::from_blocks(blocks());
        let (a, b) = (vec![0.5; 32], vec![2.0, -4.0]);
        let expected: Vec<f32> =
            base.values().iter().enumerate().map(|(i, w)| w + [1.0, -2.0][i / 32]).collect();
        let merged = base.clone().merged(a, b);
        assert_eq!(merged.values().into_owned(), expected);
        assert_eq!(merged.bytes(), base.bytes() + 4 * 34);
        assert_eq!(merged.into_values(), expected);
    }
}
