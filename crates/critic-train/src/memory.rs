use crate::{TrainConfig, TrainError, Trainer};
use critic_kernels::Precision;
use critic_model::backprop::{Activations, LoraConfig};
use critic_model::config::DecoderConfig;
use critic_model::{RewardHead, weight_shapes};

/// Steps whose forests are built to find the largest one.
const STEPS_LOOKED_AT: usize = 200;

/// Pairs whose longest draw is looked at, those with the most tokens.
const PAIRS_LOOKED_AT: usize = 64;

/// Logits that the LM head's loss holds at once.
const LOGITS_AT_ONCE: u64 = 1 << 24;

/// What a training on the CPU holds in memory, in bytes, without the model that it starts from but for what
/// it shares with it.
///
/// Reckoned from the shapes of what the passes keep, not measured: within about 15 % of the high-water mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainingMemory {
    /// The frozen decoder under adapters, in the form in which the model that it starts from holds it, and
    /// shared with it.
    pub base: u64,
    /// What is trained, in f32, and where products are in bf16 two copies of the matrices in it, one for
    /// each product.
    pub weights: u64,
    /// Of what is trained.
    pub gradients: u64,
    /// AdamW's, two for each number that is trained.
    pub moments: u64,
    /// What the largest pack keeps for its backward pass, and the room to work in.
    pub activations: u64,
    /// Of the LM head's loss.
    pub logits: u64,
}

impl TrainingMemory {
    /// Of packs of so many tokens at most, where the decoder that it starts from takes `decoder_bytes`, with
    /// `reward_head` or the one that the configuration draws.
    pub fn of(
        model: &DecoderConfig,
        decoder_bytes: u64,
        reward_head: Option<&RewardHead>,
        config: &TrainConfig,
        largest_pack: usize,
    ) -> Self {
        let f32s = |numbers: usize| 4 * numbers as u64;
        let n_head = reward_head
            .map_or_else(|| config.reward_head.n_numbers(model.d_model), RewardHead::n_numbers);
        let n_weights = model.n_parameters() + n_head;
        let n_trained = match &config.lora {
            None => n_weights,
            Some(lora) => n_head + n_adapter_weights(model, lora),
        };
        let packed = if config.precision == Precision::Bf16 { f32s(n_weights) } else { 0 };
        let (kept, at_work) = per_token(model, config.activations);
        let softcap = if model.variant.final_softcap.is_some() { 2 } else { 1 };
        let n_logits = LOGITS_AT_ONCE.min((largest_pack * model.vocab_size) as u64);
        Self {
            base: if config.lora.is_some() { decoder_bytes } else { 0 },
            weights: f32s(n_trained) + packed,
            gradients: f32s(n_trained),
            moments: 2 * f32s(n_trained),
            activations: largest_pack as u64 * (kept + at_work),
            logits: 4 * softcap * n_logits,
        }
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.base + self.of_its_own()
    }

    /// What the model that it starts from does not hold already.
    pub fn of_its_own(&self) -> u64 {
        let Self { base: _, weights, gradients, moments, activations, logits } = self;
        weights + gradients + moments + activations + logits
    }
}

impl Trainer<'_> {
    /// What the training will hold in memory, from the packs of its first steps and its longest pairs; the
    /// decoder that it starts from takes `decoder_bytes`.
    ///
    /// # Errors
    /// As those of a step.
    pub fn memory(
        &self,
        model: &DecoderConfig,
        decoder_bytes: u64,
        reward_head: Option<&RewardHead>,
    ) -> Result<TrainingMemory, TrainError> {
        let n_steps = self.n_steps().min(STEPS_LOOKED_AT);
        let mut largest = 0;
        for step in 0..n_steps {
            largest = largest.max(self.largest_pack(step)?);
        }
        let n_drawn = self.config().critiques_per_response;
        let mut pairs: Vec<_> = self.pairs().iter().collect();
        pairs.sort_by_cached_key(|pair| std::cmp::Reverse(pair.n_unshared_tokens(n_drawn)));
        for pair in pairs.into_iter().take(PAIRS_LOOKED_AT) {
            largest = largest.max(pair.n_tokens(n_drawn)?);
        }
        Ok(TrainingMemory::of(model, decoder_bytes, reward_head, self.config(), largest))
    }
}

