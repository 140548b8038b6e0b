//! Training on any device of candle: the decoder, the reward head and the update composed of candle's own
//! operations.
//!
//! Every operation here has a backward in candle, so the gradients are candle's. [`Parameters`] hold what
//! is trained, a [`Pass`] is one forest, [`Gradients`] are what a step adds up, and [`Moments`] are AdamW's.
//! It computes in f32 and keeps every activation of the layers; on a CPU [`backprop`](crate::backprop) does
//! the same in less time and memory.

mod attention;
mod decoder;
mod device;
mod gradients;
mod moments;
mod operations;
mod parameters;
mod pass;
#[cfg(test)]
mod tests;

pub use candle_core::Device;
pub use device::TrainDevice;
pub use gradients::Gradients;
pub use moments::Moments;
pub use parameters::Parameters;
pub use pass::Pass;
