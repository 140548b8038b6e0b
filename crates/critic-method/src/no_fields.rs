use serde::{Deserialize, Deserializer};

/// Reads a variant without fields and refuses whatever stands beside its tag; serde alone would pass
/// over it, and a misplaced setting would go unnoticed.
pub(crate) fn no_fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct NoFields {}
    NoFields::deserialize(deserializer).map(|NoFields {}| ())
}
