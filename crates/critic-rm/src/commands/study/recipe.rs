use crate::exit::Fault;
use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;
use toml::{Table, Value};

/// The studies that come with the program.
const BUILT_IN: [(&str, &str); 8] = [
    ("schedule", include_str!("../../../../../recipes/studies/schedule.toml")),
    ("filter", include_str!("../../../../../recipes/studies/filter.toml")),
    ("inference-scaling", include_str!("../../../../../recipes/studies/inference-scaling.toml")),
    ("data-efficiency", include_str!("../../../../../recipes/studies/data-efficiency.toml")),
    ("rounds", include_str!("../../../../../recipes/studies/rounds.toml")),
    ("refine", include_str!("../../../../../recipes/studies/refine.toml")),
    ("architectures", include_str!("../../../../../recipes/studies/architectures.toml")),
    (
        "out-of-distribution",
        include_str!("../../../../../recipes/studies/out-of-distribution.toml"),
    ),
];

/// A grid of settings over seeds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recipe {
    pub(super) name: String,
    pub(super) title: String,
    /// What a seed is of: `train.seed` (one set of critiques) or `seed` (everything).
    pub(super) seed_key: String,
    pub(super) seeds: Vec<u64>,
    /// What it lays over the defaults.
    pub(super) base: Table,
    pub(super) vary: Vec<Vary>,
}

/// One setting and the values that it takes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vary {
    pub(super) key: String,
    pub(super) values: Values,
}

/// The values of a setting.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Values {
    /// These.
    Listed(Vec<Value>),
    /// `each`: an empty list, then each domain of the training pairs in a list of its own.
    Each(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecipeFile {
    title: String,
    #[serde(default = "train_seed")]
    seed_key: String,
    #[serde(default = "seed_zero")]
    seeds: Vec<u64>,
    #[serde(default)]
    base: Table,
    #[serde(default)]
    vary: Vec<Vary>,
}

fn train_seed() -> String {
    "train.seed".to_owned()
}

fn seed_zero() -> Vec<u64> {
    vec![0]
}

/// Name and title of every built-in study.
pub(super) fn built_in() -> Result<Vec<(&'static str, String)>> {
    BUILT_IN.iter().map(|(name, text)| Ok((*name, parse(name, text)?.title))).collect()
}

impl Recipe {
    /// A built-in study, or the path of a file of one's own (`.toml`).
    pub(super) fn read(name: &str) -> Result<Self> {
        let path = Path::new(name);
        if path.extension().is_some_and(|ending| ending == "toml") {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("could not read the study {name}"))
                .map_err(Fault::config)?;
            return parse(&path.file_stem().unwrap_or_default().to_string_lossy(), &text);
        }
        let found = BUILT_IN.iter().find(|(built_in, _)| *built_in == name);
        let (name, text) = found.ok_or_else(|| {
            let known = BUILT_IN.map(|(name, _)| name).join(", ");
            Fault::config(anyhow!(
                "there is no study `{name}`: use one of {known}, or the path of a .toml file"
            ))
        })?;
        parse(name, text)
    }

    /// Every combination of the values, in order, the last setting changing fastest.
    pub(super) fn configurations(&self, domains: &BTreeSet<String>) -> Result<Vec<Configuration>> {
        let mut all = vec![Configuration::default()];
        for vary in &self.vary {
            let values = match &vary.values {
                Values::Listed(values) => values.clone(),
                Values::Each(_) if domains.len() < 2 => {
                    return Err(Fault::data(anyhow!(
                        "the study leaves out each domain in turn, and the training pairs have {}: give pairs with a `domain` column of two or more values",
                        domains.len()
                    )));
                }
                Values::Each(_) => {
                    let each = domains.iter().map(|domain| vec![Value::String(domain.clone())]);
                    std::iter::once(Vec::new()).chain(each).map(Value::Array).collect()
                }
            };
            let longer = |before: &Configuration, value: &Value| {
                let mut settings = before.settings.clone();
                settings.push((vary.key.clone(), value.clone()));
                Configuration { settings }
            };
            all = all
                .iter()
                .flat_map(|before| {
                    values.iter().map(|value| longer(before, value)).collect::<Vec<_>>()
                })
                .collect();
        }
        Ok(all)
    }
}

/// One point of the grid.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Configuration {
    /// Keys and values.
    pub(super) settings: Vec<(String, Value)>,
}

impl Configuration {
    /// As a reader knows it: `train_share 0.5`, and for a table that says its kind `paper beta 0.9`.
    pub(super) fn name(&self) -> String {
        if self.settings.is_empty() {
            return "as set".to_owned();
        }
        let named = |(key, value): &(String, Value)| {
            let last = key.rsplit('.').next().unwrap_or(key);
            match value {
                Value::Table(table) if table.contains_key("kind") => in_words(value),
                _ if last.len() < 2 => format!("{key} {}", in_words(value)),
                _ => format!("{last} {}", in_words(value)),
            }
        };
        self.settings.iter().map(named).collect::<Vec<_>>().join(", ")
    }

