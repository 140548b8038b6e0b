//! Matrices that Phi-3's files hold in one: queries, keys and values, and the two sides of the gate.

use crate::config::{Architecture, DecoderConfig};
use crate::error::ModelError;
use crate::layout::weight_shapes;
use crate::weight::Weight;
use std::collections::BTreeMap;

/// A matrix of a layer's file, and those whose rows it holds one after the other.
type Group = (&'static str, &'static [&'static str]);

const PHI3: [Group; 2] = [
    (
        "self_attn.qkv_proj.weight",
        &["self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"],
    ),
    ("mlp.gate_up_proj.weight", &["mlp.gate_proj.weight", "mlp.up_proj.weight"]),
];

/// The fused matrix of every layer and the names of its parts.
fn groups(config: &DecoderConfig) -> impl Iterator<Item = (String, Vec<String>)> {
    let groups: &[Group] = if config.architecture == Architecture::Phi3 { &PHI3 } else { &[] };
    (0..config.n_layers).flat_map(move |layer| {
        let name = move |part: &&str| format!("model.layers.{layer}.{part}");
        groups.iter().map(move |(fused, parts)| (name(fused), parts.iter().map(name).collect()))
    })
}

/// Name and shape of every weight as the family's files hold them.
pub(crate) fn file_shapes(config: &DecoderConfig) -> BTreeMap<String, Vec<usize>> {
    let mut shapes = weight_shapes(config);
    for (fused, parts) in groups(config) {
        let n_rows =
            parts.iter().filter_map(|part| shapes.remove(part)).map(|shape| shape[0]).sum();
        shapes.insert(fused, vec![n_rows, config.d_model]);
    }
    shapes
}

/// The weights of [`weight_shapes`] from those of [`file_shapes`].
pub(crate) fn split(
    config: &DecoderConfig,
    mut weights: BTreeMap<String, Weight>,
) -> Result<BTreeMap<String, Weight>, ModelError> {
    let shapes = weight_shapes(config);
    for (fused, parts) in groups(config) {
        let Some(weight) = weights.remove(&fused) else { continue };
        let mut first = 0;
        for part in parts {
            let end = first + shapes[&part][0];
            let rows = weight.rows(first..end)?;
            weights.insert(part, rows);
            first = end;
        }
    }
    Ok(weights)
}

/// The weights of [`file_shapes`] from those of [`weight_shapes`]; what is not fused is shared.
pub(crate) fn fuse(
    config: &DecoderConfig,
    weights: &BTreeMap<String, Weight>,
) -> Result<BTreeMap<String, Weight>, ModelError> {
    let mut weights = weights.clone();
    for (fused, parts) in groups(config) {
        let parts: Vec<Weight> = parts.iter().filter_map(|part| weights.remove(part)).collect();
        let values: Vec<f32> = parts.into_iter().flat_map(Weight::into_values).collect();
        weights
            .insert(fused, Weight::new([values.len() / config.d_model, config.d_model], values)?);
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::tiny;
    use crate::sources::testing::{bits, random_weights};

    #[test]
    fn what_is_fused_is_split_again() {
        let config = tiny(Architecture::Phi3);
        let weights = random_weights(&config);
        let fused = fuse(&config, &weights).unwrap();
        let shapes = file_shapes(&config);
        assert!(
            fused
                .iter()
                .map(|(name, w)| (name, w.shape()))
                .eq(shapes.iter().map(|(n, s)| (n, s.as_slice())))
        );
        assert_eq!(shapes["model.layers.1.self_attn.qkv_proj.weight"], [12 + 4 + 4, 12]);
        assert_eq!(shapes["model.layers.0.mlp.gate_up_proj.weight"], [40, 12]);
        let split = split(&config, fused).unwrap();
        assert!(split.keys().eq(weights.keys()));
        assert!(split.iter().all(|(name, weight)| bits(weight) == bits(&weights[name])));
    }

    #[test]
    fn other_families_files_hold_the_weights_as_they_are() {
        let config = tiny(Architecture::Llama);
        assert_eq!(file_shapes(&config), weight_shapes(&config));
    }
}
