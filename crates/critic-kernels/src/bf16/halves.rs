//! Numbers kept in half the memory.

use half::bf16;
use rayon::prelude::*;

use crate::error::{KernelError, check_length};
use crate::simd::{Kernel, Simd, dispatch, round as rounded};

/// Numbers of a task.
const CHUNK: usize = 1 << 15;

/// Rounds to bfloat16, to nearest with ties to even; NaN stays NaN.
///
/// # Errors
/// Where the lengths differ.
pub fn round(x: &[f32], to: &mut [bf16]) -> Result<(), KernelError> {
    check_length("to", to.len(), x.len())?;
    let chunks = to.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK));
    chunks.for_each(|(to, x)| dispatch(Round { x, to }));
    Ok(())
}

/// The same numbers as `f32`.
///
/// # Errors
/// Where the lengths differ.
pub fn widen(x: &[bf16], to: &mut [f32]) -> Result<(), KernelError> {
    check_length("to", to.len(), x.len())?;
    let chunks = to.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK));
    chunks.for_each(|(to, x)| dispatch(Widen { x, to }));
    Ok(())
}

struct Round<'a> {
    x: &'a [f32],
    to: &'a mut [bf16],
}

impl Kernel for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (to, x) in self.to.iter_mut().zip(self.x) {
            *to = bf16::from_bits((rounded(*x) >> 16) as u16);
        }
    }
}

struct Widen<'a> {
    x: &'a [bf16],
    to: &'a mut [f32],
}

impl Kernel for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (to, x) in self.to.iter_mut().zip(self.x) {
            *to = f32::from_bits(u32::from(x.to_bits()) << 16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::dispatch_on;
    use crate::testing::{ISAS, numbers};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_instruction_set_rounds_as_the_half_crate_does(
            bits in prop::collection::vec(any::<u32>(), 0..70),
        ) {
            let x: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
            for isa in ISAS {
                let mut to = vec![bf16::ZERO; x.len()];
                dispatch_on(isa, Round { x: &x, to: &mut to });
                for (to, x) in to.iter().zip(&x) {
                    prop_assert_eq!(to.to_bits(), bf16::from_f32(*x).to_bits());
                }
                let mut wide = vec![f32::NAN; x.len()];
                dispatch_on(isa, Widen { x: &to, to: &mut wide });
                for (wide, x) in wide.iter().zip(&to) {
                    prop_assert_eq!(wide.to_bits(), u32::from(x.to_bits()) << 16);
                }
            }
        }
    }

    #[test]
    fn several_tasks_do_the_whole_and_other_lengths_are_errors() {
        let x = numbers(2 * CHUNK + 3, 1);
        let (mut to, mut wide) = (vec![bf16::ZERO; x.len()], vec![0.0; x.len()]);
        round(&x, &mut to).unwrap();
        widen(&to, &mut wide).unwrap();
        assert!(x.iter().zip(&wide).all(|(x, wide)| *wide == bf16::from_f32(*x).to_f32()));
        assert!(round(&x, &mut to[1..]).is_err() && widen(&to, &mut wide[1..]).is_err());
    }
}
