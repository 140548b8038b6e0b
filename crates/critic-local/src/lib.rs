//! Generator and Scorer on the local model.
