//! Prefix forest: layout of token sequences that share prefixes.
