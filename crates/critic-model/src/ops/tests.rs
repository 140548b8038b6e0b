use super::*;
use candle_core::{D, Device, Var};
use critic_kernels::attention::{AttentionShape, QueryRun};
use critic_kernels::rope::RopeTable;
use critic_types::SeedTree;
use std::sync::Arc;

fn random(name: &str, shape: &[usize]) -> Var {
    let node = SeedTree::new(11).child(name);
    let n: usize = shape.iter().product();
    let values: Vec<f32> =
        (0..n).map(|i| (2.0 * node.index(i as u64).uniform() - 1.0) as f32).collect();
    Var::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The two functions give the same values and, under the same upstream gradient, the same gradients.
#[track_caller]
fn check(
    inputs: &[&Var],
    ours: impl Fn() -> Result<Tensor>,
    composed: impl Fn() -> Result<Tensor>,
) {
    let (ours, composed) = (ours().unwrap(), composed().unwrap());
    close("value", &ours, &composed);
    let upstream = if ours.rank() == 0 {
        Tensor::new(0.7f32, &Device::Cpu).unwrap()
    } else {
        random("upstream", ours.dims()).as_tensor().clone()
    };
    let gradients =
        |out: &Tensor| (out * &upstream).unwrap().sum_all().unwrap().backward().unwrap();
    let (ours, composed) = (gradients(&ours), gradients(&composed));
    for (i, input) in inputs.iter().enumerate() {
        let ours =
            ours.get(input.as_tensor()).unwrap_or_else(|| panic!("input {i} has no gradient"));
        close(&format!("gradient of input {i}"), ours, composed.get(input.as_tensor()).unwrap());
    }
}

#[track_caller]
fn close(what: &str, a: &Tensor, b: &Tensor) {
    assert_eq!(a.dims(), b.dims(), "{what}");
    let largest = |t: &Tensor| {
        t.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap()
    };
    let scale = largest(b);
    assert!(scale > 0.0, "{what} is zero");
    let difference = largest(&(a - b).unwrap());
    assert!(difference <= 1e-4 * scale, "{what} differs by {difference} of {scale}");
}

#[test]
fn linear_has_the_gradients_of_a_matrix_product() {
    for (m, k, n) in [(1, 3, 2), (7, 33, 17), (40, 64, 65)] {
        let (x, w) = (random("x", &[m, k]), random("w", &[n, k]));
        check(&[&x, &w], || linear(&x, &w), || x.matmul(&w.t()?));
    }
}

#[test]
fn rms_norm_has_the_gradients_of_its_formula() {
    let (x, w) = (random("x", &[5, 19]), random("w", &[19]));
    let composed = || {
        let scale = (x.sqr()?.mean_keepdim(D::Minus1)? + 1e-5)?.sqrt()?;
        x.broadcast_div(&scale)?.broadcast_mul(&w)
    };
    check(&[&x, &w], || rms_norm(&x, &w, 1e-5), composed);
}

#[test]
fn swiglu_has_the_gradients_of_its_formula() {
    let (gate, up) = (random("gate", &[4, 13]), random("up", &[4, 13]));
    check(&[&gate, &up], || swiglu(&gate, &up), || candle_nn::ops::silu(&gate)? * up.as_tensor());
}

#[test]
fn rope_has_the_gradients_of_a_rotation() {
    let (n_heads, half) = (3, 4);
    let x = random("x", &[5, n_heads * 2 * half]);
    let positions: Arc<[u32]> = Arc::from([0u32, 1, 7, 2, 2]);
    let frequencies: Vec<f32> =
        (0..half).map(|i| 1.0 / 10f32.powf(i as f32 / half as f32)).collect();
    let table = Arc::new(RopeTable::new(&frequencies, 8));
    let composed = || {
        let angles: Vec<f32> =
            positions.iter().flat_map(|&p| frequencies.iter().map(move |f| p as f32 * f)).collect();
        let angles = Tensor::from_vec(angles, (5, 1, half), &Device::Cpu)?;
        let split = x.reshape((5, n_heads, 2 * half))?;
        let (a, b) = (split.narrow(2, 0, half)?, split.narrow(2, half, half)?);
        let (cos, sin) = (angles.cos()?, angles.sin()?);
        let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
        let second = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
        Tensor::cat(&[first, second], 2)?.reshape(x.shape())
    };
    check(&[&x], || rope(&x, &positions, n_heads, &table), composed);
}

#[test]
fn forest_attention_has_the_gradients_of_dense_masked_attention() {
    let shape = AttentionShape { n_heads: 4, n_kv_heads: 2, head_dim: 8, scale: 8f32.powf(-0.5) };
    // Root 0..3, children 3..5 and 5..9, grandchild 9..11 of the second child.
    let run = |rows: std::ops::Range<usize>, prefix: &[std::ops::Range<usize>]| QueryRun {
        query_start: rows.start,
        query_len: rows.len(),
        own_start: rows.start,
        prefix: prefix.to_vec(),
    };
    let root = 0..3;
    let above = std::slice::from_ref(&root);
    let runs: Arc<[QueryRun]> = Arc::from(vec![
        run(0..3, &[]),
        run(3..5, above),
        run(5..9, above),
        run(9..11, &[0..3, 5..9]),
    ]);
    let n = 11;
    let (q, k, v) = (random("q", &[n, 32]), random("k", &[n, 16]), random("v", &[n, 16]));
    let mut mask = vec![f32::NEG_INFINITY; n * n];
    for run in runs.iter() {
        for i in 0..run.query_len {
            let row = run.query_start + i;
            run.prefix
                .iter()
                .cloned()
                .flatten()
                .chain(run.own_start..=run.own_start + i)
                .for_each(|key| mask[row * n + key] = 0.0);
        }
    }
    let mask = Tensor::from_vec(mask, (n, n), &Device::Cpu).unwrap();
    let composed = || {
        let heads =
            |t: &Tensor, n_heads: usize| t.reshape((n, n_heads, 8))?.transpose(0, 1)?.contiguous();
        let shared = |t: &Tensor| -> Result<Tensor> {
            let t = heads(t, 2)?;
            Tensor::stack(&[&t, &t], 1)?.reshape((4, n, 8))
        };
        let scores = (heads(&q, 4)?.matmul(&shared(&k)?.t()?)? * f64::from(shape.scale))?
            .broadcast_add(&mask)?;
        let out = candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&shared(&v)?)?;
        out.transpose(0, 1)?.reshape((n, 32))
    };
    check(&[&q, &k, &v], || forest_attention(shape, &runs, &q, &k, &v), composed);
}

