//! The instruction set that the kernels run on, found at run time.
//!
//! The environment variable `CRITIC_RM_ISA` (`portable`, `avx2`, `avx512`, `avx512bf16` or `amxbf16`)
//! asks for a lesser one than the processor has. It is read once. It does not reach products of
//! `f32` matrices ([`crate::matmul`] but for its row-invariant product, and [`crate::linear`] with
//! [`crate::Precision::F32`]): those go through the `gemm` crate, which looks for itself.

use std::env;
use std::sync::OnceLock;

use crate::error::KernelError;

/// An instruction set, from the least to the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// What the compiler makes for the target's baseline.
    Portable,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    Avx512,
    /// The same with AVX512_BF16, whose dot products of bfloat16 pairs serve
    /// [`crate::Precision::Bf16`].
    Avx512Bf16,
    /// The same with AMX-BF16, whose products of tiles serve [`crate::Precision::Bf16`]; on Linux, which
    /// keeps tiles for a process that asks.
    AmxBf16,
}

/// The instruction set in use: the one asked for where the processor has it, else the best it has.
///
/// A value of `CRITIC_RM_ISA` that names none is passed over here; [`requested`] reports it.
pub fn active() -> Isa {
    static ACTIVE: OnceLock<Isa> = OnceLock::new();
    *ACTIVE.get_or_init(|| {
        let best = best();
        requested().ok().flatten().map_or(best, |isa| isa.min(best))
    })
}

/// What `CRITIC_RM_ISA` asks for, `None` where it is not set.
///
/// # Errors
/// Where its value names no instruction set.
pub fn requested() -> Result<Option<Isa>, KernelError> {
    env::var_os("CRITIC_RM_ISA").map(|value| parse(&value.to_string_lossy())).transpose()
}

fn parse(value: &str) -> Result<Isa, KernelError> {
    match value {
        "portable" => Ok(Isa::Portable),
        "avx2" => Ok(Isa::Avx2),
        "avx512" => Ok(Isa::Avx512),
        "avx512bf16" => Ok(Isa::Avx512Bf16),
        "amxbf16" => Ok(Isa::AmxBf16),
        _ => Err(KernelError::UnknownIsa { found: value.to_owned() }),
    }
}

/// The best instruction set of this processor.
#[cfg(target_arch = "x86_64")]
pub(crate) fn best() -> Isa {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    match (avx2, avx512) {
        (true, true) if crate::simd::amx::Amx::new().is_some() => Isa::AmxBf16,
        (true, true) if is_x86_feature_detected!("avx512bf16") => Isa::Avx512Bf16,
        (true, true) => Isa::Avx512,
        (true, false) => Isa::Avx2,
        (false, _) => Isa::Portable,
    }
}

/// The best instruction set of this processor.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn best() -> Isa {
    Isa::Portable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_parsed_and_an_unknown_one_is_an_error_that_names_it() {
        assert_eq!(parse("portable"), Ok(Isa::Portable));
        assert_eq!(parse("avx512"), Ok(Isa::Avx512));
        assert_eq!(parse("avx512bf16"), Ok(Isa::Avx512Bf16));
        assert_eq!(parse("amxbf16"), Ok(Isa::AmxBf16));
        let error = parse("neon").unwrap_err();
        assert!(error.to_string().contains("neon"));
    }

    #[test]
    fn the_active_set_is_one_that_the_processor_has() {
        assert!(active() <= best());
    }
}
