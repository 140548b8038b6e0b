"""Statistics by SciPy, and stable functions by mpmath at 400 digits.

usage: stats.py   (not named statistics.py, which would hide the standard library's module)
"""

from golden import write_json

import mpmath
from scipy import stats

mpmath.mp.dps = 400

COUNTS = [(0, 1), (1, 1), (0, 10), (10, 10), (1, 10), (5, 10), (7, 10), (50, 100), (93, 100), (419, 419), (0, 419), (300, 419), (1499, 2985), (999_999, 1_000_000)]
LEVELS = [0.90, 0.95, 0.99]
DISCORDANT = [(0, 0), (1, 0), (0, 1), (5, 5), (6, 0), (0, 10), (3, 9), (9, 3), (12, 30), (100, 100), (120, 80), (500, 420)]
POINTS = [-1e308, -1e4, -750.0, -709.0, -100.0, -37.0, -20.0, -1.0, -1e-3, -1e-10, -1e-300, 0.0, 1e-300, 1e-10, 1e-3, 0.5, 1.0, 20.0, 37.0, 100.0, 709.0, 745.0, 1e4, 1e308]
SAMPLES = {
    "ties": ([1, 2, 2, 3, 4, 4, 4, 5], [2.0, 1.0, 3.0, 3.0, 5.0, 4.0, 4.0, 6.0]),
    "no_ties": ([0.1, -2.5, 3.75, 8.0, -1.0], [10.0, 12.5, -3.0, 4.0, 0.5]),
    "reversed": ([1, 2, 3, 4], [4, 3, 2, 1]),
    "binary": ([0, 1, 0, 1, 1, 0, 1], [0.2, 0.9, 0.4, 0.6, 0.4, 0.1, 0.8]),
}


def wilson(k, n, level):
    interval = stats.binomtest(k, n).proportion_ci(confidence_level=level, method="wilson")
    return {"k": k, "n": n, "level": level, "low": interval.low, "high": interval.high}


def mcnemar(b, c):
    return {"only_a_right": b, "only_b_right": c, "p": stats.binomtest(b, b + c).pvalue if b + c else 1.0}


def stable(x):
    """Each value rounded once to f64; a magnitude under the smallest f64 becomes 0."""
    exact = mpmath.mpf(x)
    small = mpmath.exp(-abs(exact))
    softplus = max(exact, 0) + mpmath.log1p(small)
    sigmoid = 1 / (1 + small) if x >= 0 else small / (1 + small)
    return {
        "x": x,
        "softplus": float(softplus),
        "log_sigmoid": -float(softplus - exact),
        "sigmoid": float(sigmoid),
    }


def correlation(name, x, y):
    return {
        "name": name, "x": x, "y": y,
        "pearson": stats.pearsonr(x, y).statistic,
        "spearman": stats.spearmanr(x, y).statistic,
        "kendall_tau_b": stats.kendalltau(x, y).statistic,
    }


if __name__ == "__main__":
    write_json("statistics.json", {
        "wilson": [wilson(k, n, level) for k, n in COUNTS for level in LEVELS],
        "mcnemar_exact": [mcnemar(b, c) for b, c in DISCORDANT],
        "stable": [stable(x) for x in POINTS],
        "correlation": [correlation(name, x, y) for name, (x, y) in SAMPLES.items()],
    })
