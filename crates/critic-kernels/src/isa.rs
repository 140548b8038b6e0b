//! The instruction set that the kernels run on.
