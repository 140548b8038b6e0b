use std::collections::HashMap;

/// Tokens less likely than this are not followed.
const WORTH_FOLLOWING: f64 = 1e-3;
/// How much of the probability may lead to tokens that cannot be followed.
const MOST_UNFOLLOWED: f64 = 0.1;

/// The likeliest tokens at some place, each with ln P; absent where the place cannot be reached.
pub(crate) type Likeliest = Option<Vec<(String, f64)>>;

/// ln P of every choice, from the likeliest next tokens that `ask` gives after some text.
///
/// P of a choice is the sum over tokens that begin with it, blanks before it aside, and over likely
/// tokens that are its beginning times P of the rest after them (one token deep). A choice that no such
/// token leads to gets −∞: it is less likely than the last token that the server names.
///
/// Nothing where the place cannot be reached, or where more than a tenth of the probability leads on to
/// places that cannot.
///
/// # Errors
/// Those of `ask`.
pub(crate) fn choice_log_probs<E>(
    choices: &[String],
    ask: &mut dyn FnMut(&str) -> Result<Likeliest, E>,
) -> Result<Option<Vec<f64>>, E> {
    let Some(first) = ask("")? else { return Ok(None) };
    let mut asked: HashMap<&str, Likeliest> = HashMap::new();
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
                let next = asked[token.as_str()].iter().flatten();
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
    let unfollowed: f64 = first
        .iter()
        .filter(|(token, _)| asked.get(token.as_str()).is_some_and(Option::is_none))
        .map(|(_, log_prob)| log_prob.exp())
        .sum();
    Ok((unfollowed <= MOST_UNFOLLOWED).then_some(log_probs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likeliest(tokens: &[(&str, f64)]) -> Likeliest {
        Some(tokens.iter().map(|(token, p)| ((*token).to_owned(), p.ln())).collect())
    }

    #[test]
    fn a_choice_of_two_tokens_is_followed() {
        let mut asked = Vec::new();
        let choices = ["1", "7", "10", "9"].map(str::to_owned);
        let log_probs = choice_log_probs::<()>(&choices, &mut |after| {
            asked.push(after.to_owned());
            Ok(match after {
                "" => likeliest(&[(" 1", 0.5), ("7", 0.25)]),
                _ => likeliest(&[("0", 0.5), ("\n", 0.5)]),
            })
        })
        .unwrap()
        .unwrap();
        let p: Vec<f64> = log_probs.iter().map(|l| l.exp()).collect();
        assert_eq!(asked, ["", " 1"]);
        for (got, expected) in p.iter().zip([0.5, 0.25, 0.25, 0.0]) {
            assert!((got - expected).abs() < 1e-12, "{p:?}");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_absent_unless_it_is_rare() {
        let read = |blank: f64| {
            let choices = ["Yes", "No"].map(str::to_owned);
            choice_log_probs::<()>(&choices, &mut |after| {
                Ok(match after {
                    "" => likeliest(&[("Yes", 0.5), ("No", 0.2), (" ", blank)]),
                    _ => None,
                })
            })
            .unwrap()
        };
        assert_eq!(read(0.05), Some(vec![0.5f64.ln(), 0.2f64.ln()]));
        assert_eq!(read(0.3), None);
        assert_eq!(choice_log_probs::<()>(&["Yes".to_owned()], &mut |_| Ok(None)), Ok(None));
    }
}
