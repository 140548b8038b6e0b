use crate::progress::say;
use critic_local::{EngineLimits, EngineStats, LocalEngine};
use critic_model::WeightFormat;

/// Says on stderr what an engine runs on and what it has computed so far.
pub(crate) fn explain(engine: &LocalEngine, weights: WeightFormat) {
    let kinds: Vec<String> =
        engine.decoder().kinds().into_iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    let isa = format!("{:?}", critic_kernels::isa::active()).to_lowercase();
    let EngineLimits { max_leaves, prefill_tokens, kv_tokens } = engine.limits();
    let EngineStats {
        n_steps,
        prompt_tokens_computed,
        prompt_tokens_reused,
        answer_tokens_computed,
        end_tokens_computed,
        n_restarted,
        peak_kv_tokens,
        kept_kv_tokens,
        kv_bytes,
    } = engine.stats();
    let megabytes = kv_bytes as f64 / 1e6;
    for (label, line) in [
        ("weights", format!("{}: matrices {}", weights.name(), kinds.join(", "))),
        ("machine", format!("{isa}, {} threads", rayon::current_num_threads())),
        (
            "limits",
            format!(
                "{max_leaves} answers, {prefill_tokens} prompt tokens a step, {kv_tokens} tokens kept"
            ),
        ),
        ("steps", format!("{n_steps}, {n_restarted} answers begun anew for want of memory")),
        (
            "prompts",
            format!(
                "{prompt_tokens_computed} tokens computed, {prompt_tokens_reused} shared with others"
            ),
        ),
        (
            "answers",
            format!(
                "{answer_tokens_computed} tokens computed, {end_tokens_computed} after their ends"
            ),
        ),
        (
            "memory",
            format!(
                "keys and values of {peak_kv_tokens} tokens at most, {megabytes:.0} MB; {kept_kv_tokens} kept for requests to come"
            ),
        ),
    ] {
        say(format!("{label:<9} {line}"));
    }
}
