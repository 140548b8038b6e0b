//! Contestants on held-out pairs.
