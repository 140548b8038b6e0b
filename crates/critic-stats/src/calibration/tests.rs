use super::*;
use proptest::prelude::*;

#[test]
fn a_model_that_never_decides_is_calibrated_and_says_nothing() {
    let result = calibration(&[0.0; 7], 10).unwrap();
    assert_eq!((result.expected_error, result.adaptive_error), (0.0, 0.0));
    assert!((result.brier_score - 0.25).abs() < 1e-15);
    assert!((result.log_loss - std::f64::consts::LN_2).abs() < 1e-15);
    assert_eq!((result.bins.len(), result.bins[0].n), (1, 7));
}

#[test]
fn one_sure_and_wrong_pair_costs_all() {
    let result = calibration(&[-800.0], 10).unwrap();
    assert_eq!((result.expected_error, result.brier_score, result.log_loss), (1.0, 1.0, 800.0));
}

#[test]
fn bins_are_closed_above() {
    let at = |probability| Forecast { probability, outcome: 1.0 };
    let edges = [0.0, 0.1, 0.2, 0.3, 0.30000000000000004, 0.7, 1.0];
    let forecasts: Vec<Forecast> = edges.iter().map(|&p| at(p)).collect();
    let bins = reliability_bins(&forecasts, Binning::EqualWidth(10)).unwrap();
    let found: Vec<(f64, usize)> = bins.iter().map(|bin| (bin.high, bin.n)).collect();
    assert_eq!(found, [(0.1, 2), (0.2, 1), (0.3, 1), (0.4, 1), (0.7, 1), (1.0, 1)]);
}

#[test]
fn equal_chances_share_a_bin_of_equal_mass() {
    let at = |probability, outcome| Forecast { probability, outcome };
    let forecasts = [at(0.6, 1.0), at(0.6, 0.0), at(0.6, 1.0), at(0.9, 1.0)];
    let bins = reliability_bins(&forecasts, Binning::EqualMass(2)).unwrap();
    assert_eq!((bins.len(), bins[0].n, bins[1].n), (2, 3, 1));
    assert_eq!((bins[0].low, bins[0].high, bins[1].low), (0.6, 0.6, 0.9));
}

#[test]
fn bad_input_is_named() {
    let message = |result: Result<Calibration, StatsError>| result.unwrap_err().to_string();
    assert!(message(calibration(&[], 10)).contains("no items"));
    assert!(message(calibration(&[0.0], 0)).contains("0 bins"));
    assert!(message(calibration(&[0.0, f64::NAN], 10)).contains("margin number 1 is NaN"));
    let odd = [Forecast { probability: 1.5, outcome: 1.0 }];
    assert!(reliability_bins(&odd, Binning::EqualMass(3)).is_err());
}

proptest! {
    #[test]
    fn every_measure_is_bounded_and_order_does_not_matter(
        mut margins in prop::collection::vec(-6i32..6, 1..60), n_bins in 1usize..20,
    ) {
        let of = |margins: &[i32]| {
            calibration(&margins.iter().map(|&m| f64::from(m) / 2.0).collect::<Vec<_>>(), n_bins).unwrap()
        };
        let forward = of(&margins);
        for share in [forward.expected_error, forward.adaptive_error, forward.brier_score] {
            prop_assert!((0.0..=1.0).contains(&share));
        }
        prop_assert_eq!(forward.bins.iter().map(|bin| bin.n).sum::<usize>(), margins.len());
        for bin in &forward.bins {
            prop_assert!(bin.low - 1e-12 <= bin.mean_probability && bin.mean_probability <= bin.high + 1e-12);
        }
        margins.reverse();
        let backward = of(&margins);
        prop_assert_eq!(forward.bins, backward.bins);
        prop_assert_eq!(forward.adaptive_error, backward.adaptive_error);
    }
}
