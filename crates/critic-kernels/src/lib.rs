//! CPU kernels on slices of `f32`, forward and backward.
//!
//! Row-major slices in, row-major slices out; no tensors, no model.
//! Every kernel checks its lengths and returns [`KernelError`] instead of panicking.
//! Work is spread over the current rayon pool, and the bits of a result depend neither on the
//! number of threads nor on how rayon splits the work: a reduction runs in an order that is
//! fixed by the operands' shapes.
//!
//! The instruction set is chosen at run time, see [`isa`].

pub mod adamw;
pub mod attention;
pub mod bf16;
pub mod cross_entropy;
mod error;
pub mod gated;
pub mod isa;
pub mod linear;
pub mod logits;
pub mod matmul;
pub mod peak;
mod precision;
pub mod quantized;
pub mod rms_norm;
pub mod rope;
mod simd;
pub mod softcap;
#[cfg(test)]
mod testing;

pub use error::KernelError;
pub use precision::Precision;
