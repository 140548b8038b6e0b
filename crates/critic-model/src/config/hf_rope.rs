use super::hf_fields::{Fields, unsupported};
use super::{Architecture, Llama3Scaling, LongRopeScaling, RopeConfig, RopeScaling, YarnScaling};
use crate::error::ModelError;
use serde_json::{Map, Value, json};

/// What `config.json` says about the rotary embedding.
pub(super) struct Ropes {
    pub(super) rope: RopeConfig,
    /// Of layers with a window, where they have one of their own.
    pub(super) local: Option<RopeConfig>,
    /// Numbers of a head that rotate, where not all do.
    pub(super) rotary_dim: Option<usize>,
}

impl Ropes {
    /// Reads them; transformers 5 writes all of it into `rope_parameters`, before it theta and scaling
    /// stood in fields of their own.
    pub(super) fn read(
        fields: &Fields<'_>,
        architecture: Architecture,
        head_dim: usize,
    ) -> Result<Self, ModelError> {
        let empty = Map::new();
        let parameters =
            fields.map("rope_parameters")?.or(fields.map("rope_scaling")?).unwrap_or(&empty);
        let nested = |kind: &str| Fields(parameters).map(kind);
        if architecture == Architecture::Gemma3 {
            let (global, local) = (nested("full_attention")?, nested("sliding_attention")?);
            let flat = if global.is_none() && local.is_none() { Some(parameters) } else { None };
            let global = Fields(global.or(flat).unwrap_or(&empty));
            let local = Fields(local.unwrap_or(&empty));
            let theta = fields.number("rope_theta")?.unwrap_or(1e6);
            let local_theta = fields.number("rope_local_base_freq")?.unwrap_or(1e4);
            let local = rope(fields, &local, architecture, local_theta)?;
            if let Some(scaling) = &local.scaling {
                return Err(unsupported(
                    "rope_parameters",
                    scaling.to_json(),
                    "only layers with full attention have a scaling in this architecture",
                ));
            }
            let rope = rope(fields, &global, architecture, theta)?;
            return Ok(Self { rope, local: Some(local), rotary_dim: None });
        }
        if let Some(kind) = ["full_attention", "sliding_attention"]
            .into_iter()
            .find(|kind| parameters.contains_key(*kind))
        {
            return Err(unsupported(
                "rope_parameters",
                kind,
                "only gemma3_text has a rotary embedding by kind of layer",
            ));
        }
        let parameters = Fields(parameters);
        let theta = fields.number("rope_theta")?.unwrap_or(1e4);
        let part = match parameters.number("partial_rotary_factor")? {
            Some(part) => Some(part),
            None => fields.number("partial_rotary_factor")?,
        };
        let rotary_dim = match part.filter(|&part| part != 1.0) {
            None => None,
            Some(part) if architecture == Architecture::Phi3 && part > 0.0 && part < 1.0 => {
                Some((head_dim as f64 * part) as usize)
            }
            Some(part) => {
                return Err(unsupported(
                    "partial_rotary_factor",
                    part,
                    "only phi3 rotates a part of a head, less than all of it",
                ));
            }
        };
        Ok(Self { rope: rope(fields, &parameters, architecture, theta)?, local: None, rotary_dim })
    }
}

fn rope(
    fields: &Fields<'_>,
    parameters: &Fields<'_>,
    architecture: Architecture,
    theta: f64,
) -> Result<RopeConfig, ModelError> {
    let theta = parameters.number("rope_theta")?.unwrap_or(theta);
    let kind = parameters.get("rope_type").or_else(|| parameters.get("type"));
    let kind = kind.map(|kind| kind.as_str().unwrap_or_default());
    let scaling = match kind {
        None if parameters.get("factor").is_some() => {
            return Err(unsupported(
                "rope_scaling",
                Value::Object(parameters.0.clone()),
                "it must name its rope_type",
            ));
        }
        None | Some("default") => None,
        Some("linear") => {
            Some(RopeScaling::Linear { factor: parameters.required_number("factor")? })
        }
        Some("llama3") => Some(RopeScaling::Llama3(Llama3Scaling {
            factor: parameters.required_number("factor")?,
            low_freq_factor: parameters.required_number("low_freq_factor")?,
            high_freq_factor: parameters.required_number("high_freq_factor")?,
            original_context: original_context(fields, parameters, architecture)?,
        })),
        // Early files of Phi-3 call it "su", or "yarn".
        Some("longrope" | "su") => Some(long_rope(fields, parameters, architecture)?),
        Some("yarn") if architecture == Architecture::Phi3 => {
            Some(long_rope(fields, parameters, architecture)?)
        }
        Some("yarn") => Some(yarn(fields, parameters, architecture)?),
        Some("dynamic") => {
            return Err(unsupported(
                "rope_scaling",
                "dynamic",
                "its frequencies change with the length of a sequence, so a token's numbers would \
                 depend on what follows it; set rope_scaling to null to keep to the original context, \
                 or to yarn",
            ));
        }
        Some(other) => {
            return Err(unsupported(
                "rope_scaling",
                other,
                "supported are \"default\", \"linear\", \"llama3\", \"yarn\" and \"longrope\"",
            ));
        }
    };
    Ok(RopeConfig { theta, scaling })
}

