use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// The ids given so far; each is given once. Sixteen bytes are held for each.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    /// The digest of every id given, with how many rows asked for it.
    given: HashMap<[u64; 2], u32>,
}

impl Ids {
    /// `wanted`, or `wanted#2`, `wanted#3`, … when earlier rows have it.
    pub(crate) fn give(&mut self, wanted: String) -> String {
        let key = digest(&wanted);
        let mut id = wanted;
        let mut taken = key;
        while self.given.contains_key(&taken) {
            let n = self.given.entry(key).or_insert(1);
            *n += 1;
            let stem = match id.rsplit_once('#') {
                Some((stem, _)) if taken != key => stem,
                _ => &id,
            };
            id = format!("{stem}#{n}");
            taken = digest(&id);
        }
        self.given.insert(taken, 1);
        id
    }
}

fn digest(id: &str) -> [u64; 2] {
    let digest = Sha256::digest(id.as_bytes());
    let half = |at: usize| digest[at..at + 8].iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
    [half(0), half(8)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_id_gets_the_next_free_suffix() {
        let mut ids = Ids::default();
        let given = ["a", "a#2", "a", "a", "a#2", "b"].map(|id| ids.give(id.to_owned()));
        assert_eq!(given, ["a", "a#2", "a#3", "a#4", "a#2#2", "b"]);
    }
}
