use crate::MethodError;
use crate::response::{ResponseSink, open_responses, places, response_id};
use critic_engine::{ChoiceRequest, Generator, RequestControl, log_odds};
use critic_text::Prompts;
use critic_types::{PreferencePair, Side};

/// Asks the verdict question about every response that is not `done` right after it, before any critique,
/// and hands each answer over: ln P(yes) − ln P(no), none when it is not finite.
///
/// It is what critiques have to beat: where it ranks pairs better than the verdicts after critiques do, the
/// critic is better off without writing. Ours (GenRM's direct verifier, arXiv 2408.15240).
///
/// A response that fails is handed over as its error and stays open for a later call. What a response gets
/// depends on its own texts alone.
///
/// # Errors
/// [`MethodError::DuplicatePair`] when two pairs share an id; nothing is asked then.
pub fn response_verdicts(
    pairs: &[PreferencePair],
    generator: &mut dyn Generator,
    prompts: &Prompts,
    done: &dyn Fn(&str, Side) -> bool,
    sink: &mut ResponseSink<'_, Option<f64>>,
) -> Result<(), MethodError> {
    places(pairs)?;
    let open = open_responses(pairs, done);
    let requests: Vec<ChoiceRequest> = open
        .iter()
        .map(|&(place, side)| ChoiceRequest {
            id: response_id(&pairs[place].id, side),
            conversation: prompts.verdict(&pairs[place].prompt, pairs[place].response(side)),
            choices: prompts.verdict_choices(),
            control: RequestControl::default(),
        })
        .collect();
    generator.choose(&requests, &mut |index, answer| {
        let (place, side) = open[index];
        sink(place, side, answer.map(|log_probs| log_odds(&log_probs)))
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Backwards, pair};
    use critic_engine::{Completion, EngineError, GenerateRequest, Sink};
    use std::collections::BTreeMap;
    use std::ops::ControlFlow;

    /// Yes is as likely as the response is long.
    struct Lengthwise {
        inner: Backwards,
    }

    impl Generator for Lengthwise {
        fn generate(&mut self, _: &[GenerateRequest], _: &mut Sink<'_, Vec<Completion>>) {
            panic!("no critique is written");
        }

        fn choose(&mut self, requests: &[ChoiceRequest], sink: &mut Sink<'_, Vec<f64>>) {
            self.inner.choose(requests, &mut |index, answer| {
                let turns = requests[index].conversation.messages();
                let [.., response, question] = turns else { panic!("{turns:?}") };
                assert!(question.content.contains("Yes or No"), "{question:?}");
                let yes = -1.0 / response.content.len() as f64;
                sink(index, answer.map(|_| vec![yes, f64::from(u8::from(index == 2)).ln()]))
            });
        }
    }

    type Found = BTreeMap<(usize, Side), Result<Option<f64>, EngineError>>;

    fn ask(engine: &mut Lengthwise, done: &dyn Fn(&str, Side) -> bool) -> Found {
        let pairs = [pair("a"), pair("bb")];
        let mut found = Found::new();
        response_verdicts(&pairs, engine, &Prompts::builtin(), done, &mut |place, side, answer| {
            found.insert((place, side), answer);
            ControlFlow::Continue(())
        })
        .unwrap();
        found
    }

    #[test]
    fn each_response_is_asked_about_once_and_an_answer_that_is_not_finite_is_none() {
        let mut engine = Lengthwise { inner: Backwards::default() };
        let found = ask(&mut engine, &|_, _| false);
        assert_eq!(engine.inner.asked, ["bb/rejected", "bb/chosen", "a/rejected", "a/chosen"]);
        // ln P(no) is −∞ everywhere but for the third request, whose P(no) is 1.
        let expected = -1.0 / "chosen of bb".len() as f64;
        assert_eq!(found[&(1, Side::Chosen)], Ok(Some(expected)));
        assert_eq!(found[&(0, Side::Rejected)], Ok(None));
    }

    #[test]
    fn what_is_done_is_not_asked_again_and_a_failure_is_that_of_its_response() {
        let failing = vec!["a/rejected".to_owned()];
        let mut engine = Lengthwise { inner: Backwards { failing, ..Backwards::default() } };
        let found = ask(&mut engine, &|pair, side| pair == "bb" && side == Side::Chosen);
        assert_eq!(found.len(), 3);
        assert!(found[&(0, Side::Rejected)].is_err() && found[&(0, Side::Chosen)].is_ok());
        let twice = [pair("a"), pair("a")];
        let error = response_verdicts(
            &twice,
            &mut engine,
            &Prompts::builtin(),
            &|_, _| false,
            &mut |_, _, _| panic!("nothing is asked"),
        );
        assert!(matches!(error, Err(MethodError::DuplicatePair { .. })), "{error:?}");
    }
}