#[test]
fn the_critique_loss_has_the_gradients_of_log_softmax() {
    let (n, d, vocab) = (9, 6, 37);
    let (hidden, weight) = (random("hidden", &[n, d]), random("weight", &[vocab, d]));
    let targets: Arc<[u32]> = (0..n as u32).map(|i| i * 5 % vocab as u32).collect();
    let composed = || {
        let ids = Tensor::new(&targets[..], &Device::Cpu)?.unsqueeze(1)?;
        candle_nn::ops::log_softmax(&hidden.matmul(&weight.t()?)?, D::Minus1)?
            .gather(&ids, 1)?
            .sum_all()?
            .neg()
    };
    check(&[&hidden, &weight], || critique_nll_sum(&hidden, &weight, &targets, true), composed);
}

#[test]
fn the_preference_loss_has_the_gradients_of_softplus() {
    let rewards = random("rewards", &[5]);
    let comparisons = vec![(0, 1, 1.0), (2, 3, 0.5), (4, 3, 0.5)];
    let composed = || {
        let mut sum = Tensor::zeros((), candle_core::DType::F32, &Device::Cpu)?;
        for &(chosen, rejected, weight) in &comparisons {
            let margin = (rewards.get(chosen)? - rewards.get(rejected)?)?;
            sum = (sum + ((margin.neg()?.exp()? + 1.0)?.log()? * weight)?)?;
        }
        Ok(sum)
    };
    check(&[&rewards], || preference_nll_sum(&rewards, comparisons.clone()), composed);
}

#[test]
fn the_preference_loss_neither_overflows_nor_hides_a_nan() {
    let loss = |rewards: &[f32]| {
        preference_nll_sum(&Tensor::new(rewards, &Device::Cpu)?, vec![(0, 1, 1.0)])
    };
    let value = loss(&[-1000.0, 1000.0]).unwrap().to_scalar::<f32>().unwrap();
    assert!((value - 2000.0).abs() < 1e-3);
    assert!(loss(&[f32::NAN, 0.0]).is_err());
    assert!(loss(&[0.0]).is_err());
}
