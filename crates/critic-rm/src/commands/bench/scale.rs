use super::args::TrainArgs;
use super::linear_fit::LinearFit;
use super::machine::Machine;
use super::train::TrainBench;
use crate::exit::Fault;
use anyhow::{Result, anyhow};
use critic_kernels::Precision;
use serde::Serialize;

/// The cost of a step on so many pairs.
#[derive(Debug, Serialize)]
struct Point {
    n_pairs: usize,
    distinct_tokens: usize,
    seconds: f64,
}

/// The cost of a step against its distinct tokens.
#[derive(Debug, Serialize)]
pub(super) struct Scaling {
    #[serde(flatten)]
    machine: Machine,
    precision: Precision,
    critiques_per_response: usize,
    points: Vec<Point>,
    /// Seconds against distinct tokens; the intercept is what a step costs whatever its size.
    fit: Option<LinearFit>,
}

/// Steps on the first pairs of the work, each size on a model of its own: the second of two steps counts.
pub(super) fn measure(args: &TrainArgs) -> Result<Scaling> {
    let bench = TrainBench::new(args)?;
    let mut points = Vec::new();
    for &n_pairs in &args.scale {
        if !(1..=bench.pairs.len()).contains(&n_pairs) {
            return Err(Fault::config(anyhow!(
                "--scale holds {n_pairs}; the work has {} pairs with critiques: take 1 to {}",
                bench.pairs.len(),
                bench.pairs.len()
            )));
        }
        let config = bench.config(n_pairs)?;
        let run = bench.train(&config, &bench.pairs[..n_pairs])?;
        if let Some(record) = run.records.last() {
            points.push(Point {
                n_pairs,
                distinct_tokens: record.n_tokens,
                seconds: record.seconds,
            });
        }
    }
    let line: Vec<(f64, f64)> =
        points.iter().map(|point| (point.distinct_tokens as f64, point.seconds)).collect();
    Ok(Scaling {
        machine: Machine::this(),
        precision: bench.config(1)?.precision,
        critiques_per_response: args.critiques_per_response,
        fit: LinearFit::through(&line),
        points,
    })
}
