//! Pairs made from gold answers and by models.
//!
//! [`corrupt`] alters one step of a gold solution and carries the error through, with the critique that
//! names it; [`pair_right_with_wrong`] grades sampled solutions against a gold answer and pairs them;
//! [`modified_instruction`] reads the instruction whose answer is the wrong one for another.

mod answer;
mod corrupted;
mod expression;
mod gold;
mod modified;
mod verifiable;

pub use answer::{AnswerKind, GoldAnswer, Grade, final_answer};
pub use corrupted::{Corrupted, CorruptionKind, CorruptionReport, corrupt, corrupt_all};
pub use expression::evaluate;
pub use gold::{GoldSet, GoldSolution, read_gold};
pub use modified::{NotModified, modified_instruction};
pub use verifiable::{Graded, pair_right_with_wrong};
