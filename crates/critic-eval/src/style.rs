use serde::{Deserialize, Serialize};

/// A countable property of a response that says nothing about whether it is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StyleFeature {
    /// Runs of characters between white space.
    Words,
    /// Unicode scalar values.
    Chars,
    /// Lines that begin with one to six `#` and a space.
    Headers,
    /// Lines that begin with `- `, `* `, `+ ` or a number with `.` or `)`, indented or not.
    ListItems,
    /// Pairs of `**`.
    Bold,
    /// Pairs of lines that begin with three backticks.
    CodeBlocks,
}

impl StyleFeature {
    /// All of them.
    pub const ALL: [StyleFeature; 6] = [
        StyleFeature::Words,
        StyleFeature::Chars,
        StyleFeature::Headers,
        StyleFeature::ListItems,
        StyleFeature::Bold,
        StyleFeature::CodeBlocks,
    ];

    /// How much of it a text has.
    ///
    /// # Examples
    /// ```
    /// use critic_eval::StyleFeature;
    /// assert_eq!(StyleFeature::ListItems.count("Two things:\n- one\n  2. two"), 2);
    /// ```
    pub fn count(self, text: &str) -> usize {
        let lines =
            |is: fn(&str) -> bool| text.lines().filter(|line| is(line.trim_start())).count();
        match self {
            StyleFeature::Words => text.split_whitespace().count(),
            StyleFeature::Chars => text.chars().count(),
            StyleFeature::Headers => lines(is_header),
            StyleFeature::ListItems => lines(is_list_item),
            StyleFeature::Bold => text.matches("**").count() / 2,
            StyleFeature::CodeBlocks => lines(|line| line.starts_with("```")) / 2,
        }
    }
}

fn is_header(line: &str) -> bool {
    let level = line.chars().take_while(|&c| c == '#').count();
    (1..=6).contains(&level) && line[level..].starts_with(' ')
}

fn is_list_item(line: &str) -> bool {
    if ["- ", "* ", "+ "].iter().any(|mark| line.starts_with(mark)) {
        return true;
    }
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    number.len() < line.len() && (number.starts_with(". ") || number.starts_with(") "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_is_counted_and_look_alikes_are_not() {
        let text = "# Title\n#hashtag\n1. one\n2) two\n3.14 is pi\n* three\n**bold** and **more\n```\nx\n```\n";
        let counts = StyleFeature::ALL.map(|feature| feature.count(text));
        assert_eq!(counts[2..], [1, 3, 1, 1]);
        assert_eq!(StyleFeature::ALL.map(|feature| feature.count("")), [0; 6]);
    }
}
