use super::*;
use proptest::prelude::*;

type Measure = fn(&[f64], &[f64]) -> Result<f64, StatsError>;
const MEASURES: [Measure; 3] = [pearson, spearman, kendall_tau_b];

#[test]
fn what_is_not_defined_is_an_error() {
    for measure in MEASURES {
        assert!(matches!(measure(&[1.0, 1.0], &[1.0, 2.0]), Err(StatsError::Constant { .. })));
        assert!(matches!(measure(&[1.0, 2.0], &[3.0, 3.0]), Err(StatsError::Constant { .. })));
        assert!(matches!(measure(&[1.0], &[1.0]), Err(StatsError::TooFew { .. })));
        assert!(matches!(measure(&[1.0, 2.0], &[1.0]), Err(StatsError::Lengths { .. })));
        let error = measure(&[1.0, 2.0], &[1.0, f64::NAN]).unwrap_err().to_string();
        assert!(error.contains("second value number 1 is NaN"), "{error}");
    }
    assert!(fisher_interval(0.5, 3, 0.95).is_err() && fisher_interval(1.5, 9, 0.95).is_err());
}

#[test]
fn huge_values_and_signed_zeros_do_no_harm() {
    assert!((pearson(&[1e308, -1e308, 0.0], &[1e-300, -1e-300, 0.0]).unwrap() - 1.0).abs() < 1e-12);
    let (x, y) = ([0.0, -0.0, 1.0], [0.0, 0.0, 2.0]);
    assert!((kendall_tau_b(&x, &y).unwrap() - 1.0).abs() < 1e-14);
    assert!((spearman(&x, &y).unwrap() - 1.0).abs() < 1e-14);
}

proptest! {
    #[test]
    fn order_and_side_do_not_matter(points in prop::collection::vec((-4i32..5, -4i32..5), 2..40)) {
        let list = |points: &[(i32, i32)]| -> (Vec<f64>, Vec<f64>) {
            points.iter().map(|&(x, y)| (f64::from(x), f64::from(y))).unzip()
        };
        let (x, y) = list(&points);
        let turned: Vec<f64> = y.iter().map(|v| -v).collect();
        let mut backward = points.clone();
        backward.reverse();
        let (x_back, y_back) = list(&backward);
        for measure in MEASURES {
            let Ok(value) = measure(&x, &y) else { continue };
            prop_assert!((-1.0..=1.0).contains(&value));
            prop_assert!((value - measure(&y, &x).unwrap()).abs() < 1e-12);
            prop_assert!((value - measure(&x_back, &y_back).unwrap()).abs() < 1e-12);
            prop_assert!((value + measure(&x, &turned).unwrap()).abs() < 1e-12);
        }
    }

    #[test]
    fn kendall_counts_every_pair(points in prop::collection::vec((-4i32..5, -4i32..5), 2..30)) {
        let (x, y): (Vec<f64>, Vec<f64>) =
            points.iter().map(|&(x, y)| (f64::from(x), f64::from(y))).unzip();
        let (mut sum, mut free_x, mut free_y) = (0, 0, 0);
        for (i, a) in points.iter().enumerate() {
            for b in &points[..i] {
                sum += (a.0 - b.0).signum() * (a.1 - b.1).signum();
                free_x += i32::from(a.0 != b.0);
                free_y += i32::from(a.1 != b.1);
            }
        }
        if free_x > 0 && free_y > 0 {
            let expected = f64::from(sum) / (f64::from(free_x) * f64::from(free_y)).sqrt();
            prop_assert!((kendall_tau_b(&x, &y).unwrap() - expected).abs() < 1e-12);
        }
    }
}