/// Tokens of context before the stretching; Phi-3 writes them beside the parameters.
fn original_context(
    fields: &Fields<'_>,
    parameters: &Fields<'_>,
    architecture: Architecture,
) -> Result<usize, ModelError> {
    const FIELD: &str = "original_max_position_embeddings";
    if let Some(size) = fields.optional_size(FIELD)? {
        return Ok(size);
    }
    if architecture == Architecture::Phi3 {
        return Ok(4096);
    }
    match parameters.optional_size(FIELD)? {
        Some(size) => Ok(size),
        None => fields.size("max_position_embeddings"),
    }
}

/// The factor, or the growth of the context where none is given.
fn factor(
    fields: &Fields<'_>,
    parameters: &Fields<'_>,
    original_context: usize,
) -> Result<f64, ModelError> {
    match parameters.number("factor")? {
        Some(factor) => Ok(factor),
        None => Ok(fields.size("max_position_embeddings")? as f64 / original_context.max(1) as f64),
    }
}

fn yarn(
    fields: &Fields<'_>,
    parameters: &Fields<'_>,
    architecture: Architecture,
) -> Result<RopeScaling, ModelError> {
    let original_context = original_context(fields, parameters, architecture)?;
    let factor = factor(fields, parameters, original_context)?;
    let mscales = parameters.number("mscale")?.zip(parameters.number("mscale_all_dim")?);
    let given = parameters.number("attention_factor")?;
    let or_default = |field: &str, default: f64| -> Result<f64, ModelError> {
        Ok(parameters.number(field)?.filter(|&x| x != 0.0).unwrap_or(default))
    };
    Ok(RopeScaling::Yarn(YarnScaling {
        factor,
        original_context,
        beta_fast: or_default("beta_fast", 32.0)?,
        beta_slow: or_default("beta_slow", 1.0)?,
        attention_factor: given
            .unwrap_or_else(|| YarnScaling::default_attention_factor(factor, mscales)),
        truncate: parameters.flag("truncate")?.unwrap_or(true),
    }))
}

fn long_rope(
    fields: &Fields<'_>,
    parameters: &Fields<'_>,
    architecture: Architecture,
) -> Result<RopeScaling, ModelError> {
    let original_context = original_context(fields, parameters, architecture)?;
    let factor = factor(fields, parameters, original_context)?;
    let attention_factor = match parameters.number("attention_factor")? {
        Some(factor) => factor,
        None => LongRopeScaling::default_attention_factor(factor, original_context),
    };
    Ok(RopeScaling::LongRope(LongRopeScaling {
        short_factor: parameters.numbers("short_factor")?,
        long_factor: parameters.numbers("long_factor")?,
        attention_factor,
        original_context,
        stretched_context: fields.size("max_position_embeddings")?,
    }))
}

impl RopeScaling {
    /// The field `rope_scaling` of `config.json`.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Linear { factor } => json!({"rope_type": "linear", "factor": factor}),
            Self::Llama3(scaling) => json!({
                "rope_type": "llama3",
                "factor": scaling.factor,
                "low_freq_factor": scaling.low_freq_factor,
                "high_freq_factor": scaling.high_freq_factor,
                "original_max_position_embeddings": scaling.original_context,
            }),
            Self::Yarn(scaling) => json!({
                "rope_type": "yarn",
                "factor": scaling.factor,
                "beta_fast": scaling.beta_fast,
                "beta_slow": scaling.beta_slow,
                "attention_factor": scaling.attention_factor,
                "truncate": scaling.truncate,
                "original_max_position_embeddings": scaling.original_context,
            }),
            Self::LongRope(scaling) => json!({
                "rope_type": "longrope",
                "short_factor": scaling.short_factor,
                "long_factor": scaling.long_factor,
                "attention_factor": scaling.attention_factor,
                "original_max_position_embeddings": scaling.original_context,
            }),
        }
    }
}