    /// The name of a folder.
    pub(super) fn slug(&self) -> String {
        let name = self.name().to_lowercase();
        let mut slug: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
            .collect();
        while slug.contains("--") {
            slug = slug.replace("--", "-");
        }
        slug.trim_matches('-').to_owned()
    }
}

/// A value without the signs of TOML.
fn in_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) if values.is_empty() => "none".to_owned(),
        Value::Array(values) => values.iter().map(in_words).collect::<Vec<_>>().join("+"),
        Value::Table(table) => {
            let kind = table.get("kind").map(in_words);
            let rest = table
                .iter()
                .filter(|(key, _)| *key != "kind")
                .map(|(key, value)| format!("{key} {}", in_words(value)));
            kind.into_iter().chain(rest).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

fn parse(name: &str, text: &str) -> Result<Recipe> {
    let wrong = |rule: String| Fault::config(anyhow!("the study {name}: {rule}"));
    let file: RecipeFile =
        toml::from_str(text).with_context(|| format!("the study {name}")).map_err(Fault::config)?;
    let RecipeFile { title, seed_key, seeds, base, vary } = file;
    if seeds.is_empty() || seeds.iter().collect::<BTreeSet<_>>().len() < seeds.len() {
        return Err(wrong("seeds must be numbers that differ, at least one".to_owned()));
    }
    if !["seed", "train.seed"].contains(&seed_key.as_str()) {
        return Err(wrong(format!("seed_key is `{seed_key}`; it is `train.seed` or `seed`")));
    }
    for Vary { key, values } in &vary {
        match values {
            Values::Listed(values) if values.is_empty() => {
                return Err(wrong(format!("`{key}` has no value; give at least one")));
            }
            Values::Each(word) if word != "each" => {
                return Err(wrong(format!(
                    "the values of `{key}` are `{word}`; give a list, or \"each\" for the domains of the training pairs"
                )));
            }
            _ => {}
        }
    }
    Ok(Recipe { name: name.to_owned(), title, seed_key, seeds, base, vary })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn every_built_in_study_has_configurations_of_distinct_names() {
        for (name, _) in built_in().unwrap() {
            let recipe = Recipe::read(name).unwrap();
            let found = recipe.configurations(&domains(&["code", "math"])).unwrap();
            let slugs: BTreeSet<String> = found.iter().map(Configuration::slug).collect();
            assert_eq!(slugs.len(), found.len(), "{name}");
        }
    }

    #[test]
    fn the_last_setting_changes_fastest() {
        let text = "title = \"t\"\n[[vary]]\nkey = \"a.b\"\nvalues = [1, 2]\n[[vary]]\nkey = \"c\"\nvalues = [\"x\", { kind = \"k\", n = 0.5 }]";
        let recipe = parse("grid", text).unwrap();
        let names: Vec<String> = recipe
            .configurations(&BTreeSet::new())
            .unwrap()
            .iter()
            .map(Configuration::name)
            .collect();
        assert_eq!(names, ["a.b 1, c x", "a.b 1, k n 0.5", "a.b 2, c x", "a.b 2, k n 0.5"]);
    }

    #[test]
    fn each_domain_is_left_out_in_turn() {
        let recipe = Recipe::read("out-of-distribution").unwrap();
        let found = recipe.configurations(&domains(&["code", "math"])).unwrap();
        let names: Vec<String> = found.iter().map(Configuration::name).collect();
        assert_eq!(
            names,
            ["held_out_domains none", "held_out_domains code", "held_out_domains math"]
        );
        let message = recipe.configurations(&domains(&["math"])).unwrap_err().to_string();
        assert!(message.contains("`domain` column"), "{message}");
    }

    #[test]
    fn what_is_no_study_is_refused_by_name() {
        let refusal = |text: &str| format!("{:#}", parse("own", text).unwrap_err());
        assert!(refusal("title = \"t\"\nseeds = [1, 1]").contains("differ"));
        assert!(refusal("title = \"t\"\nseed_key = \"sead\"").contains("sead"));
        assert!(refusal("title = \"t\"\ngrid = 1").contains("grid"));
        assert!(refusal("title = \"t\"\n[[vary]]\nkey = \"a\"\nvalues = []").contains("no value"));
        assert!(
            refusal("title = \"t\"\n[[vary]]\nkey = \"a\"\nvalues = \"all\"").contains("`all`")
        );
        let message = Recipe::read("schedul").unwrap_err().to_string();
        assert!(message.contains("there is no study `schedul`") && message.contains("schedule"));
    }
}
