use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// Named randomness: every draw of a run comes from one root by purpose and item.
///
/// The generator for (purpose, item, index) depends on those and on the root alone, never on the order
/// in which work is done, so the same seed gives the same draws whatever the batch size, the thread
/// count or an interruption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeedTree {
    key: [u8; 32],
}

impl SeedTree {
    /// The tree of a run.
    pub fn new(root: u64) -> Self {
        Self { key: Sha256::digest(root.to_le_bytes()).into() }
    }

    /// The subtree for `name`: a purpose (`"critique"`) or an item (a pair's id).
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(self.key);
        hasher.update(name.as_bytes());
        Self { key: hasher.finalize().into() }
    }

    /// The subtree for the `index`-th thing of this node.
    #[must_use]
    pub fn index(&self, index: u64) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(self.key);
        hasher.update([0xff]);
        hasher.update(index.to_le_bytes());
        Self { key: hasher.finalize().into() }
    }

    /// A fresh generator at this node.
    pub fn rng(&self) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(self.key)
    }

    /// A uniform draw in [0, 1) that belongs to this node alone.
    pub fn uniform(&self) -> f64 {
        let bits =
            u64::from_le_bytes(self.key[..8].try_into().expect("eight bytes of a 32-byte key"));
        (bits >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A permutation of `0..n` that belongs to this node alone (Fisher–Yates).
    pub fn permutation(&self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for last in (1..n).rev() {
            let pick = (self.index(last as u64).uniform() * (last + 1) as f64) as usize;
            order.swap(last, pick.min(last));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_its_name_alone() {
        let tree = SeedTree::new(7);
        let first = tree.child("critique").child("pair-1").index(0).uniform();
        let _ = tree.child("critique").child("pair-2").index(0).uniform();
        assert!((first - tree.child("critique").child("pair-1").index(0).uniform()).abs() < 1e-18);
        assert_ne!(tree.child("a").index(1), tree.child("a").index(2));
        assert_ne!(SeedTree::new(7).child("a"), SeedTree::new(8).child("a"));
    }

    #[test]
    fn uniform_draws_fill_the_unit_interval() {
        let tree = SeedTree::new(3);
        let mean = (0..4000).map(|i| tree.index(i).uniform()).sum::<f64>() / 4000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = SeedTree::new(1).permutation(100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
