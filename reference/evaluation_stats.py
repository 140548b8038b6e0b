"""Statistics of evaluation by SciPy, statsmodels and scikit-learn, and the accuracy over m by enumeration.

usage: evaluation_stats.py
"""

import itertools
import warnings

from golden import write_json

import numpy as np
import pandas
import statsmodels.api as sm
from scipy import optimize, special, stats
from sklearn import metrics
from sklearn.calibration import calibration_curve
from statsmodels.formula.api import mixedlm, ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

DISCORDANT = [(1, 0), (0, 1), (6, 0), (0, 10), (3, 9), (9, 3), (12, 30), (120, 80), (500, 420), (700, 612)]
P_VALUES = [[0.01, 0.04, 0.03], [0.5, 0.5], [0.2, 0.001, 0.001, 0.9, 0.04], [1.0, 0.6, 0.0], [1e-12, 0.05, 0.02, 0.02]]
DIFFERENCES = [[1, 1, 0, 1], [0.5, -0.25, 1.0, 0.75, -0.1, 0.3], [2, -2, 2, -2, 1], [1, 1, 1, 1, 1, 1, 1, -1, -1, 0, 0]]
MARGINS = {
    "mixed": [0.3, -0.2, 2.5, 1.1, -1.7, 0.9, 4.2, -0.4, 0.05, 3.3, -2.6, 1.9, 0.7, -0.9, 5.5, 2.2, 0.15, -0.05, 1.4, 2.9],
    "too_sure": [9.0, 12.0, -7.5, 8.0, 15.0, -11.0, 6.0, 7.0, 10.0],
    "too_shy": [0.02, 0.05, -0.01, 0.03, 0.04, 0.06],
}
GROUPS = {
    "balanced": [[0.1, 0.4, 0.2, 0.3], [1.2, 0.9, 1.4, 1.1], [-0.3, 0.2, -0.6, 0.1], [0.8, 0.6, 0.9, 0.4], [2.0, 1.5, 1.8, 2.2]],
    "unbalanced": [[0.1, 0.4], [1.2, 0.9, 1.4, 1.1], [-0.3], [0.8, 0.6, 0.9], [2.0, 1.5, 1.8, 2.2, 1.7]],
}
TABLE = [[1, 0, 1, 1, 0, 1, 0, 1], [1, 1, 1, 1, 0, 0, 0, 1], [1, 0, 1, 0, 0, 1, 1, 1], [1, 1, 1, 1, 0, 1, 0, 1]]
CRITIQUES = [
    ([0.9, 0.2, -0.4, 1.3, 0.2], [0.1, 0.6, 0.6, -1.0, 0.3]),
    ([0.5, 0.5, 0.5, 0.5], [0.5, 0.25, 0.75, 0.5]),
    ([-1.0, 2.0, 0.0, 1.0, 3.0, -2.0], [0.0, 1.0, -1.0, 2.0, -2.0, 0.5]),
]


def corrected(b, c):
    test = mcnemar([[50, b], [c, 50]], exact=False, correction=True)
    below = stats.binom.cdf(min(b, c), b + c, 0.5)
    point = stats.binom.pmf(min(b, c), b + c, 0.5)
    return {
        "only_a": b, "only_b": c, "exact": mcnemar([[50, b], [c, 50]], exact=True).pvalue,
        "mid_p": 2 * below - point, "corrected": test.pvalue,
    }


def permutation(differences):
    test = stats.permutation_test(
        (np.array(differences, float),), lambda d, axis: d.mean(axis=axis),
        permutation_type="samples", vectorized=True, n_resamples=np.inf,
    )
    return {"differences": differences, "p": test.pvalue}


def clusters():
    values = [1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 1, 0.5]
    keys = [0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 4, 5]
    fit = sm.OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": keys})
    return {"values": values, "keys": keys, "standard_error": fit.bse[0]}


