use super::machine::Machine;
use anyhow::Result;
use critic_kernels::bf16::PackedWeight;
use critic_kernels::linear::{self, Update, Weight};
use critic_kernels::peak::multiply_add;
use critic_kernels::{KernelError, Precision};
use serde::Serialize;
use std::time::{Duration, Instant};

/// A measurement goes on for at least so long, and for at least three repeats.
const AT_LEAST: Duration = Duration::from_millis(400);

/// Steps of a repeat of the instruction alone: some milliseconds.
const STEPS: usize = 1 << 20;

/// The shape of a linear layer: m tokens, from k numbers to n.
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
    /// `forward` (x · weightᵀ), `gradient of the input` (grad · weight) or `gradient of the weight` (gradᵀ · x).
    product: &'static str,
    #[serde(flatten)]
    shape: Shape,
    /// 2 · m · n · k over the fastest repeat's time, in 10⁹ a second.
    gflop_per_second: f64,
    /// Of what the instruction alone does.
    share: f64,
}

/// All products of the shapes that training has.
#[derive(Debug, Serialize)]
pub(super) struct Products {
    #[serde(flatten)]
    machine: Machine,
    precision: Precision,
    /// What all threads multiply and add in registers, in 10⁹ operations a second.
    instruction_gflop_per_second: f64,
    rates: Vec<Rate>,
}

/// The three products of a linear layer.
#[derive(Debug, Clone, Copy)]
enum Product {
    Forward,
    GradInput,
    GradWeight,
}

impl Product {
    fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::GradInput => "gradient of the input",
            Self::GradWeight => "gradient of the weight",
        }
    }
}

/// Measures the three products of the up projection, the down projection and the LM head.
pub(super) fn measure(precision: Precision) -> Result<Products> {
    let down_projection = Shape { m: 2048, n: 576, k: 1536 };
    let lm_head = Shape { m: 128, n: 49_152, k: 576 };
    let peak = instruction_rate(precision);
    let mut rates = Vec::new();
    for shape in [UP_PROJECTION, down_projection, lm_head] {
        for product in [Product::Forward, Product::GradInput, Product::GradWeight] {
            let gflop_per_second = rate(product, shape, precision)?;
            let share = gflop_per_second / peak;
            rates.push(Rate { product: product.name(), shape, gflop_per_second, share });
        }
    }
    let (machine, instruction_gflop_per_second) = (Machine::this(), peak);
    Ok(Products { machine, precision, instruction_gflop_per_second, rates })
}

/// Floating-point operations a second of the up projection's forward product, the fastest repeat.
pub(super) fn peak_flops(precision: Precision) -> Result<f64> {
    Ok(1e9 * rate(Product::Forward, UP_PROJECTION, precision)?)
}

/// What all threads multiply and add in registers at once, in 10⁹ operations a second: the fastest repeat.
fn instruction_rate(precision: Precision) -> f64 {
    let (mut fastest, started) = (0.0f64, Instant::now());
    while started.elapsed() < AT_LEAST {
        let repeat = Instant::now();
        let operations = rayon::broadcast(|_| multiply_add(precision, STEPS));
        let operations: f64 = operations.into_iter().map(|done| done.n_operations).sum();
        fastest = fastest.max(operations / repeat.elapsed().as_secs_f64() / 1e9);
    }
    fastest
}

/// 10⁹ operations a second.
fn rate(product: Product, shape: Shape, precision: Precision) -> Result<f64> {
    let Shape { m, n, k } = shape;
    let numbers =
        |len: usize| (0..len).map(|i| (i * 7 % 13) as f32 / 13.0 - 0.5).collect::<Vec<f32>>();
    let (mut x, mut weight, mut y) = (numbers(m * k), numbers(n * k), numbers(m * n));
    let packed = match precision {
        Precision::F32 => None,
        Precision::Bf16 => {
            let mut packed = PackedWeight::new(n, k);
            packed.pack(&weight)?;
            Some(packed)
        }
    };
    let mut run = || -> std::result::Result<(), KernelError> {
        let sizes = [m, k, n];
        let matrix = packed.as_ref().map_or(Weight::F32(&weight), Weight::Bf16);
        match product {
            Product::Forward => linear::forward(sizes, &x, matrix, &mut y, Update::Write),
            Product::GradInput => linear::backward_input(sizes, &y, matrix, &mut x, Update::Write),
            Product::GradWeight => linear::backward_weight(precision, sizes, &y, &x, &mut weight),
        }
    };
    run()?;
    let (mut fastest, mut n_repeats, started) = (Duration::MAX, 0, Instant::now());
    while n_repeats < 3 || started.elapsed() < AT_LEAST {
        let repeat = Instant::now();
        run()?;
        fastest = fastest.min(repeat.elapsed());
        n_repeats += 1;
    }
    Ok(2.0 * (m * n * k) as f64 / fastest.as_secs_f64() / 1e9)
}
