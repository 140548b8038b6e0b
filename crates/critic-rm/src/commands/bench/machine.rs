use crate::exit::Fault;
use anyhow::{Result, anyhow};
use serde::Serialize;

/// What measured.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Machine {
    program: String,
    /// The instruction set that the kernels run on.
    instruction_set: String,
    threads: usize,
}

impl Machine {
    /// This program, here.
    pub(super) fn this() -> Self {
        Self {
            program: format!("critic-rm {}", env!("CARGO_PKG_VERSION")),
            instruction_set: format!("{:?}", critic_kernels::isa::active()).to_lowercase(),
            threads: rayon::current_num_threads(),
        }
    }
}

/// Lets the whole program compute on so many threads.
pub(super) fn use_threads(threads: Option<usize>) -> Result<()> {
    let Some(threads) = threads else { return Ok(()) };
    if threads == 0 {
        return Err(Fault::config(anyhow!("--threads is 0; it must be at least 1")));
    }
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    Ok(())
}
