mod remote;

use super::session::Session;
use super::{Stage, plan, train};
use crate::memory;
use crate::methods::Method;
use crate::progress::{duration, say, tell};
use anyhow::Result;
use critic_forest::{PairSequences, TrainingForest};
use critic_method::{MetaJudge, Refinement};
use critic_model::composed::TrainDevice;
use critic_model::{Decoder, ForestAttention};
use critic_text::Ending;
use critic_train::TrainingMemory;
use critic_types::Side;
use std::time::Instant;

/// Tokens of the request after a response and of the questions after a critique, roughly.
const REQUEST_TOKENS: f64 = 70.0;

/// Says what the run will do and about how long it will take, from one measured forward pass.
///
/// A generated token costs about one and a half forward tokens at full batches, a trained one about
/// three and a half. The warm-up, whose data is not read yet, is left out.
pub(crate) fn announce(session: &Session, last: Stage) -> Result<()> {
    let settings = &session.resolved.settings;
    let base = &session.base;
    say(format!(
        "model {} ({:.0} M parameters, {}) · {} pairs to train on, {} held out · {}",
        base.identity.name,
        base.config.n_parameters() as f64 / 1e6,
        base.identity.source,
        session.train.pairs.len(),
        session.eval.pairs.len(),
        session.folder.path().display(),
    ));
    let sample: Vec<usize> = session
        .train
        .pairs
        .iter()
        .take(16)
        .filter_map(|pair| {
            base.renderer.render(&pair.conversation(Side::Chosen), Ending::Closed).ok()
        })
        .map(|rendered| rendered.tokens.len())
        .collect();
    let response_tokens = sample.iter().sum::<usize>() as f64 / sample.len().max(1) as f64;
    let rate = forward_tokens_per_second(session)?;
    let (n_train, n_eval) = (session.train.pairs.len() as f64, session.eval.pairs.len() as f64);
    let per_critique = |tokens: usize| 1.5 * tokens as f64 + REQUEST_TOKENS;
    let (n, longest) =
        (settings.critique.n_candidates as f64, settings.critique.max_new_tokens as f64);
    // The verdict without critique reads every response once more.
    let critique = 2.0
        * n_train
        * (2.0 * response_tokens + n * per_critique(settings.critique.max_new_tokens));
    let refine = match settings.refine {
        Refinement::None => 0.0,
        // About half the critiques survive the filter.
        Refinement::Rank { judge: MetaJudge::Pointwise, .. } => {
            n_train * (response_tokens + n * (longest + REQUEST_TOKENS))
        }
        // Questions about the same first critique share it.
        Refinement::Rank { judge: MetaJudge::Pairwise, .. } => {
            let second = n_comparisons(n) * (longest + REQUEST_TOKENS);
            n_train * (response_tokens + n * longest + second)
        }
        Refinement::Summarize { drafts } => {
            n_train
                * (2.0 * response_tokens
                    + 3.0 * longest
                    + drafts as f64 * per_critique(settings.critique.max_new_tokens))
        }
    };
    let methods = Method::resolve_all(&settings.methods, &settings.train)?;
    if let (true, Some(head)) = (last >= Stage::Train, &base.reward_head) {
        methods.iter().try_for_each(|method| train::check_head(&method.train, base))?;
        say(format!("{} has a reward head ({head}); training goes on from it", base.identity.name));
    }
    if last >= Stage::Train && settings.train.device == TrainDevice::Cpu {
        let is_open = |method: &&Method| !session.folder.may_have_trained(&method.name);
        for method in methods.iter().filter(is_open) {
            // What no pack is too small for; the rest is known when the packs are.
            let (bytes, head) = (base.decoder_bytes(), base.reward_head.as_ref());
            let least = TrainingMemory::of(&base.config, bytes, head, &method.train, 0);
            memory::refuse_too_large(&method.name, &least, memory::available(), &settings.train)?;
        }
    }
    let n_writers = methods.iter().filter(|method| method.reads_critiques()).count();
    let n_rounds = if n_writers == 0 { 0.0 } else { settings.rounds.n as f64 };
    let remote = settings.critic.remote().filter(|_| n_writers > 0 && last >= Stage::Critique);
    if let Some(remote) = remote {
        say(remote::line(settings, remote, n_train, response_tokens, last));
        if !remote.api_key_env.is_empty() && std::env::var_os(&remote.api_key_env).is_none() {
            say(format!(
                "note: {} is not set; the critic cannot be asked without the key in it",
                remote.api_key_env
            ));
        }
    }
    if let Refinement::Rank { judge: MetaJudge::Pairwise, .. } = settings.refine
        && last >= Stage::Refine
        && (n_writers > 0 || last < Stage::Train)
    {
        say(format!(
            "the meta-judge compares every two critiques of a response in both orders: {:.0} short questions where all {n:.0} pass the filter, about {:.0} a round",
            n_comparisons(n),
            n_train * n_comparisons(n),
        ));
    }
    let n_local_rounds = if remote.is_some() { n_rounds - 1.0 } else { n_rounds };
    let (mut trained, mut score) = (0.0, 0.0);
    let mut rounds = n_rounds;
    for method in &methods {
        let (mut tokens, mut written, mut times) = (response_tokens, 0.0, 1.0);
        if method.reads_critiques() {
            tokens += 0.5 * (REQUEST_TOKENS + settings.critique.max_new_tokens as f64);
            written = settings.score.n_critiques as f64;
            // The first of them is trained, and scored, in every round.
            times = std::mem::replace(&mut rounds, 1.0);
        }
        trained += times * 2.0 * n_train * method.train.epochs as f64 * 3.5 * tokens;
        score += times
            * 2.0
            * n_eval
            * (2.0 * response_tokens + written * per_critique(settings.score.max_new_tokens));
    }
    let work = [
        (Stage::Critique, n_local_rounds * critique),
        (Stage::Refine, n_local_rounds * refine),
        (Stage::Train, trained),
        (Stage::Score, score),
    ];
    let parts: Vec<(Stage, f64)> = work
        .into_iter()
        .filter(|(stage, tokens)| *stage <= last && (remote.is_none() || *tokens > 0.0))
        .map(|(stage, tokens)| (stage, tokens / rate))
        .collect();
    tell(|| plan::news(session, &methods, last, &parts));
    let total: f64 = parts.iter().map(|(_, seconds)| seconds).sum();
    let named: Vec<String> = parts
        .iter()
        .map(|(stage, seconds)| {
            format!("{} {}", format!("{stage:?}").to_lowercase(), duration(*seconds))
        })
        .collect();
    let beside = if remote.is_some() { ", beside the remote critic's time" } else { "" };
    say(match named.is_empty() {
        true => "all of it is the remote critic's work; Ctrl-C stops it, the same command goes on"
            .to_owned(),
        false => format!(
            "about {} from the start on this machine ({}){beside}; Ctrl-C stops it, the same command goes on",
            duration(total),
            named.join(", ")
        ),
    });
    Ok(())
}

/// Questions about every two of `n` critiques in both orders.
fn n_comparisons(n: f64) -> f64 {
    n * (n - 1.0)
}

/// Tokens of a forward pass of the base model per second, measured.
fn forward_tokens_per_second(session: &Session) -> Result<f64> {
    let base = &session.base;
    let decoder =
        Decoder::new(&base.config, &base.weights, session.resolved.settings.engine.weights)?;
    let tokens: Vec<u32> = (0..192).map(|i| i % base.config.vocab_size.min(1000) as u32).collect();
    let pair = PairSequences {
        responses: [tokens.clone(), tokens[..1].to_vec()],
        read_without_critique: true,
        ..PairSequences::default()
    };
    let forest = TrainingForest::build(&[pair])?;
    let mut best = 0.0f64;
    for _ in 0..2 {
        let started = Instant::now();
        decoder.hidden(&forest.tokens, &forest.positions, &mut ForestAttention::new(&forest))?;
        best = best.max(forest.n_tokens() as f64 / started.elapsed().as_secs_f64());
    }
    Ok(best)
}
