use rayon::prelude::*;

/// Numbers of a task.
const CHUNK: usize = 1 << 14;

/// Which numbers of a matrix dropout takes away; the others are multiplied by 1/(1 − p).
///
/// A number's fate is a hash of the key, the adapter and its place, so that it is the same whenever it is
/// asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask {
    key: u64,
    /// Hashes of 53 bits below it are taken away.
    threshold: u64,
    kept_scale: f32,
}

impl Mask {
    pub(super) fn new(key: u64, adapter: u64, probability: f64) -> Self {
        Self {
            key: mix(key ^ mix(adapter)),
            threshold: (probability * (1u64 << 53) as f64) as u64,
            kept_scale: (1.0 / (1.0 - probability)) as f32,
        }
    }

    fn factor(&self, place: usize) -> f32 {
        let hash = mix(self.key.wrapping_add(place as u64)) >> 11;
        if hash < self.threshold { 0.0 } else { self.kept_scale }
    }

    /// `to = mask · x`.
    pub(super) fn write(&self, x: &[f32], to: &mut [f32]) {
        self.each(x, to, |to, x| *to = x);
    }

    /// `to += mask · x`.
    pub(super) fn add(&self, x: &[f32], to: &mut [f32]) {
        self.each(x, to, |to, x| *to += x);
    }

    fn each(&self, x: &[f32], to: &mut [f32], update: impl Fn(&mut f32, f32) + Sync) {
        let chunks = to.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).enumerate();
        chunks.for_each(|(chunk, (to, x))| {
            for (at, (to, x)) in to.iter_mut().zip(x).enumerate() {
                update(to, x * self.factor(chunk * CHUNK + at));
            }
        });
    }
}

/// SplitMix64's step and output (Steele, Lea and Flood 2014).
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_is_taken_away_is_the_probability_and_the_mean_stays() {
        let mask = Mask::new(7, 3, 0.25);
        let x = vec![1.0; 40_000];
        let mut out = vec![f32::NAN; x.len()];
        mask.write(&x, &mut out);
        let n_gone = out.iter().filter(|x| **x == 0.0).count() as f64;
        assert!((n_gone / 40_000.0 - 0.25).abs() < 0.01, "{n_gone}");
        assert!(out.iter().all(|&x| x == 0.0 || (x - 4.0 / 3.0).abs() < 1e-6));
        let mut sum = vec![1.0; x.len()];
        mask.add(&x, &mut sum);
        assert!(sum.iter().zip(&out).all(|(sum, out)| *sum == 1.0 + out));
    }

    #[test]
    fn another_key_and_another_adapter_take_away_others() {
        let gone = |key, adapter| -> Vec<bool> {
            let mask = Mask::new(key, adapter, 0.5);
            (0..256).map(|place| mask.factor(place) == 0.0).collect()
        };
        assert_eq!(gone(1, 2), gone(1, 2));
        for other in [gone(2, 2), gone(1, 3), gone(2, 1)] {
            let n_same = gone(1, 2).iter().zip(&other).filter(|(a, b)| a == b).count();
            assert!((90..166).contains(&n_same), "{n_same}");
        }
    }
}
