//! The machine's memory, and trainings that do not fit it.

use crate::exit::Fault;
use crate::settings::TrainSettings;
use anyhow::{Result, anyhow};
use critic_train::TrainingMemory;

/// Bytes of memory that a program can have; known on Linux.
pub(crate) fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Bytes in words.
pub(crate) fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

/// Refuses a training that `available` bytes cannot hold, unless the settings say to try.
pub(crate) fn refuse_too_large(
    name: &str,
    wanted: &TrainingMemory,
    available: Option<u64>,
    settings: &TrainSettings,
) -> Result<()> {
    match available {
        Some(available) if settings.check_memory && wanted.of_its_own() > available => {
            Err(Fault::config(anyhow!(
                "training {name} wants about {} of memory and {} are free: adapters need neither gradients nor moments of the decoder ([train.lora]) and leave it in the 4 or 8 bits of its GGUF file, train.activations=recompute keeps the least, a smaller train.tokens_per_pack (it is {}) makes packs smaller, a smaller train.max_pair_tokens (it is {}) leaves long pairs out; or close other programs. --set train.check_memory=false tries it all the same",
                gigabytes(wanted.of_its_own()),
                gigabytes(available),
                settings.config().tokens_per_pack,
                settings.max_pair_tokens
            )))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Overrides, resolve};

    fn settings(set: &[&str]) -> TrainSettings {
        let set = set.iter().map(|text| (*text).to_owned()).collect();
        resolve(None, &Overrides { flags: vec![], set }).unwrap().settings.train
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        let wanted = TrainingMemory {
            base: 6_000_000_000,
            weights: 6_000_000_000,
            gradients: 6_000_000_000,
            moments: 12_000_000_000,
            activations: 0,
            logits: 0,
        };
        let check = |available, set: &[&str]| {
            refuse_too_large("critic-rm", &wanted, available, &settings(set))
        };
        let message = check(Some(16_000_000_000), &[]).unwrap_err().to_string();
        for part in ["24.0 GB", "16.0 GB", "[train.lora]", "check_memory=false"] {
            assert!(message.contains(part), "{message}");
        }
        assert!(check(Some(32_000_000_000), &[]).is_ok() && check(None, &[]).is_ok());
        assert!(check(Some(16_000_000_000), &["train.check_memory=false"]).is_ok());
    }
}
