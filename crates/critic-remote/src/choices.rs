use std::collections::HashMap;

/// Tokens less likely than this are not followed.
const WORTH_FOLLOWING: f64 = 1e-3;

/// ln P of every choice, from the likeliest next tokens that `ask` gives after some text.
///
/// P of a choice is the sum over tokens that begin with it, blanks before it aside, and over likely
/// tokens that are its beginning times P of the rest after them (one token deep). A choice that no such
/// token leads to gets −∞: it is less likely than the last token that the server names.
///
/// # Errors
/// Those of `ask`.
pub(crate) fn choice_log_probs<E>(
    choices: &[String],
    ask: &mut dyn FnMut(&str) -> Result<Vec<(String, f64)>, E>,
) -> Result<Vec<f64>, E> {
    let first = ask("")?;
    let mut asked: HashMap<&str, Vec<(String, f64)>> = HashMap::new();
    let mut log_probs = Vec::with_capacity(choices.len());
    for choice in choices {
        let choice = choice.trim();
        let mut p = 0.0;
        for (token, log_prob) in &first {
            let bare = token.trim_start();
            if bare.starts_with(choice) {
                p += log_prob.exp();
            } else if let Some(rest) = choice.strip_prefix(bare)
                && !token.is_empty()
                && log_prob.exp() >= WORTH_FOLLOWING
            {
                if !asked.contains_key(token.as_str()) {
                    asked.insert(token, ask(token)?);
                }
                let next = asked[token.as_str()].iter();
                let begins = |next: &str| match bare {
                    "" => next.trim_start().starts_with(rest),
                    _ => next.starts_with(rest),
                };
                let following: f64 =
                    next.filter(|(next, _)| begins(next)).map(|(_, p)| p.exp()).sum();
                p += log_prob.exp() * following;
            }
        }
        log_probs.push(p.ln());
    }
    Ok(log_probs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_of_two_tokens_is_followed() {
        let mut asked = Vec::new();
        let choices = ["1", "7", "10", "9"].map(str::to_owned);
        let log_probs = choice_log_probs::<()>(&choices, &mut |after| {
            asked.push(after.to_owned());
            Ok(match after {
                "" => vec![(" 1".into(), 0.5f64.ln()), ("7".into(), 0.25f64.ln())],
                _ => vec![("0".into(), 0.5f64.ln()), ("\n".into(), 0.5f64.ln())],
            })
        })
        .unwrap();
        let p: Vec<f64> = log_probs.iter().map(|l| l.exp()).collect();
        assert_eq!(asked, ["", " 1"]);
        for (got, expected) in p.iter().zip([0.5, 0.25, 0.25, 0.0]) {
            assert!((got - expected).abs() < 1e-12, "{p:?}");
        }
    }
}
