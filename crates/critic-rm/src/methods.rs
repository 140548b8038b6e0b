//! Ways to train a reward model, as data: the one trainer under other settings and on other critiques.

use crate::exit::Fault;
use crate::settings::{PrecisionSetting, TrainSettings, merge_tables};
use anyhow::{Context, Result, anyhow};
use critic_train::{CritiqueWeight, TrainConfig};
use serde::Deserialize;
use std::path::Path;
use toml::Table;

/// The methods that come with the program.
const BUILT_IN: [(&str, &str); 4] = [
    ("critic-rm", include_str!("../../../recipes/methods/critic-rm.toml")),
    ("scalar", include_str!("../../../recipes/methods/scalar.toml")),
    ("cloud", include_str!("../../../recipes/methods/cloud.toml")),
    ("critiques-as-input", include_str!("../../../recipes/methods/critiques-as-input.toml")),
];

/// Which critiques a method trains on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CritiqueSource {
    /// None: it reads the reward after the response.
    None,
    /// Every candidate of the critic.
    Candidates,
    /// Those that the filter and the refinement left.
    Refined,
}

/// A way to train a reward model.
#[derive(Debug, Clone)]
pub(crate) struct Method {
    /// Its name in folders and tables.
    pub(crate) name: String,
    pub(crate) critiques: CritiqueSource,
    pub(crate) train: TrainConfig,
    /// Whether the precision of its training is the processor's choice.
    pub(crate) leaves_precision: bool,
}

/// A method's file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MethodFile {
    critiques: CritiqueSource,
    /// What it lays over the settings of `[train]`.
    #[serde(default)]
    train: Table,
}

/// What stage 0 calls its training.
pub(crate) const WARMUP: &str = "warmup";

impl Method {
    /// Methods by their names and paths, in this order; no two are called alike, as their checkpoints would
    /// share a folder.
    pub(crate) fn resolve_all(names: &[String], settings: &TrainSettings) -> Result<Vec<Self>> {
        let methods: Vec<Self> =
            names.iter().map(|name| Self::resolve(name, settings)).collect::<Result<_>>()?;
        for (i, method) in methods.iter().enumerate() {
            if methods[..i].iter().any(|earlier| earlier.name == method.name) {
                return Err(Fault::config(anyhow!(
                    "methods names `{}` twice: give the second one a file of another name",
                    method.name
                )));
            }
        }
        Ok(methods)
    }

    /// A method by its name, or by the path of a file of one's own (`.toml`), over these settings.
    pub(crate) fn resolve(name: &str, settings: &TrainSettings) -> Result<Self> {
        let is_file = Path::new(name).extension().is_some_and(|ending| ending == "toml");
        let (name, text) = if is_file {
            let text = std::fs::read_to_string(name)
                .with_context(|| format!("could not read the method {name}"))
                .map_err(Fault::config)?;
            let stem = Path::new(name).file_stem().unwrap_or_default();
            (stem.to_string_lossy().into_owned(), text)
        } else {
            let found = BUILT_IN.iter().find(|(built_in, _)| *built_in == name);
            let (_, text) = found.ok_or_else(|| {
                let known = BUILT_IN.map(|(name, _)| name).join(", ");
                Fault::config(anyhow!(
                    "there is no method `{name}`: use one of {known}, or the path of a .toml file"
                ))
            })?;
            (name.to_owned(), (*text).to_owned())
        };
        let file: MethodFile = toml::from_str(&text)
            .with_context(|| format!("the method {name}"))
            .map_err(Fault::config)?;
        let mut table = Table::try_from(settings).context("settings cannot be laid over")?;
        merge_tables(&mut table, &file.train);
        let settings: TrainSettings = table
            .try_into()
            .with_context(|| format!("the method {name}"))
            .map_err(Fault::config)?;
        let train = settings.config();
        train.validate().map_err(|error| Fault::config(error.into()))?;
        let leaves_precision = settings.precision == PrecisionSetting::Auto;
        let method = Self { name, critiques: file.critiques, train, leaves_precision };
        method.check().map_err(Fault::config)?;
        Ok(method)
    }

    fn check(&self) -> Result<()> {
        if self.name == WARMUP {
            return Err(anyhow!(
                "a method cannot be called `{WARMUP}`, the critic's warm-up is: rename its file"
            ));
        }
        let weighs_critiques =
            self.train.critique_weight != CritiqueWeight::Constant { weight: 0.0 };
        if !self.reads_critiques() && weighs_critiques {
            return Err(anyhow!(
                "the method {} reads no critiques and gives them a weight: write critique_weight = {{ kind = \"constant\", weight = 0.0 }} below its [train]",
                self.name
            ));
        }
        Ok(())
    }

