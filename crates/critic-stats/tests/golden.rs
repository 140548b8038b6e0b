//! Agreement with SciPy, statsmodels and scikit-learn (`reference/stats.py`, `reference/evaluation_stats.py`).

use critic_stats::calibration::{
    Binning, calibration, calibration_error, confidences, reliability_bins,
};
use critic_stats::correlation::{fisher_interval, kendall_tau_b, pearson, spearman};
use critic_stats::critiques::pair_odds;
use critic_stats::{
    Bootstrap, Clusters, PreferenceLoss, Temperature, bootstrap_interval, clustered_standard_error,
    holm, mcnemar, paired_permutation_test, seed_effect, seeds_and_items, variance_components,
    wilson_interval,
};
use critic_types::SeedTree;
use serde_json::Value;

fn golden(name: &str) -> Value {
    let path = format!("{}/../../reference/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).expect(&path)).expect(&path)
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(number).collect()
}

fn rows(value: &Value) -> &[Value] {
    value.as_array().expect("a list of rows")
}

fn count(value: &Value) -> u64 {
    value.as_u64().expect("a count")
}

#[track_caller]
fn near(found: f64, expected: &Value, tolerance: f64) {
    let expected = number(expected);
    assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0), "{found} {expected}");
}

#[test]
fn wilson_and_mcnemar_are_those_of_scipy() {
    let file = golden("statistics.json");
    for row in rows(&file["wilson"]) {
        let n = count(&row["n"]) as usize;
        let interval = wilson_interval(number(&row["k"]), n, number(&row["level"])).unwrap();
        near(interval.low, &row["low"], 1e-12);
        near(interval.high, &row["high"], 1e-12);
    }
    for row in rows(&file["mcnemar_exact"]) {
        let p = mcnemar::exact(count(&row["only_a_right"]), count(&row["only_b_right"]));
        near(p / number(&row["p"]), &Value::from(1.0), 1e-10);
    }
}

#[test]
fn correlations_are_those_of_scipy() {
    let (small, large) = (golden("statistics.json"), golden("evaluation_statistics.json"));
    for row in rows(&small["correlation"]).iter().chain([&large["correlation"]]) {
        let (x, y) = (numbers(&row["x"]), numbers(&row["y"]));
        near(pearson(&x, &y).unwrap(), &row["pearson"], 1e-13);
        near(spearman(&x, &y).unwrap(), &row["spearman"], 1e-13);
        near(kendall_tau_b(&x, &y).unwrap(), &row["kendall_tau_b"], 1e-13);
    }
    let row = &large["correlation"];
    let n = rows(&row["x"]).len();
    let interval = fisher_interval(number(&row["pearson"]), n, 0.9).unwrap();
    near(interval.low, &row["pearson_90"][0], 1e-12);
    near(interval.high, &row["pearson_90"][1], 1e-12);
}

#[test]
fn every_form_of_mcnemar_is_that_of_statsmodels() {
    for row in rows(&golden("evaluation_statistics.json")["mcnemar"]) {
        let (a, b) = (count(&row["only_a"]), count(&row["only_b"]));
        near(mcnemar::exact(a, b), &row["exact"], 1e-10);
        near(mcnemar::mid_p(a, b), &row["mid_p"], 1e-10);
        near(mcnemar::continuity_corrected(a, b), &row["corrected"], 1e-10);
    }
}

#[test]
fn permutation_and_holm_are_those_of_scipy_and_statsmodels() {
    let file = golden("evaluation_statistics.json");
    for row in rows(&file["permutation"]) {
        let differences = numbers(&row["differences"]);
        let test = paired_permutation_test(&differences, 1 << 12, SeedTree::new(0)).unwrap();
        assert!(test.exact);
        near(test.p, &row["p"], 1e-12);
    }
    for row in rows(&file["holm"]) {
        let corrected = holm(&numbers(&row["p"])).unwrap();
        for (found, expected) in corrected.iter().zip(rows(&row["corrected"])) {
            near(*found, expected, 1e-12);
        }
    }
}

#[test]
fn the_clustered_error_is_that_of_statsmodels() {
    let row = &golden("evaluation_statistics.json")["clusters"];
    let clusters = Clusters::by_key(rows(&row["keys"]).iter().map(count));
    let error = clustered_standard_error(&numbers(&row["values"]), &clusters).unwrap();
    near(error, &row["standard_error"], 1e-12);
}

