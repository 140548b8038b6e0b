use std::collections::HashMap;

/// The ids given so far; each is given once.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    /// Every id given, with how many rows asked for it.
    given: HashMap<String, usize>,
}

impl Ids {
    /// `wanted`, or `wanted#2`, `wanted#3`, … when earlier rows have it.
    pub(crate) fn give(&mut self, wanted: String) -> String {
        let mut id = wanted.clone();
        while self.given.contains_key(&id) {
            let n = self.given.entry(wanted.clone()).or_insert(1);
            *n += 1;
            id = format!("{wanted}#{n}");
        }
        self.given.insert(id.clone(), 1);
        id
    }
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