    /// The settings that a trained model's address is made of, as JSON. A precision that is left to the
    /// processor is there as `auto`: it changes no result but by rounding, so a run may go on elsewhere.
    pub(crate) fn addressed(&self) -> Result<String> {
        let mut settings = serde_json::to_value(&self.train)?;
        if self.leaves_precision {
            settings["precision"] = "auto".into();
        }
        Ok(settings.to_string())
    }

    /// Whether rewards are read after critiques too.
    pub(crate) fn reads_critiques(&self) -> bool {
        self.critiques != CritiqueSource::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Overrides, resolve};
    use critic_kernels::Precision;
    use critic_train::JointForm;
    use std::io::Write;

    #[test]
    fn the_address_of_a_model_does_not_depend_on_the_processor_that_chose_the_precision() {
        let mut left = Method::resolve("critic-rm", &settings("train.precision=auto")).unwrap();
        let here = left.addressed().unwrap();
        for (name, precision) in [("f32", Precision::F32), ("bf16", Precision::Bf16)] {
            left.train.precision = precision;
            assert_eq!(left.addressed().unwrap(), here);
            let chosen = settings(&format!("train.precision={name}"));
            let chosen = Method::resolve("critic-rm", &chosen).unwrap();
            assert_ne!(chosen.addressed().unwrap(), here);
            assert_eq!(chosen.addressed().unwrap(), serde_json::to_string(&chosen.train).unwrap());
        }
    }

    fn settings(assignment: &str) -> TrainSettings {
        let overrides = Overrides { flags: vec![], set: vec![assignment.to_owned()] };
        resolve(None, &overrides).unwrap().settings.train
    }

    #[test]
    fn every_built_in_method_resolves_over_any_settings() {
        let settings = settings("train.critique_weight={kind=\"cosine\", start=1.0, end=0.0}");
        for (name, _) in BUILT_IN {
            let method = Method::resolve(name, &settings).unwrap();
            assert_eq!(method.name, name);
            assert_eq!(method.train.epochs, settings.config().epochs);
        }
        let own = Method::resolve("critic-rm", &settings).unwrap().train;
        assert_eq!(own.critique_weight, CritiqueWeight::Cosine { start: 1.0, end: 0.0 });
    }

    #[test]
    fn a_scalar_reward_model_has_no_critiques_and_cloud_weighs_them_constantly() {
        let settings = settings("train.epochs=3");
        let scalar = Method::resolve("scalar", &settings).unwrap();
        assert!(!scalar.reads_critiques());
        assert_eq!(scalar.train.critique_weight, CritiqueWeight::Constant { weight: 0.0 });
        let cloud = Method::resolve("cloud", &settings).unwrap();
        assert_eq!(cloud.critiques, CritiqueSource::Candidates);
        assert_eq!(cloud.train.joint, JointForm::Additive);
        assert_eq!(cloud.train.epochs, 3);
    }

    #[test]
    fn a_method_of_ones_own_is_a_file_and_a_typo_names_those_there_are() {
        let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        file.write_all(b"critiques = \"refined\"\ntrain = { epochs = 7 }\n").unwrap();
        let settings = settings("seed=1");
        let own = Method::resolve(&file.path().display().to_string(), &settings).unwrap();
        assert_eq!(own.train.epochs, 7);
        let typo = Method::resolve("scaler", &settings).unwrap_err();
        assert!(format!("{typo:#}").contains("critiques-as-input"));
        let mut wrong = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        wrong.write_all(b"critiques = \"refined\"\ntrain = { epoch = 7 }\n").unwrap();
        let wrong = Method::resolve(&wrong.path().display().to_string(), &settings).unwrap_err();
        assert!(format!("{wrong:#}").contains("epoch"));
    }

    #[test]
    fn methods_called_alike_are_refused() {
        let settings = settings("seed=1");
        let twice = ["scalar".to_owned(), "critic-rm".to_owned(), "scalar".to_owned()];
        let error = Method::resolve_all(&twice, &settings).unwrap_err();
        assert!(format!("{error:#}").contains("`scalar` twice"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("warmup.toml");
        std::fs::File::create(&path).unwrap().write_all(b"critiques = \"refined\"").unwrap();
        let error = Method::resolve(&path.display().to_string(), &settings).unwrap_err();
        assert!(format!("{error:#}").contains("cannot be called `warmup`"));
    }

    #[test]
    fn a_method_without_critiques_gives_them_no_weight() {
        let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        file.write_all(b"critiques = \"none\"").unwrap();
        let name = file.path().display().to_string();
        let error = Method::resolve(&name, &settings("seed=1")).unwrap_err();
        assert!(format!("{error:#}").contains("weight = 0.0"));
    }
}