#[test]
fn calibration_is_that_of_scikit_learn() {
    for row in rows(&golden("evaluation_statistics.json")["calibration"]) {
        let margins = numbers(&row["margins"]);
        let found = calibration(&margins, 10).unwrap();
        near(found.expected_error, &row["expected_error"], 1e-12);
        near(found.brier_score, &row["brier"], 1e-12);
        near(found.log_loss, &row["log_loss"], 1e-12);
        assert_eq!(found.bins.len(), rows(&row["bin_outcome"]).len());
        for (i, bin) in found.bins.iter().enumerate() {
            near(bin.mean_outcome, &row["bin_outcome"][i], 1e-12);
            near(bin.mean_probability, &row["bin_probability"][i], 1e-12);
        }
        let forecasts = confidences(&margins).unwrap();
        let of_equal_mass = reliability_bins(&forecasts, Binning::EqualMass(4)).unwrap();
        near(calibration_error(&of_equal_mass), &row["adaptive_error_4"], 1e-12);
        let temperature = Temperature::fit(&margins).unwrap().value();
        // SciPy searches for the minimum itself, which has half the digits of its slope's root.
        near(temperature / number(&row["temperature"]), &Value::from(1.0), 1e-6);
    }
}

#[test]
fn variance_components_are_those_of_statsmodels() {
    for row in rows(&golden("evaluation_statistics.json")["variance_components"]) {
        let groups: Vec<Vec<f64>> = rows(&row["groups"]).iter().map(numbers).collect();
        let found = variance_components(&groups).unwrap();
        near(found.between, &row["between"], 1e-12);
        near(found.within, &row["within"], 1e-12);
        near(found.intraclass_correlation, &row["intraclass_correlation"], 1e-12);
        if let Some(between) = row.get("reml_between") {
            near(found.between, between, 1e-4);
            near(found.within, &row["reml_within"], 1e-4);
        }
    }
}

#[test]
fn seeds_are_split_as_by_statsmodels() {
    let row = &golden("evaluation_statistics.json")["seeds"];
    let table: Vec<Vec<f64>> = rows(&row["table"]).iter().map(numbers).collect();
    let found = seeds_and_items(&table).unwrap();
    near(found.seed_variance, &row["seed_variance"], 1e-12);
    near(found.item_variance, &row["item_variance"], 1e-12);
    near(found.residual_variance, &row["residual_variance"], 1e-12);
    let effect = seed_effect(&numbers(&row["means"]), 0.95).unwrap();
    near(effect.std, &row["std"], 1e-12);
    near(effect.interval.low, &row["interval_95"][0], 1e-9);
    near(effect.interval.high, &row["interval_95"][1], 1e-9);
}

#[test]
fn subsets_are_those_of_itertools() {
    for row in rows(&golden("evaluation_statistics.json")["pair_odds"]) {
        let (chosen, rejected) = (numbers(&row["chosen"]), numbers(&row["rejected"]));
        for expected in rows(&row["odds"]) {
            let m = count(&expected["m"]) as usize;
            let found = pair_odds(&chosen, &rejected, m, SeedTree::new(0)).unwrap();
            near(found.win, &expected["win"], 1e-12);
            near(found.tie, &expected["tie"], 1e-12);
        }
    }
}

#[test]
fn the_bootstrap_comes_near_that_of_scipy() {
    let row = &golden("evaluation_statistics.json")["bootstrap"];
    let bootstrap = Bootstrap {
        n_resamples: 40_000,
        confidence: number(&row["level"]),
        seed: SeedTree::new(1),
    };
    let found = bootstrap_interval(&numbers(&row["values"]), &bootstrap).unwrap();
    near(found.low, &row["low"], 0.005);
    near(found.high, &row["high"], 0.005);
}

#[test]
fn the_preference_loss_and_its_slopes_are_pytorchs() {
    for row in rows(&golden("preference_loss.json")["rows"]) {
        let margin = serde_json::from_value(row["kind"].clone()).unwrap();
        let loss = PreferenceLoss {
            margin,
            label_smoothing: number(&row["smoothing"]),
            centering: number(&row["centering"]),
        };
        let (chosen, rejected) = (number(&row["chosen"]), number(&row["rejected"]));
        let found = loss.of(chosen, rejected, Some(number(&row["margin"]))).unwrap();
        near(found.loss, &row["loss"], 1e-12);
        near(found.chosen_slope, &row["chosen_slope"], 1e-12);
        near(found.rejected_slope, &row["rejected_slope"], 1e-12);
    }
}