/// Bytes that a token keeps in all layers, and those that it needs where a layer is worked on.
fn per_token(model: &DecoderConfig, activations: Activations) -> (u64, u64) {
    let (d, d_ff) = (model.d_model, model.d_ff);
    let (q, kv) = (model.n_heads * model.head_dim, model.n_kv_heads * model.head_dim);
    let plain = if model.variant.qk_norm { q + kv } else { 0 };
    let post = if model.variant.post_norms { 2 * d } else { 0 };
    let kept = 2 * d + 2 * q + 2 * kv + 2 * d_ff + plain + post;
    let layer = 4 * (kept + model.n_heads);
    let n_layers = model.n_layers;
    let (kept, at_work) = match activations {
        Activations::F32 => (n_layers * layer, 0),
        Activations::Bf16 => (n_layers * (2 * kept + 4 * model.n_heads), layer),
        Activations::Recompute => (n_layers * 4 * d, layer),
    };
    // Normed streams, gradients of a layer's parts, the streams, and the rows that are read.
    let scratch = 4 * (9 * d + 2 * q + 2 * kv + d_ff);
    (kept as u64, (at_work + scratch) as u64)
}

/// Numbers of A and B of every layer that has an adapter.
fn n_adapter_weights(model: &DecoderConfig, lora: &LoraConfig) -> usize {
    let names: Vec<String> =
        lora.target_modules.iter().map(|module| format!(".{}.weight", module.name())).collect();
    weight_shapes(model)
        .iter()
        .filter(|(name, _)| names.iter().any(|ending| name.ends_with(ending.as_str())))
        .map(|(_, shape)| lora.rank * (shape[0] + shape[1]))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::tests::config;
    use crate::{RewardHeadConfig, RewardHeadKind};
    use critic_model::backprop::TargetModule;
    use critic_model::config::{Architecture, RopeConfig, Variant};
    use critic_types::SeedTree;

    /// Of SmolLM2-135M in f32.
    const F32_BYTES: u64 = 4 * 134_515_008;

    /// SmolLM2-135M.
    fn smollm2() -> DecoderConfig {
        DecoderConfig {
            architecture: Architecture::Llama,
            vocab_size: 49_152,
            d_model: 576,
            d_ff: 1536,
            n_layers: 30,
            n_heads: 9,
            n_kv_heads: 3,
            head_dim: 64,
            rms_norm_eps: 1e-5,
            rope: RopeConfig { theta: 100_000.0, scaling: None },
            context_length: 8192,
            tied_embeddings: true,
            qkv_bias: false,
            variant: Variant::default(),
        }
    }

    #[test]
    fn the_parts_of_a_full_training_are_those_of_its_shapes() {
        let config = TrainConfig { activations: Activations::Bf16, ..config() };
        let found = TrainingMemory::of(&smollm2(), F32_BYTES, None, &config, 2048);
        let n = 134_515_008 + 576;
        assert_eq!((found.weights, found.gradients, found.moments), (4 * n, 4 * n, 8 * n));
        assert_eq!(found.logits, 4 << 24);
        let bf16 = TrainConfig { precision: Precision::Bf16, ..config.clone() };
        assert_eq!(TrainingMemory::of(&smollm2(), F32_BYTES, None, &bf16, 2048).weights, 8 * n);
        let of = |activations| {
            let config = TrainConfig { activations, ..config.clone() };
            TrainingMemory::of(&smollm2(), F32_BYTES, None, &config, 2048).activations
        };
        assert!(of(Activations::F32) > of(Activations::Bf16));
        assert!(of(Activations::Bf16) > of(Activations::Recompute));
    }

    #[test]
    fn a_head_of_two_layers_counts_whole() {
        let reward_head = RewardHeadConfig { kind: RewardHeadKind::Mlp, hidden: Some(100) };
        let config = TrainConfig { reward_head, ..config() };
        let found = TrainingMemory::of(&smollm2(), F32_BYTES, None, &config, 0);
        assert_eq!(found.gradients, 4 * (134_515_008 + 100 * 576 + 100 + 100));
        let head = reward_head.draw(576, &SeedTree::new(0));
        assert_eq!(TrainingMemory::of(&smollm2(), F32_BYTES, Some(&head), &config, 0), found);
    }

    #[test]
    fn adapters_save_weights_gradients_and_moments() {
        let target_modules = vec![TargetModule::QProj, TargetModule::VProj];
        let lora = LoraConfig { rank: 8, alpha: 16.0, dropout: 0.0, target_modules, rslora: false };
        let config = TrainConfig { lora: Some(lora), ..config() };
        let found = TrainingMemory::of(&smollm2(), 95_000_000, None, &config, 100);
        let n_adapters = 30 * 8 * ((576 + 576) + (192 + 576));
        assert_eq!(found.base, 95_000_000);
        assert_eq!(found.total(), found.base + found.of_its_own());
        assert_eq!(found.weights, found.gradients);
        assert_eq!(found.gradients, 4 * (n_adapters + 576));
        assert_eq!(found.moments, 2 * found.gradients);
    }
}
