//! The embedded database of a run.
