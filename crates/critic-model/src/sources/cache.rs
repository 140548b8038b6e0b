use std::env;
use std::path::{Path, PathBuf};

/// Where downloads are kept: a folder of our own, and the hub's, which other programs share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
    hub: PathBuf,
}

impl Cache {
    /// The cache of this user.
    ///
    /// Ours is `$CRITIC_RM_CACHE`, else `$XDG_CACHE_HOME/critic-rm`, else `$HOME/.cache/critic-rm`, else
    /// `.critic-rm-cache` in the working folder. The hub's is `$HF_HOME/hub`, else
    /// `$HOME/.cache/huggingface/hub`, else a folder in ours.
    pub fn default_location() -> Self {
        let variable =
            |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = variable("HOME").or_else(|| variable("USERPROFILE"));
        let folder = variable("CRITIC_RM_CACHE")
            .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("critic-rm")))
            .or_else(|| home.as_ref().map(|home| home.join(".cache").join("critic-rm")))
            .unwrap_or_else(|| PathBuf::from(".critic-rm-cache"));
        let hub = variable("HF_HOME")
            .map(|hf_home| hf_home.join("hub"))
            .or_else(|| home.map(|home| home.join(".cache").join("huggingface").join("hub")));
        match hub {
            Some(hub) => Self { folder, hub },
            None => Self::at(folder),
        }
    }

    /// A cache that keeps everything, the hub's files too, in one folder.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        let hub = folder.join("huggingface").join("hub");
        Self { folder, hub }
    }

    /// Our folder; it may not exist yet.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The hub's folder; it may not exist yet.
    pub fn hub_folder(&self) -> &Path {
        &self.hub
    }
}
