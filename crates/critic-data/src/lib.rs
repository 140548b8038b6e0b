//! Readers of preference data.
