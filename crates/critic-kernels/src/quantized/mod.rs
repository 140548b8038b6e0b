//! Weights of 4 to 8 or 16 bits: their products for inference, and what they stand for in `f32`.
//!
//! A [`Weight`] keeps what a GGUF file holds, number for number, in the order that the kernels read
//! it: sixteen rows side by side, 64 bytes at a time. Weights in blocks meet activations rounded to 8
//! bits by blocks of 32; sums within a block are exact integers, sums over blocks are `f32` in the order
//! of the blocks.
//! Half-precision weights meet activations in `f32`.
//!
//! Every number of a result has an accumulator of its own, so its bits depend on its row of
//! activations and its row of the weight alone: not on the other rows, nor on the threads. With
//! weights in blocks they do not depend on the instruction set either.

mod activations;
mod block;
mod dequantize;
mod format;
mod product;
mod tile;
mod weight;

pub use activations::{Activations, Precision};
pub use format::Format;
pub use product::{product, products};
pub use weight::Weight;

#[cfg(test)]
mod tests;
