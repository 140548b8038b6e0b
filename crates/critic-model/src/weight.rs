use crate::error::ModelError;
use candle_core::Tensor;
use critic_kernels::KernelError;
use std::sync::Arc;

/// The numbers of a parameter with their shape, row-major `f32`. Clones share the numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    shape: Vec<usize>,
    values: Arc<Vec<f32>>,
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
        Ok(Self { shape, values: Arc::new(values) })
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
        &self.values
    }

    /// Its numbers, copied only where a clone still holds them.
    pub fn into_values(self) -> Vec<f32> {
        Arc::unwrap_or_clone(self.values)
    }
}
