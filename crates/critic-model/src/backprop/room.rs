/// Memory that passes over forests of different sizes use again.
pub(super) trait Room {
    /// Makes the buffer `len` long; what stands in it is of no pass in particular.
    ///
    /// One that is too small is given back first and gets exactly that room: a `Vec` that grows holds up to
    /// twice what it needs, and the old memory beside the new.
    fn fit(&mut self, len: usize);
}

impl<T: Copy + Default> Room for Vec<T> {
    fn fit(&mut self, len: usize) {
        if self.capacity() < len {
            *self = Self::new();
            self.reserve_exact(len);
        }
        self.resize(len, T::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_grows_has_no_more_room_than_it_needs() {
        let mut buffer = vec![1.0f32; 1000];
        buffer.fit(1001);
        assert_eq!((buffer.len(), buffer.capacity()), (1001, 1001));
        buffer.fit(10);
        assert_eq!((buffer.len(), buffer.capacity()), (10, 1001));
    }
}
