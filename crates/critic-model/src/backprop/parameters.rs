use super::lora::LoraConfig;
use super::reward_head::RewardHeadIds;
use crate::config::DecoderConfig;
use crate::decoder::offset_by_one;
use crate::error::ModelError;
use crate::layout::{NormNames, weight_shapes};
use crate::reward_head::{HeadFrame, RewardHead};
use crate::rope_tables::RopeTables;
use crate::weight::Weight;
use critic_kernels::bf16::PackedWeight;
use critic_kernels::{Precision, linear};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The place of a parameter among [`Parameters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ParameterId(usize);

impl ParameterId {
    pub(super) fn index(self) -> usize {
        self.0
    }
}

/// The parameters of a decoder and of its reward head, each in memory of its own, by number.
#[derive(Debug)]
pub struct Parameters {
    config: DecoderConfig,
    names: Vec<String>,
    /// As they were given, shared with whoever else holds them, until an update changes them.
    weights: Vec<Weight>,
    /// In bf16 the matrices of linear layers as their products read them.
    packed: Vec<Option<PackedWeight>>,
    pub(super) rope: RopeTables,
    pub(super) embedding: ParameterId,
    pub(super) layers: Vec<LayerIds>,
    pub(super) norm: ParameterId,
    lm_head: ParameterId,
    reward_head: RewardHeadIds,
    head_frame: HeadFrame,
    /// Whether updates reach a parameter.
    trained: Vec<bool>,
    pub(super) adapters: Option<LoraConfig>,
}

/// The parameters of a layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct LayerIds {
    pub(super) input_norm: ParameterId,
    pub(super) q: ProjectionIds,
    pub(super) k: ProjectionIds,
    pub(super) v: ProjectionIds,
    /// Of queries and keys.
    pub(super) head_norms: Option<[ParameterId; 2]>,
    pub(super) o: ProjectionIds,
    pub(super) attention_post_norm: Option<ParameterId>,
    pub(super) feed_forward_norm: ParameterId,
    pub(super) gate: ProjectionIds,
    pub(super) up: ProjectionIds,
    pub(super) down: ProjectionIds,
    pub(super) feed_forward_post_norm: Option<ParameterId>,
}

/// The parameters of a linear layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProjectionIds {
    pub(super) weight: ParameterId,
    pub(super) bias: Option<ParameterId>,
    pub(super) adapter: Option<AdapterIds>,
}

/// The parameters of a linear layer's adapter.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdapterIds {
    /// `[rank, n_in]`
    pub(super) a: ParameterId,
    /// `[n_out, rank]`
    pub(super) b: ParameterId,
    /// Its number among the adapters of the model.
    pub(super) number: u64,
}

impl Parameters {
    /// The parameters of a model, which share the numbers of `weights`: a parameter gets its own, in f32,
    /// when it is first updated. Until then a matrix in blocks is multiplied out where a product needs it,
    /// with the bits that its numbers in f32 would give.
    ///
    /// `precision` is that of the products of linear layers; the numbers that are trained are f32 in either.
    ///
    /// # Shapes
    /// `weights`: those of [`weight_shapes`]
    ///
    /// # Errors
    /// [`ModelError`] naming a weight that is missing, not known, or of another shape.
    pub fn new(
        config: &DecoderConfig,
        mut weights: BTreeMap<String, Weight>,
        reward_head: RewardHead,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        let head_frame = reward_head.frame_over(config.d_model)?;
        let mut shapes = weight_shapes(config);
        for (name, weight) in reward_head.into_trained() {
            shapes.insert(name.to_owned(), weight.shape().to_vec());
            weights.insert(name.to_owned(), weight);
        }
        let mut parameters = Parts::default();
        for (name, shape) in shapes {
            let weight = weights.remove(&name);
            let weight = weight.ok_or_else(|| ModelError::MissingWeight {
                name: name.clone(),
                expected: shape.clone(),
            })?;
            if weight.shape() != shape {
                let found = weight.shape().to_vec();
                return Err(ModelError::WeightShape { name, found, expected: shape });
            }
            parameters.ids.insert(name.clone(), ParameterId(parameters.names.len()));
            parameters.names.push(name);
            parameters.weights.push(match weight.blocks() {
                Some(_) => weight,
                None => weight.to_f32(),
            });
        }
        if let Some(name) = weights.into_keys().next() {
            return Err(ModelError::UnknownWeight { name });
        }
        let Parts { ids, names, weights } = parameters;
        let id = |name: &str| ids[name];
        let norms = NormNames::new(config);
        let layers = (0..config.n_layers)
            .map(|layer| {
                let at = |name: &str| id(&format!("model.layers.{layer}.{name}"));
                let projection = |name: &str| ProjectionIds {
                    weight: at(&format!("{name}.weight")),
                    bias: ids.get(&format!("model.layers.{layer}.{name}.bias")).copied(),
                    adapter: None,
                };
                LayerIds {
                    input_norm: at(NormNames::INPUT),
                    q: projection("self_attn.q_proj"),
                    k: projection("self_attn.k_proj"),
                    v: projection("self_attn.v_proj"),
                    head_norms: norms.heads.map(|names| names.map(at)),
                    o: projection("self_attn.o_proj"),
                    attention_post_norm: norms.post.map(|[attention, _]| at(attention)),
                    feed_forward_norm: at(norms.feed_forward),
                    gate: projection("mlp.gate_proj"),
                    up: projection("mlp.up_proj"),
                    down: projection("mlp.down_proj"),
                    feed_forward_post_norm: norms.post.map(|[_, feed_forward]| at(feed_forward)),
                }
            })
            .collect();
        let embedding = id("model.embed_tokens.weight");
        let packed = names.iter().map(|_| None).collect();
        let trained = vec![true; names.len()];
        let mut parameters = Self {
            rope: RopeTables::new(config)?,
            embedding,
            layers,
            norm: id("model.norm.weight"),
            lm_head: ids.get("lm_head.weight").copied().unwrap_or(embedding),
            reward_head: RewardHeadIds {
                hidden: head_frame
                    .layout()
                    .hidden
                    .as_ref()
                    .map(|names| [names.weight, names.bias].map(id)),
                out: id(head_frame.layout().out),
            },
            head_frame,
            config: config.clone(),
            names,
            weights,
            packed,
            trained,
            adapters: None,
        };
        if precision == Precision::Bf16 {
            parameters.make_room_for_packed();
            parameters.pack()?;
        }
        Ok(parameters)
    }

    fn make_room_for_packed(&mut self) {
        let of_layers = self.layers.iter().flat_map(|layer| {
            let LayerIds { q, k, v, o, gate, up, down, .. } = layer;
            [q, k, v, o, gate, up, down].map(|projection| projection.weight)
        });
        for id in of_layers.chain([self.lm_head]) {
            let shape = self.shape(id);
            self.packed[id.0] = Some(PackedWeight::new(shape[0], shape[1]));
        }
    }

    /// Adds a parameter that is trained.
    pub(super) fn push(&mut self, name: String, weight: Weight) -> ParameterId {
        let id = ParameterId(self.names.len());
        self.names.push(name);
        self.weights.push(weight);
        self.packed.push(None);
        self.trained.push(true);
        id
    }

    /// The parameter's numbers and those of an adapter, `w + b·a`, in its place.
    pub(super) fn merge(&mut self, id: ParameterId, a: Vec<f32>, b: Vec<f32>) {
        let weight = self.weights[id.0].clone();
        self.weights[id.0] = weight.merged(a, b);
    }

    pub(super) fn set_trained(&mut self, id: ParameterId, is_trained: bool) {
        self.trained[id.0] = is_trained;
    }

    /// Packs the matrices that are trained again from their numbers; to be called after each update.
    ///
    /// # Errors
    /// None but those of a fault in this crate: every matrix keeps its shape.
    pub fn pack(&mut self) -> Result<(), ModelError> {
        for id in self.trained_ids() {
            if let Some(packed) = &mut self.packed[id.0] {
                packed.pack(&self.weights[id.0].values())?;
            }
        }
        Ok(())
    }

    /// The decoder's shape.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// All of them: the model's in the order of their names, then the adapters'.
    pub fn ids(&self) -> impl Iterator<Item = ParameterId> + use<> {
        (0..self.names.len()).map(ParameterId)
    }

    /// Those that updates reach.
    pub fn trained_ids(&self) -> impl Iterator<Item = ParameterId> + use<> {
        let trained = self.trained.clone();
        trained
            .into_iter()
            .enumerate()
            .filter(|&(_, is_trained)| is_trained)
            .map(|(i, _)| ParameterId(i))
    }

    /// Whether updates reach a parameter; the others stay what they are.
    pub fn is_trained(&self, id: ParameterId) -> bool {
        self.trained[id.0]
    }

    /// The LM head, `[vocab_size, d_model]`; the embedding itself when they are tied.
    pub fn lm_head(&self) -> ParameterId {
        self.lm_head
    }

    /// The reward head's.
    pub fn reward_head(&self) -> RewardHeadIds {
        self.reward_head
    }

    pub(super) fn head_frame(&self) -> HeadFrame {
        self.head_frame
    }

    /// A copy of the reward head.
    ///
    /// # Errors
    /// None but those of a fault in this crate: every tensor keeps its shape.
    pub fn head(&self) -> Result<RewardHead, ModelError> {
        let tensor = |name: &str| {
            let id = self.names.iter().position(|found| found == name)?;
            Some(self.weights[id].clone())
        };
        self.head_frame.filled(tensor)
    }

    /// A parameter's name in Hugging Face's spelling, of the reward head in that of its files.
    pub fn name(&self, id: ParameterId) -> &str {
        &self.names[id.0]
    }

    /// A parameter's shape.
    pub fn shape(&self, id: ParameterId) -> &[usize] {
        self.weights[id.0].shape()
    }

    /// A parameter's numbers, row by row; a copy where they are not held in f32.
    pub fn values(&self, id: ParameterId) -> Cow<'_, [f32]> {
        self.weights[id.0].values()
    }

    /// A parameter's numbers as they are held.
    pub(crate) fn weight(&self, id: ParameterId) -> &Weight {
        &self.weights[id.0]
    }

    /// What a norm multiplies by.
    pub(super) fn norm(&self, id: ParameterId) -> Cow<'_, [f32]> {
        match self.config.variant.unit_offset_norms {
            true => offset_by_one(&self.values(id)).into(),
            false => self.values(id),
        }
    }

    /// A parameter's numbers, to be updated: from then on its own, in f32.
    pub fn values_mut(&mut self, id: ParameterId) -> &mut [f32] {
        self.weights[id.0].values_mut()
    }

    /// A matrix as the products of a linear layer read it.
    pub fn matrix(&self, id: ParameterId) -> linear::Weight<'_> {
        match &self.packed[id.0] {
            Some(packed) => linear::Weight::Bf16(packed),
            None => self.weights[id.0].matrix(),
        }
    }

    /// The decoder's weights, adapters merged into them, and the reward head.
    ///
    /// A merged matrix is added up where somebody asks for its numbers, so that the sum of all of them need
    /// not be held at once.
    pub fn into_weights(mut self) -> (BTreeMap<String, Weight>, RewardHead) {
        let n_of_model = self.merge_adapters();
        let mut weights: BTreeMap<String, Weight> =
            self.names.into_iter().zip(self.weights).take(n_of_model).collect();
        let head = self.head_frame.filled(|name| weights.remove(name));
        let head = head.expect("the reward head's tensors are parameters");
        (weights, head)
    }
}

/// Parameters on their way into [`Parameters`].
#[derive(Default)]
struct Parts {
    ids: BTreeMap<String, ParameterId>,
    names: Vec<String>,
    weights: Vec<Weight>,
}
