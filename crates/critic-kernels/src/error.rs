//! Why a kernel refused its operands.

use thiserror::Error;

/// Operands that do not fit together, or an index outside its range.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KernelError {
    /// A slice does not have the length that the other operands ask for.
    #[error("{operand} holds {found} numbers, the other operands ask for {expected}")]
    WrongLength {
        /// The operand's name in the kernel's signature.
        operand: &'static str,
        /// Its length.
        found: usize,
        /// The length that fits.
        expected: usize,
    },
    /// A matrix does not have the shape that the other operands ask for.
    #[error("{operand} is {found:?}, the other operands ask for {expected:?}")]
    WrongShape {
        /// The operand's name in the kernel's signature.
        operand: &'static str,
        /// Its rows and columns.
        found: [usize; 2],
        /// Those that fit.
        expected: [usize; 2],
    },
    /// A slice's length is no multiple of its row's width.
    #[error("{operand} holds {found} numbers, which is no whole number of rows of {width}")]
    BrokenRows {
        /// The operand's name in the kernel's signature.
        operand: &'static str,
        /// Its length.
        found: usize,
        /// The width of a row.
        width: usize,
    },
    /// Nothing is rounded to this format.
    #[error("{format} is read from files only; round to Q8_0, Q4_0, Q4_1, F16 or BF16")]
    OnlyRead {
        /// The format's name in GGUF.
        format: &'static str,
    },
    /// A size that cannot be what it is.
    #[error("{operand} is {found}, it must be {rule}")]
    InvalidSize {
        /// The size's name.
        operand: &'static str,
        /// Its value.
        found: usize,
        /// What it must be.
        rule: &'static str,
    },
    /// An index points outside what it indexes.
    #[error("{operand}[{index}] is {found}, it must be less than {limit}")]
    OutOfRange {
        /// The operand that holds the index.
        operand: &'static str,
        /// Where in the operand it stands.
        index: usize,
        /// The value found.
        found: usize,
        /// The first value that is too large.
        limit: usize,
    },
    /// An index is less than the one before it.
    #[error(
        "{operand}[{index}] is {found}, it must not be less than {before}, which stands before it"
    )]
    Decreasing {
        /// The operand that holds the index.
        operand: &'static str,
        /// Where in the operand it stands.
        index: usize,
        /// The value found.
        found: usize,
        /// The value before it.
        before: usize,
    },
    /// The runs of queries overlap, or leave queries out.
    #[error(
        "the runs must partition the queries: {found} begins a run or ends the last one, {expected} was due"
    )]
    BrokenPartition {
        /// Where a run begins (or all of them end).
        found: usize,
        /// Where it had to.
        expected: usize,
    },
    /// A key stands twice on a path.
    #[error("key {key} stands twice on one path, the ranges of a path must be disjoint")]
    RepeatedKey {
        /// The key's row.
        key: usize,
    },
    /// A weight holds a number that is not finite in the format that holds it.
    #[error(
        "row {row} of the weight is not finite in {format} from term {term} on, its numbers must be finite and within the format's range"
    )]
    NonFiniteWeight {
        /// The row of the weight.
        row: usize,
        /// The term, or the first one of its block.
        term: usize,
        /// The format's name.
        format: &'static str,
    },
    /// Activations are not held as the weight's format asks for.
    #[error(
        "the activations are not held in the precision that a weight in {format} meets, load them in it"
    )]
    WrongPrecision {
        /// The weight's format.
        format: &'static str,
    },
    /// `CRITIC_RM_ISA` names no instruction set.
    #[error("CRITIC_RM_ISA is {found:?}, it must be portable, avx2, avx512, avx512bf16 or amxbf16")]
    UnknownIsa {
        /// The variable's value.
        found: String,
    },
}

/// `Ok` where `found` equals `expected`.
pub(crate) fn check_length(
    operand: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), KernelError> {
    if found == expected {
        Ok(())
    } else {
        Err(KernelError::WrongLength { operand, found, expected })
    }
}

/// The numbers of a matrix, `usize::MAX` where that is too large, which no slice's length is.
pub(crate) fn area(rows: usize, columns: usize) -> usize {
    rows.saturating_mul(columns)
}

/// The number of rows of `width` in a slice of length `found`.
pub(crate) fn count_rows(
    operand: &'static str,
    found: usize,
    width: usize,
) -> Result<usize, KernelError> {
    if width == 0 {
        return Err(KernelError::InvalidSize { operand, found: 0, rule: "at least 1 wide" });
    }
    if !found.is_multiple_of(width) {
        return Err(KernelError::BrokenRows { operand, found, width });
    }
    Ok(found / width)
}
