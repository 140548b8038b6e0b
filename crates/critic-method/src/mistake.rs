/// Whether a critique points at the first wrong line of a response, of which a true critique is known.
///
/// The known critique quotes the wrong line first (as constructed ones do: `The first wrong step is "…"`).
/// Of the response's lines that the critique repeats, spaces and case aside, the one it repeats first is
/// what it points at; a critique that retells the response from its start thus points at the first line.
/// Nothing when the known critique quotes no line of the response. Our own measure.
pub fn locates_mistake(response: &str, known: &str, critique: &str) -> Option<bool> {
    let known = plain(known.split('"').nth(1)?);
    let lines: Vec<String> = response.lines().map(plain).filter(|line| !line.is_empty()).collect();
    if !lines.contains(&known) {
        return None;
    }
    let critique = plain(critique);
    let pointed_at = lines
        .iter()
        .filter_map(|line| Some((critique.find(line.as_str())?, line)))
        .min_by_key(|&(place, line)| (place, std::cmp::Reverse(line.len())));
    Some(pointed_at.is_some_and(|(_, line)| *line == known))
}

/// Lower case, with single spaces.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: &str = "He buys 3 bags.\nThat is 3*4 = 11 apples.\nSo he has 11 left.";
    const KNOWN: &str = "The first wrong step is \"That is 3*4 = 11 apples.\": 3*4 is 12, not 11.";

    #[test]
    fn the_first_line_that_is_repeated_is_what_a_critique_points_at() {
        let located = |critique: &str| locates_mistake(RESPONSE, KNOWN, critique);
        assert_eq!(located("Wrong: \"that is 3*4  = 11 apples.\" is 12."), Some(true));
        assert_eq!(located(RESPONSE), Some(false));
        assert_eq!(located("The step \"So he has 11 left.\" is wrong."), Some(false));
        assert_eq!(located("The answer is wrong."), Some(false));
    }

    #[test]
    fn a_known_critique_that_quotes_nothing_tells_nothing() {
        assert_eq!(locates_mistake(RESPONSE, "It is wrong.", RESPONSE), None);
        assert_eq!(locates_mistake(RESPONSE, "\"another line\" is wrong", RESPONSE), None);
    }
}