def calibration(name, margins):
    m = np.array(margins)
    confidence, right = special.expit(np.abs(m)), (m > 0).astype(int)
    edges = np.linspace(0, 1, 21)
    place = np.searchsorted(edges[1:-1], confidence)
    error = sum(abs(right[place == b].mean() - confidence[place == b].mean()) * (place == b).mean() for b in np.unique(place))
    outcome, stated = calibration_curve(right, confidence, n_bins=20, strategy="uniform")
    order = np.argsort(confidence)
    mass = np.array([rank * 4 // len(m) for rank in range(len(m))])
    adaptive = sum(
        abs(right[order][mass == b].mean() - confidence[order][mass == b].mean()) * (mass == b).mean() for b in np.unique(mass)
    )
    best = optimize.minimize_scalar(
        lambda log_t: np.logaddexp(0, -m / np.exp(log_t)).mean(), bounds=(-9, 9), method="bounded", options={"xatol": 1e-12},
    )
    chance = special.expit(m)
    return {
        "name": name, "margins": margins, "expected_error": error, "bin_outcome": outcome, "bin_probability": stated,
        "adaptive_error_4": adaptive, "temperature": np.exp(best.x),
        # scikit-learn scores both orientations of each pair, which is the mean over pairs.
        "brier": metrics.brier_score_loss([1] * len(m) + [0] * len(m), [*chance, *(1 - chance)]),
        "log_loss": metrics.log_loss([1] * len(m) + [0] * len(m), [*chance, *(1 - chance)]),
    }


def correlations():
    random = np.random.default_rng(11)
    x = random.integers(0, 12, 60)
    y = np.round(x * 0.3 + random.normal(0, 2, 60)).astype(int)
    interval = stats.pearsonr(x, y).confidence_interval(0.9)
    return {
        "x": x, "y": y, "pearson": stats.pearsonr(x, y).statistic, "spearman": stats.spearmanr(x, y).statistic,
        "kendall_tau_b": stats.kendalltau(x, y).statistic, "pearson_90": [interval.low, interval.high],
    }


def components(name, groups):
    frame = pandas.DataFrame([{"g": i, "v": v} for i, group in enumerate(groups) for v in group])
    table = anova_lm(ols("v ~ C(g)", frame).fit())
    between, within = table["mean_sq"]
    sizes = np.array([len(group) for group in groups])
    n0 = (sizes.sum() - (sizes**2).sum() / sizes.sum()) / (len(groups) - 1)
    row = {
        "name": name, "groups": groups, "between": (between - within) / n0, "within": within,
        "intraclass_correlation": (between - within) / (between + (n0 - 1) * within),
    }
    if name == "balanced":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = mixedlm("v ~ 1", frame, groups=frame["g"]).fit(reml=True)
        row["reml_between"], row["reml_within"] = fit.cov_re.iloc[0, 0], fit.scale
    return row


def seeds():
    frame = pandas.DataFrame([{"s": s, "i": i, "v": v} for s, row in enumerate(TABLE) for i, v in enumerate(row)])
    of_seeds, of_items, rest = anova_lm(ols("v ~ C(s) + C(i)", frame).fit())["mean_sq"]
    means = np.mean(TABLE, axis=1)
    interval = stats.t.interval(0.95, len(means) - 1, means.mean(), stats.sem(means))
    return {
        "table": TABLE, "seed_variance": max(0, (of_seeds - rest) / len(TABLE[0])),
        "item_variance": max(0, (of_items - rest) / len(TABLE)), "residual_variance": rest,
        "means": means, "std": means.std(ddof=1), "interval_95": interval,
    }


def odds(chosen, rejected, m):
    a = [sum(s) for s in itertools.combinations(sorted(chosen), m)]
    b = [sum(s) for s in itertools.combinations(sorted(rejected), m)]
    outcomes = [np.sign(x - y) for x in a for y in b]
    return {"m": m, "win": np.mean([o > 0 for o in outcomes]), "tie": np.mean([o == 0 for o in outcomes])}


def bootstrap():
    values = [0.031, 0.973, 0.872, 0.541, 0.237, 0.759, 0.998, 0.017, 0.915, 0.883, 0.462, 0.704, 0.129, 0.288, 0.936]
    result = stats.bootstrap((values,), np.mean, n_resamples=100_000, confidence_level=0.9, method="percentile", rng=3)
    return {"values": values, "level": 0.9, "low": result.confidence_interval.low, "high": result.confidence_interval.high}


if __name__ == "__main__":
    write_json("evaluation_statistics.json", {
        "mcnemar": [corrected(b, c) for b, c in DISCORDANT],
        "permutation": [permutation(d) for d in DIFFERENCES],
        "holm": [{"p": p, "corrected": multipletests(p, method="holm")[1]} for p in P_VALUES],
        "clusters": clusters(),
        "calibration": [calibration(name, margins) for name, margins in MARGINS.items()],
        "correlation": correlations(),
        "variance_components": [components(name, groups) for name, groups in GROUPS.items()],
        "seeds": seeds(),
        "pair_odds": [
            {"chosen": c, "rejected": r, "odds": [odds(c, r, m) for m in range(1, len(c) + 1)]} for c, r in CRITIQUES
        ],
        "bootstrap": bootstrap(),
    })
