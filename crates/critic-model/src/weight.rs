use crate::error::ModelError;
use candle_core::Tensor;
use critic_kernels::{KernelError, quantized};
use rayon::prelude::*;
use std::sync::{Arc, OnceLock};

/// The numbers of a parameter with their shape, row-major. Clones share the numbers.
///
/// One that comes from a GGUF file may hold the file's own blocks; its numbers in `f32` are then made
/// where somebody first asks for them.
#[derive(Debug, Clone)]
pub struct Weight {
    shape: Vec<usize>,
    numbers: Arc<Numbers>,
}

#[derive(Debug)]
struct Numbers {
    blocks: Option<Arc<quantized::Weight>>,
    values: OnceLock<Vec<f32>>,
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
        Ok(Self { shape, numbers: Arc::new(Numbers { blocks: None, values: values.into() }) })
    }

    /// A matrix in the form in which a GGUF file holds it.
    pub fn from_blocks(blocks: quantized::Weight) -> Self {
        let shape = vec![blocks.n_out(), blocks.n_in()];
        let numbers = Numbers { blocks: Some(Arc::new(blocks)), values: OnceLock::new() };
        Self { shape, numbers: Arc::new(numbers) }
    }

    /// A copy of a tensor's numbers, from wherever it is.
    pub(crate) fn from_tensor(tensor: &Tensor) -> Result<Self, ModelError> {
        Self::new(tensor.dims(), tensor.flatten_all()?.to_vec1()?)
    }

    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its numbers, row by row.
    pub fn values(&self) -> &[f32] {
        self.numbers.values.get_or_init(|| self.numbers.dequantized())
    }

    /// Its numbers, copied only where a clone still holds them.
    pub fn into_values(self) -> Vec<f32> {
        match Arc::try_unwrap(self.numbers) {
            Ok(mut numbers) => numbers.values.take().unwrap_or_else(|| numbers.dequantized()),
            Err(shared) => shared.values.get().map_or_else(|| shared.dequantized(), Clone::clone),
        }
    }

    /// The blocks of the GGUF file that it comes from, where the kernels multiply such blocks.
    pub fn blocks(&self) -> Option<&Arc<quantized::Weight>> {
        self.numbers.blocks.as_ref()
    }
}

impl Numbers {
    /// The numbers that the blocks stand for.
    fn dequantized(&self) -> Vec<f32> {
        let Some(blocks) = &self.blocks else { return Vec::new() };
        let mut values = vec![0.0; blocks.n_out() * blocks.n_in()];
        values.par_chunks_exact_mut(blocks.n_in()).enumerate().for_each(|(row, out)| {
            blocks.dequantize_row(row, out).expect("a row of the weight, as long as its rows are");
        });
        values
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

    #[test]
    fn blocks_and_their_numbers_are_the_same_weight() {
        let values: Vec<f32> = (0..64).map(|x| x as f32 - 10.5).collect();
        let blocks = quantized::Weight::from_f32(Format::Q4_1, 2, 32, &values).unwrap();
        let weight = Weight::from_blocks(blocks.clone());
        let mut row = [0.0; 32];
        blocks.dequantize_row(1, &mut row).unwrap();
        assert_eq!(weight.values()[32..], row);
        assert_eq!(weight.shape(), [2, 32]);
        let dense = Weight::new([2, 32], weight.values().to_vec()).unwrap();
        assert!(dense == weight && dense.blocks().is_none());
        let untouched = Weight::from_blocks(blocks);
        let clone = untouched.clone();
        assert_eq!(untouched.into_values(), dense.values());
        assert_eq!(clone.into_values(), dense.into_values());
    }
}
