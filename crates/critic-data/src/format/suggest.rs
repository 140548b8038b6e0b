/// The name that `wanted` was most likely meant to be: one that contains it or begins like it, else the
/// nearest by edits, when at most a third of the letters differ.
pub fn nearest<'a>(wanted: &str, names: &[&'a str]) -> Option<&'a str> {
    let wanted = wanted.to_lowercase().replace(['_', ' '], "-");
    if wanted.is_empty() {
        return None;
    }
    let near = names
        .iter()
        .map(|name| (edits(&wanted, name), *name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| 3 * distance <= name.len().max(wanted.len()));
    let part = || names.iter().find(|name| wanted.len() > 1 && name.contains(&wanted)).copied();
    near.map(|(_, name)| name).or_else(part)
}

/// Insertions, deletions and substitutions between two names.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_or_a_part_finds_the_name_and_nonsense_does_not() {
        let names = ["trl-standard", "anthropic-hh", "llmbar"];
        assert_eq!(nearest("trl_standart", &names), Some("trl-standard"));
        assert_eq!(nearest("hh", &names), Some("anthropic-hh"));
        assert_eq!(nearest("LLMBar", &names), Some("llmbar"));
        assert_eq!(nearest("qqqqq", &names), None);
        assert_eq!((edits("abc", "abd"), edits("", "ab"), edits("kitten", "sitting")), (1, 2, 3));
    }
}
