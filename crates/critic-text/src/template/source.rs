/// The template with `{% generation %}` and `{% endgeneration %}` made blocks that do nothing.
///
/// The tags mark what the assistant wrote; `transformers` reads them for its mask, and the text is
/// the same without. Their whitespace control stays.
pub(super) fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let Some(end) = rest[2..].find("%}").map(|end| end + 4) else { break };
        let tag = &rest[2..end - 2];
        let open = tag.len() - tag.trim_start_matches(['-', '+']).len();
        let close = tag.trim_end_matches(['-', '+']).len();
        let word = tag.get(open..close).map_or("", str::trim);
        let replacement = match word {
            "generation" => "if true",
            "endgeneration" => "endif",
            _ => {
                out.push_str("{%");
                rest = &rest[2..];
                continue;
            }
        };
        out.push_str("{%");
        out.push_str(&tag[..open]);
        out.push(' ');
        out.push_str(replacement);
        out.push(' ');
        out.push_str(&tag[close..]);
        out.push_str("%}");
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::without_generation_tags;

    #[test]
    fn only_the_generation_tags_change() {
        let source = "a{%- generation %}{{ x }}{% endgeneration -%}b{% if x %}c{% endif %}{%";
        let expected = "a{%- if true %}{{ x }}{% endif -%}b{% if x %}c{% endif %}{%";
        assert_eq!(without_generation_tags(source), expected);
        for odd in ["{%-%}{%%}", "{%}", "{%", "{%}%}"] {
            assert_eq!(without_generation_tags(odd), odd);
        }
    }
}
