use crate::cli::DoctorArgs;
use crate::commands::reward_servers::NamedServer;
use crate::memory;
use crate::progress::answer;
use anyhow::Result;
use critic_model::sources::{Cache, catalogue};
use critic_remote::{RemoteSettings, examine};
use std::process::Command;

fn line(ok: bool, what: &str, found: impl AsRef<str>) {
    answer(format!("{} {what:<14} {}", if ok { "ok     " } else { "missing" }, found.as_ref()));
}

/// Says what this machine offers, what is missing, and how to get it; and what the servers can do that
/// are named.
pub(crate) fn doctor(args: &DoctorArgs) -> Result<()> {
    line(true, "program", format!("critic-rm {}", env!("CARGO_PKG_VERSION")));
    line(true, "processor", processor());
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    line(true, "threads", format!("{threads} (RAYON_NUM_THREADS sets fewer)"));
    match memory::available() {
        Some(bytes) => {
            let gigabytes = bytes as f64 / 1e9;
            let advice = if gigabytes < 6.0 {
                ": training SmolLM2-135M wants about 6 GB; close other programs"
            } else {
                ""
            };
            line(advice.is_empty(), "memory", format!("{gigabytes:.1} GB free{advice}"));
        }
        None => line(true, "memory", "not known on this system"),
    }
    let cache = Cache::default_location();
    let writable =
        std::fs::create_dir_all(cache.folder()).and_then(|()| tempfile_in(cache.folder()));
    match &writable {
        Ok(()) => line(true, "model cache", cache.folder().display().to_string()),
        Err(error) => line(
            false,
            "model cache",
            format!(
                "{}: {error}; set CRITIC_RM_CACHE to a folder you can write",
                cache.folder().display()
            ),
        ),
    }
    match pip() {
        Some(version) => line(true, "pip", version),
        None => line(
            false,
            "pip",
            "no Python 3 with pip: only needed where the model hub cannot be reached; install python3-pip, or name a model folder with --model",
        ),
    }
    if let Some(settings) = args.remote.settings() {
        for endpoint in &settings.endpoints {
            line(true, "server", endpoint);
            let alone = RemoteSettings { endpoints: vec![endpoint.clone()], ..settings.clone() };
            for finding in examine(&alone)? {
                line(finding.is_well, finding.what, finding.found);
            }
        }
    }
    for server in NamedServer::all(&args.servers)? {
        line(true, "reward server", server.url());
        for finding in server.connect()?.examine() {
            line(finding.is_well, finding.what, finding.found);
        }
    }
    for entry in catalogue()?.entries() {
        match entry.cached(&cache) {
            Some(path) => line(true, "model", format!("{} in {}", entry.name, path.display())),
            None => line(
                true,
                "model",
                format!("{}, not fetched yet: critic-rm model pull {}", entry.name, entry.name),
            ),
        }
    }
    Ok(())
}

fn processor() -> String {
    format!(
        "{}, kernels for {}",
        std::env::consts::ARCH,
        format!("{:?}", critic_kernels::isa::active()).to_lowercase()
    )
}

fn tempfile_in(folder: &std::path::Path) -> std::io::Result<()> {
    let path = folder.join(".writable");
    std::fs::File::create(&path)?;
    std::fs::remove_file(path)
}

fn pip() -> Option<String> {
    ["python3", "python"].into_iter().find_map(|python| {
        let output = Command::new(python).args(["-m", "pip", "--version"]).output().ok()?;
        output.status.success().then(|| {
            String::from_utf8_lossy(&output.stdout)
                .split(" from ")
                .next()
                .unwrap_or_default()
                .to_owned()
        })
    })
}
