//! Joint training.
