//! Differentiable operations: the kernels of `critic-kernels` as candle custom operations with backward.
//!
//! candle's own fused norm, rotary embedding, softmax and attention stop gradients silently
//! (candle#2168); each operation here has a backward that a test checks against finite differences.

mod attention;
mod cross_entropy;
mod linear;
mod preference;
mod rms_norm;
mod rope;
mod swiglu;

pub use attention::forest_attention;
pub use cross_entropy::critique_nll_sum;
pub use linear::linear;
pub use preference::preference_nll_sum;
pub use rms_norm::rms_norm;
pub use rope::rope;
pub use swiglu::swiglu;

use candle_core::{CpuStorage, Error, Layout, Result, Storage, Tensor};
use critic_kernels::KernelError;

/// The numbers of an operand on the CPU.
fn operand<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => {
            Err(Error::Msg(format!("an operand of shape {:?} is not contiguous", layout.shape()))
                .bt())
        }
    }
}

/// Runs `body` on the numbers of a tensor, row by row in order.
///
/// # Errors
/// When the tensor is not f32 on the CPU, and those of `body`.
pub fn with_values<R>(tensor: &Tensor, body: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => body(operand(storage, layout)?),
        Storage::Cuda(_) | Storage::Metal(_) => {
            Err(Error::Msg("the tensor is not on the CPU".to_owned()).bt())
        }
    }
}

/// A kernel's complaint as a candle error.
fn kernel(error: KernelError) -> Error {
    Error::wrap(error)
}

/// A tensor of this shape on the device of `like`.
fn tensor_like(values: Vec<f32>, like: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(values, like.shape(), like.device())
}

#[cfg(test)]
mod tests;
