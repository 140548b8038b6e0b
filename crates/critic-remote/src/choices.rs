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
/// tokens that are its beginning times P of the rest after them: as many tokens deep as the choice goes
/// on, after a token of blanks alone one. A choice that no such token leads to gets −∞: it is less likely
/// than the last token that the server names.
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
    let mut asked: HashMap<String, Likeliest> = HashMap::new();
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
                p += log_prob.exp() * following(token, rest, bare.is_empty(), &mut asked, ask)?;
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

/// P of `rest` after the text `after`.
fn following<E>(
    after: &str,
    rest: &str,
    is_blank: bool,
    asked: &mut HashMap<String, Likeliest>,
    ask: &mut dyn FnMut(&str) -> Result<Likeliest, E>,
) -> Result<f64, E> {
    if !asked.contains_key(after) {
        asked.insert(after.to_owned(), ask(after)?);
    }
    let next = asked[after].clone().unwrap_or_default();
    let mut p = 0.0;
    for (token, log_prob) in &next {
        let begun = if is_blank { token.trim_start() } else { token.as_str() };
        if begun.starts_with(rest) {
            p += log_prob.exp();
        } else if let Some(rest) = rest.strip_prefix(token.as_str())
            && !is_blank
            && !token.is_empty()
            && log_prob.exp() >= WORTH_FOLLOWING
        {
            p += log_prob.exp() * following(&format!("{after}{token}"), rest, false, asked, ask)?;
        }
    }
    Ok(p)
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
    fn a_choice_of_many_tokens_is_followed_to_its_end() {
        let choices = ["partly right", "partly wrong", "poor"].map(str::to_owned);
        let mut asked = Vec::new();
        let log_probs = choice_log_probs::<()>(&choices, &mut |after| {
            asked.push(after.to_owned());
            Ok(match after {
                "" => likeliest(&[(" part", 0.8), (" poor", 0.1)]),
                " part" => likeliest(&[("ly", 0.5), ("ial", 0.5)]),
                " partly" => likeliest(&[(" right", 0.75), (" wr", 0.25)]),
                " partly wr" => likeliest(&[("ong", 1.0)]),
                other => panic!("{other} is no beginning of a choice"),
            })
        })
        .unwrap()
        .unwrap();
        assert_eq!(asked, ["", " part", " partly", " partly wr"]);
        for (got, expected) in log_probs.iter().zip([0.3f64, 0.1, 0.1]) {
            assert!((got.exp() - expected).abs() < 1e-12, "{log_probs:?}");
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
