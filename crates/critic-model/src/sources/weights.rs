use super::fused;
use crate::config::DecoderConfig;
use crate::error::{ModelError, WeightMismatch};
use crate::reward_head::{RewardHead, is_reward_head};
use crate::weight::Weight;
use std::collections::BTreeMap;
use std::path::Path;

/// The weights of a model, and its reward head.
pub(crate) type Weights = (BTreeMap<String, Weight>, Option<RewardHead>);

/// Sets the reward head apart, checks that the others are those of the architecture's files: all of them,
/// in their shapes, and nothing else; and takes fused matrices apart.
pub(crate) fn check(
    path: &Path,
    config: &DecoderConfig,
    mut weights: BTreeMap<String, Weight>,
) -> Result<Weights, ModelError> {
    let reward_head =
        RewardHead::take(&mut weights, config.d_model).map_err(|error| error.in_file(path))?;
    if let Some(prefix) = reward_head.as_ref().and_then(|head| head.layout().decoder_prefix) {
        let plain = |name: String| name.strip_prefix(prefix).map_or(name.clone(), str::to_owned);
        weights = weights.into_iter().map(|(name, weight)| (plain(name), weight)).collect();
    }
    weights.retain(|name, _| !is_redundant(name, config));
    check_shapes(
        path,
        config,
        weights.iter().map(|(name, weight)| (name.as_str(), weight.shape())),
    )?;
    Ok((fused::split(config, weights)?, reward_head))
}

/// Checks names and shapes of a file alone; a reward head is passed over.
pub(crate) fn check_shapes<'a>(
    path: &Path,
    config: &DecoderConfig,
    found: impl IntoIterator<Item = (&'a str, &'a [usize])>,
) -> Result<(), ModelError> {
    let mut found: BTreeMap<&str, &[usize]> = found
        .into_iter()
        .filter(|(name, _)| !is_reward_head(name) && !is_redundant(name, config))
        .collect();
    let mut mismatch = WeightMismatch::default();
    for (name, expected) in fused::file_shapes(config) {
        match found.remove(name.as_str()) {
            None => mismatch.missing.push((name, expected)),
            Some(dims) if dims != expected => {
                mismatch.misshaped.push((name, dims.to_vec(), expected));
            }
            Some(_) => {}
        }
    }
    mismatch.unknown.extend(found.into_keys().map(str::to_owned));
    match mismatch.is_empty() {
        true => Ok(()),
        false => {
            Err(ModelError::WeightsMismatch { path: path.to_owned(), mismatch: Box::new(mismatch) })
        }
    }
}

/// Tensors that some files hold beside the weights and that follow from the configuration: a copy of tied
/// embeddings, and the frequencies of the rotary embedding.
fn is_redundant(name: &str, config: &DecoderConfig) -> bool {
    (name == "lm_head.weight" && config.tied_embeddings) || name.ends_with("rotary_emb.inv_freq")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Architecture;
    use crate::config::tests::tiny;
    use crate::layout::weight_shapes;
    use crate::sources::testing::random_weights;

    fn zeros(shape: &[usize]) -> Weight {
        Weight::new(shape, vec![0.0; shape.iter().product()]).unwrap()
    }

    fn refusal(change: impl FnOnce(&mut BTreeMap<String, Weight>)) -> String {
        let config = tiny(Architecture::Llama);
        let mut weights = random_weights(&config);
        change(&mut weights);
        check(Path::new("model"), &config, weights).unwrap_err().to_string()
    }

    #[test]
    fn every_difference_is_named_at_once() {
        let message = refusal(|weights| {
            weights.remove("model.norm.weight");
            weights.insert("model.layers.0.mlp.up_proj.weight".to_owned(), zeros(&[20, 13]));
            weights.insert("model.layers.0.self_attn.q_proj.bias".to_owned(), zeros(&[12]));
        });
        for part in [
            "missing: model.norm.weight [12]",
            "model.layers.0.mlp.up_proj.weight [20, 13], expected [20, 12]",
            "unknown: model.layers.0.self_attn.q_proj.bias",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_long_list_is_cut_short() {
        let message = refusal(|weights| weights.retain(|name, _| name.contains("layers.0")));
        assert!(message.contains("and 7 more"), "{message}");
    }

    #[test]
    fn a_reward_head_of_another_shape_is_refused() {
        let message = refusal(|weights| {
            weights.insert("score.weight".to_owned(), zeros(&[2, 12]));
        });
        assert!(message.contains("[2, 12]") && message.contains("[1, 12]"), "{message}");
    }

    #[test]
    fn copies_that_follow_from_the_configuration_are_left_out() {
        let config = tiny(Architecture::Llama);
        let mut weights = random_weights(&config);
        weights.insert("lm_head.weight".to_owned(), zeros(&[11, 12]));
        weights.insert("model.layers.0.self_attn.rotary_emb.inv_freq".to_owned(), zeros(&[2]));
        let (weights, head) = check(Path::new("model"), &config, weights).unwrap();
        assert!(weights.keys().eq(weight_shapes(&config).keys()) && head.is_none());
    }
}
