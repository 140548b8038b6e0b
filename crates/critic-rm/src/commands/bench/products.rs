use super::machine::Machine;
use anyhow::Result;
use critic_kernels::{KernelError, matmul};
use serde::Serialize;
use std::time::{Duration, Instant};

/// The precision of training's products.
pub(super) const PRECISION: &str = "f32";

/// A measurement goes on for at least so long, and for at least three repeats.
const AT_LEAST: Duration = Duration::from_millis(400);

/// The shape of a product: out[m, n] over k terms.
#[derive(Debug, Clone, Copy, Serialize)]
struct Shape {
    m: usize,
    n: usize,
    k: usize,
}

/// The layer that utilisation is measured against: 2048 tokens, the up projection of SmolLM2-135M.
const UP_PROJECTION: Shape = Shape { m: 2048, n: 1536, k: 576 };

/// How fast a product is.
#[derive(Debug, Serialize)]
struct Rate {
    /// `forward` (a · bᵀ), `gradient of the input` (a · b) or `gradient of the weight` (aᵀ · b).
    product: &'static str,
    #[serde(flatten)]
    shape: Shape,
    /// 2 · m · n · k over the fastest repeat's time, in 10⁹ a second.
    gflop_per_second: f64,
}

/// All products of the shapes that training has.
#[derive(Debug, Serialize)]
pub(super) struct Products {
    #[serde(flatten)]
    machine: Machine,
    precision: &'static str,
    rates: Vec<Rate>,
}

/// Measures the three products of the up projection, the down projection and the LM head.
pub(super) fn measure() -> Result<Products> {
    let down_projection = Shape { m: 2048, n: 576, k: 1536 };
    let lm_head = Shape { m: 128, n: 49_152, k: 576 };
    let mut rates = Vec::new();
    for shape in [UP_PROJECTION, down_projection, lm_head] {
        let Shape { m, n, k } = shape;
        rates.push(rate("forward", matmul::nt, shape)?);
        rates.push(rate("gradient of the input", matmul::nn, Shape { m, n: k, k: n })?);
        rates.push(rate("gradient of the weight", matmul::tn, Shape { m: n, n: k, k: m })?);
    }
    Ok(Products { machine: Machine::this(), precision: PRECISION, rates })
}

/// Floating-point operations a second of the up projection's forward product, the fastest repeat.
pub(super) fn peak_flops() -> Result<f64> {
    Ok(1e9 * rate("forward", matmul::nt, UP_PROJECTION)?.gflop_per_second)
}

type Product =
    fn(usize, usize, usize, &[f32], &[f32], &mut [f32]) -> std::result::Result<(), KernelError>;

fn rate(name: &'static str, product: Product, shape: Shape) -> Result<Rate> {
    let Shape { m, n, k } = shape;
    let numbers =
        |len: usize| (0..len).map(|i| (i * 7 % 13) as f32 / 13.0 - 0.5).collect::<Vec<f32>>();
    let (a, b, mut out) = (numbers(m * k), numbers(k * n), vec![0.0; m * n]);
    product(m, k, n, &a, &b, &mut out)?;
    let (mut fastest, mut n_repeats, started) = (Duration::MAX, 0, Instant::now());
    while n_repeats < 3 || started.elapsed() < AT_LEAST {
        let repeat = Instant::now();
        product(m, k, n, &a, &b, &mut out)?;
        fastest = fastest.min(repeat.elapsed());
        n_repeats += 1;
    }
    let flops = 2.0 * (m * n * k) as f64;
    Ok(Rate { product: name, shape, gflop_per_second: flops / fastest.as_secs_f64() / 1e9 })
}
