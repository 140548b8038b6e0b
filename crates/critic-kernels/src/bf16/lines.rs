//! Words in memory that begin where a line of the cache does, as loads of whole lines are fastest there.

use bytemuck::{Pod, Zeroable, must_cast_slice, must_cast_slice_mut};

/// Words of a [`Line`].
pub(super) const LINE: usize = 16;

/// A line of the cache.
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(C, align(64))]
pub(super) struct Line([u32; LINE]);

/// Room for `n_words`, zeros.
pub(super) fn zeros(n_words: usize) -> Vec<Line> {
    vec![Line::default(); n_words.div_ceil(LINE)]
}

/// The words of lines.
pub(super) fn words(lines: &[Line]) -> &[u32] {
    must_cast_slice(lines)
}

/// The words of lines.
pub(super) fn words_mut(lines: &mut [Line]) -> &mut [u32] {
    must_cast_slice_mut(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_begin_at_a_line() {
        let mut lines = zeros(3 * LINE - 1);
        words_mut(&mut lines)[LINE + 2] = 7;
        assert_eq!(words(&lines).len(), 3 * LINE);
        assert_eq!((words(&lines)[LINE + 2], words(&lines)[LINE + 1]), (7, 0));
        assert_eq!(words(&lines).as_ptr().align_offset(64), 0);
    }
}
