use critic_stats::mean_std;
use serde::Serialize;

/// The least-squares line y = intercept + slope · x.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct LinearFit {
    pub(super) intercept: f64,
    pub(super) slope: f64,
    /// Share of the variance of y that the line explains: 1 − Σ(y − ŷ)² / Σ(y − ȳ)².
    pub(super) r2: f64,
}

impl LinearFit {
    /// The line through these points; absent for fewer than three, or when all x or all y are equal.
    pub(super) fn through(points: &[(f64, f64)]) -> Option<Self> {
        if points.len() < 3 {
            return None;
        }
        let mean = |values: Vec<f64>| mean_std(&values).ok().map(|summary| summary.mean);
        let mean_x = mean(points.iter().map(|point| point.0).collect())?;
        let mean_y = mean(points.iter().map(|point| point.1).collect())?;
        let sum = |term: &dyn Fn(f64, f64) -> f64| -> f64 {
            points.iter().map(|&(x, y)| term(x - mean_x, y - mean_y)).sum()
        };
        let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
        if xx == 0.0 || yy == 0.0 {
            return None;
        }
        let slope = xy / xx;
        let r2 = 1.0 - sum(&|x, y| (y - slope * x).powi(2)) / yy;
        Some(Self { intercept: mean_y - slope * mean_x, slope, r2 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_and_a_bend_costs() {
        let line: Vec<(f64, f64)> =
            (1..6).map(|i| (f64::from(i), 2.0 + 3.0 * f64::from(i))).collect();
        let fit = LinearFit::through(&line).unwrap();
        assert!((fit.intercept - 2.0).abs() < 1e-12 && (fit.slope - 3.0).abs() < 1e-12);
        assert!((fit.r2 - 1.0).abs() < 1e-12);
        let square: Vec<(f64, f64)> = line.iter().map(|&(x, _)| (x, x * x)).collect();
        // SciPy's linregress on (1, 1), (2, 4), ... (5, 25): slope 6, intercept -7, r² = 0.962567.
        let fit = LinearFit::through(&square).unwrap();
        assert!((fit.slope - 6.0).abs() < 1e-12 && (fit.intercept + 7.0).abs() < 1e-12);
        assert!((fit.r2 - 0.962_566_844_919_786).abs() < 1e-12, "{}", fit.r2);
    }

    #[test]
    fn too_few_or_equal_points_have_no_line() {
        assert_eq!(LinearFit::through(&[(1.0, 1.0), (2.0, 2.0)]), None);
        assert_eq!(LinearFit::through(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
    }
}
