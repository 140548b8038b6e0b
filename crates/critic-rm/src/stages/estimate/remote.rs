use super::{REQUEST_TOKENS, Stage, n_comparisons};
use crate::progress::duration;
use crate::settings::Settings;
use critic_method::{MetaJudge, Refinement};
use critic_remote::{Api, RemoteSettings};

/// What is asked of a remote critic, roughly.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Work {
    requests: f64,
    prompt_tokens: f64,
    /// At most.
    completion_tokens: f64,
}

impl Work {
    fn add(&mut self, requests: f64, prompt_tokens: f64, completion_tokens: f64) {
        self.requests += requests;
        self.prompt_tokens += requests * prompt_tokens;
        self.completion_tokens += requests * completion_tokens;
    }

    /// The work of the first round up to `last`, without tries again.
    ///
    /// Answers of one response are one request where the server writes several; a reading after an
    /// answer is a request, two where scores are two tokens. About half the critiques survive the
    /// filter.
    fn of(
        settings: &Settings,
        remote: &RemoteSettings,
        n_pairs: f64,
        response_tokens: f64,
        last: Stage,
    ) -> Self {
        let mut work = Self::default();
        let n = settings.critique.n_candidates as f64;
        let longest = settings.critique.max_new_tokens as f64;
        let asked = response_tokens + REQUEST_TOKENS;
        let reads_scores = remote.continues_answers || remote.api == Api::Completions;
        let readings = match remote.top_log_probs {
            0 => 0.0,
            _ => 1.0 + if reads_scores { 2.0 } else { 0.0 },
        };
        if last >= Stage::Critique {
            work.add(2.0 * n_pairs, asked, n * longest);
            work.add(2.0 * n_pairs * n * readings, asked + longest, 1.0);
        }
        if last >= Stage::Refine {
            match settings.refine {
                Refinement::None => {}
                Refinement::Rank { judge: MetaJudge::Pointwise, .. } => {
                    work.add(2.0 * n_pairs * n, asked + longest, 1.0);
                }
                Refinement::Rank { judge: MetaJudge::Pairwise, .. } => {
                    let questions = n_pairs * n_comparisons(n);
                    work.add(questions, asked + 2.0 * longest, 1.0);
                }
                Refinement::Summarize { drafts } => {
                    let drafts = drafts as f64;
                    work.add(n_pairs, asked + n * longest, drafts * longest);
                    work.add(n_pairs * drafts * readings, asked + n * longest + longest, 1.0);
                }
            }
        }
        work
    }
}

/// What the run will ask of its remote critic, and what that costs.
pub(super) fn line(
    settings: &Settings,
    remote: &RemoteSettings,
    n_pairs: f64,
    response_tokens: f64,
    last: Stage,
) -> String {
    let work = Work::of(settings, remote, n_pairs, response_tokens, last);
    let cost = remote.cost(work.prompt_tokens, work.completion_tokens);
    let cost = match cost > 0.0 {
        true => format!("at most {cost:.2} at the prices given"),
        false => "no prices given".to_owned(),
    };
    let minutes = |amount: f64, per_minute: f64| {
        if per_minute > 0.0 { amount / per_minute } else { 0.0 }
    };
    let tokens = work.prompt_tokens + work.completion_tokens;
    let slowest = minutes(work.requests, remote.requests_per_minute)
        .max(minutes(tokens, remote.tokens_per_minute));
    let limits = match slowest > 0.0 {
        true => format!("; the limits allow it in {} or more", duration(60.0 * slowest)),
        false => String::new(),
    };
    format!(
        "critic {} at {}: about {:.0} requests from the start, {:.0} thousand prompt and at most {:.0} thousand completion tokens ({cost}){limits}; answered ones are not asked again",
        remote.model,
        remote.endpoints.join(", "),
        work.requests,
        work.prompt_tokens / 1e3,
        work.completion_tokens / 1e3,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Overrides, resolve};

    fn work(extra: &[&str], last: Stage) -> Work {
        let base = [
            "critic={kind=\"openai\", endpoints=[\"http://a/v1\"], model=\"m\"}",
            "critique.n_candidates=4",
            "critique.max_new_tokens=100",
        ];
        let set = base.iter().chain(extra).map(|text| (*text).to_owned()).collect();
        let settings = resolve(None, &Overrides { flags: vec![], set }).unwrap().settings;
        let remote = settings.critic.remote().unwrap();
        Work::of(&settings, remote, 10.0, 200.0, last)
    }

    #[test]
    fn requests_and_tokens_follow_from_the_settings() {
        let plain = work(&["critic.top_log_probs=0"], Stage::Critique);
        let expected =
            Work { requests: 20.0, prompt_tokens: 20.0 * 270.0, completion_tokens: 8000.0 };
        assert_eq!(plain, expected);
        assert_eq!(work(&[], Stage::Critique).requests, 20.0 + 240.0);
        let verdicts = work(&["critic.continues_answers=false"], Stage::Critique);
        assert_eq!(verdicts.requests, 20.0 + 80.0);
        assert_eq!(work(&[], Stage::Train).requests, 260.0 + 80.0);
        assert_eq!(work(&["refine={kind=\"none\"}"], Stage::Train).requests, 260.0);
        let pairwise = work(&["refine.judge=pairwise"], Stage::Refine);
        assert_eq!(pairwise.requests, 260.0 + 120.0);
        let asked = pairwise.prompt_tokens - work(&[], Stage::Critique).prompt_tokens;
        assert_eq!(asked, 120.0 * 470.0);
    }
}
