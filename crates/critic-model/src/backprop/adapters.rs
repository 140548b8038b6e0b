use super::lora::{LoraConfig, TargetModule};
use super::parameters::{AdapterIds, LayerIds, ParameterId, Parameters, ProjectionIds};
use crate::weight::Weight;
use critic_types::SeedTree;
use rayon::prelude::*;

impl Parameters {
    /// Gives the linear layers that `lora` names an adapter, and freezes all else but the reward head.
    ///
    /// A is uniform in ±1/√n_in (PEFT's Kaiming-uniform with a = √5) by `seed`, B is zero. The products of
    /// adapters are f32 in either precision.
    #[must_use]
    pub fn with_adapters(mut self, lora: &LoraConfig, seed: &SeedTree) -> Self {
        for id in self.ids() {
            self.set_trained(id, self.reward_head().contains(id));
        }
        let mut number = 0;
        let mut layers = std::mem::take(&mut self.layers);
        for (layer, name, projection) in layers.iter_mut().enumerate().flat_map(projections) {
            if !lora.target_modules.contains(&name) {
                continue;
            }
            let &[n_out, n_in] = self.shape(projection.weight) else { continue };
            let stem = self.name(projection.weight).trim_end_matches("weight").to_owned();
            let draws = seed.index(layer as u64).child(&stem);
            let reach = 1.0 / (n_in as f64).sqrt();
            let draw = |place| (reach * (2.0 * draws.index(place).uniform() - 1.0)) as f32;
            let values: Vec<f32> =
                (0..(lora.rank * n_in) as u64).into_par_iter().map(draw).collect();
            let mut add = |name: &str, shape: [usize; 2], values| {
                let weight = Weight::new(shape, values).expect("a number for each place");
                self.push(format!("{stem}{name}.weight"), weight)
            };
            let a = add("lora_A", [lora.rank, n_in], values);
            let b = add("lora_B", [n_out, lora.rank], vec![0.0; n_out * lora.rank]);
            projection.adapter = Some(AdapterIds { a, b, number });
            number += 1;
        }
        self.layers = layers;
        self.adapters = Some(lora.clone());
        self
    }

    /// How the adapters were made; absent where there are none.
    pub fn lora(&self) -> Option<&LoraConfig> {
        self.adapters.as_ref()
    }

    /// Those of the adapters, A before its B.
    pub fn adapter_ids(&self) -> Vec<ParameterId> {
        let of_layers = self.layers.iter().flat_map(|layer| {
            let LayerIds { q, k, v, o, gate, up, down, .. } = layer;
            [q, k, v, o, gate, up, down].map(|projection| projection.adapter)
        });
        of_layers.flatten().flat_map(|adapter| [adapter.a, adapter.b]).collect()
    }

    /// Whether a parameter's gradient is zero as long as another one, an adapter's B, is.
    pub fn waits_for_another(&self, id: ParameterId) -> bool {
        self.adapter_ids()
            .chunks_exact(2)
            .any(|pair| pair[0] == id && self.values(pair[1]).iter().all(|&b| b == 0.0))
    }

    pub(super) fn adapter_scale(&self) -> f32 {
        self.adapters.as_ref().map_or(0.0, |lora| lora.scale() as f32)
    }

    pub(super) fn adapter_dropout(&self) -> f64 {
        self.adapters.as_ref().map_or(0.0, |lora| lora.dropout)
    }

    /// W += scale · B·A everywhere; returns how many parameters are the model's own.
    pub(super) fn merge_adapters(&mut self) -> usize {
        let (scale, mut n_of_model) = (self.adapter_scale(), self.ids().count());
        let mut layers = std::mem::take(&mut self.layers);
        for (_, _, projection) in layers.iter_mut().enumerate().flat_map(projections) {
            let Some(AdapterIds { a, b, .. }) = projection.adapter else { continue };
            let scaled: Vec<f32> = self.values(b).iter().map(|b| b * scale).collect();
            self.merge(projection.weight, self.values(a).into_owned(), scaled);
            n_of_model -= 2;
        }
        self.layers = layers;
        n_of_model
    }
}

fn projections(
    (at, layer): (usize, &mut LayerIds),
) -> [(usize, TargetModule, &mut ProjectionIds); 7] {
    let LayerIds { q, k, v, o, gate, up, down, .. } = layer;
    [
        (at, TargetModule::QProj, q),
        (at, TargetModule::KProj, k),
        (at, TargetModule::VProj, v),
        (at, TargetModule::OProj, o),
        (at, TargetModule::GateProj, gate),
        (at, TargetModule::UpProj, up),
        (at, TargetModule::DownProj, down),
    ]
}
