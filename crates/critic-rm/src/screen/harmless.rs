//! Text from models, data and logs as a terminal may show it.

/// The text with line breaks as they are, tabs as spaces, and a picture for every character that would
/// command a terminal or turn the direction of a line.
pub(super) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        match c {
            '\n' => out.push('\n'),
            '\t' => out.push_str("    "),
            '\u{0}'..='\u{1f}' => {
                out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'));
            }
            '\u{7f}' => out.push('\u{2421}'),
            c if c.is_control() || is_invisible(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// The same in one line.
pub(super) fn one_line(text: &str) -> String {
    harmless(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Marks of direction and width zero, which make a line other than it looks.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// What `tracing` wrote without the colors it gave it.
pub(super) fn without_colors(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !(c.is_ascii_digit() || c == ';'));
        match end {
            Some(end) if part[end..].starts_with('m') => out.push_str(&part[end + 1..]),
            _ => {
                out.push_str("\u{1b}[");
                out.push_str(part);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_command_to_the_terminal_becomes_a_picture_of_itself() {
        assert_eq!(harmless("a\u{1b}[2Jb\u{7}\tc\r\nd"), "a␛[2Jb␇    c\nd");
        assert_eq!(harmless("\u{9b}31m\u{202e}"), "\u{fffd}31m\u{fffd}");
        assert_eq!(one_line(" a\n b\u{1b}"), "a b␛");
    }

    #[test]
    fn a_logs_colors_go_and_other_commands_stay_for_the_eye() {
        assert_eq!(without_colors("\u{1b}[33m WARN\u{1b}[0m low"), " WARN low");
        assert_eq!(harmless(&without_colors("\u{1b}[2J")), "␛[2J");
    }

    proptest! {
        #[test]
        fn no_control_character_is_left(text in any::<String>()) {
            prop_assert!(harmless(&text).chars().all(|c| c == '\n' || !c.is_control()));
        }
    }
}
