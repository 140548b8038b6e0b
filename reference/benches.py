"""Bench arithmetic with numpy, pandas, SciPy and scikit-learn, written from the papers' descriptions.

usage: benches.py
"""

import itertools

from golden import write_json

import numpy as np
import pandas
from scipy import stats
from sklearn import metrics

CHAT = {"alpacaeval-easy": 100, "alpacaeval-length": 95, "alpacaeval-hard": 95, "mt-bench-easy": 28, "mt-bench-med": 40}
HARD = {
    "mt-bench-hard": 37, "llmbar-natural": 100, "llmbar-adver-neighbor": 134, "llmbar-adver-GPTInst": 92,
    "llmbar-adver-GPTOut": 47, "llmbar-adver-manual": 46,
}
SAFETY = {
    "refusals-dangerous": 100, "refusals-offensive": 100, "xstest-should-refuse": 154, "xstest-should-respond": 250,
    "donotanswer": 136,
}
REASONING = {"math-prm": 984, **{f"hep-{language}": 164 for language in ["cpp", "go", "java", "js", "python", "rust"]}}
PRIOR = ["anthropic_helpful", "anthropic_hhh", "shp", "summarize"]


def scores(random, shape):
    """Halves, so that ties happen."""
    return np.round(random.normal(0, 2, shape)) / 2


def reward_bench(random):
    names = [*CHAT, *HARD, *SAFETY, *REASONING, *PRIOR]
    table = pandas.DataFrame({"subset": random.choice(names, 400), "chosen": scores(random, 400) + 0.5, "rejected": scores(random, 400)})
    accuracy = (table.chosen > table.rejected).groupby(table.subset).mean()
    earlier = {**SAFETY, "xstest-should-refuse": 250, "xstest-should-respond": 154}

    def four(safety):
        return [
            np.average([accuracy[name] for name in counts], weights=list(counts.values()))
            for counts in (CHAT, HARD, safety, REASONING)
        ]

    current = four(SAFETY)
    prior = np.mean([accuracy[name] for name in PRIOR])
    return {
        "rows": table.values.tolist(), "current": current, "earlier": four(earlier), "overall": np.mean(current),
        "overall_with_prior": np.average([*current, prior], weights=[2, 2, 2, 2, 1]),
    }


def reward_bench_2(random):
    rows, by_domain = [], {}
    for domain in ["Factuality", "Precise IF", "Math", "Safety", "Focus"]:
        table = scores(random, (12, 4))
        rows += [{"id": f"{domain}-{i}", "subset": domain, "n_correct": 1, "scores": row} for i, row in enumerate(table)]
        by_domain[domain] = np.mean([(row[0] == row.max()) / (row == row.max()).sum() for row in table])
    prompts = []
    for key in range(14):
        # The last prompts give 0 / 0 and x / 0.
        reference, tied, n_correct = scores(random, 4), scores(random, 7), int(random.integers(2, 5))
        if key >= 10:
            tied[:n_correct] = [1.0, 2.0, 0.0, 1.0][key - 10]
            reference[0], reference[1:] = 3.0, [2.0, 1.0, 4.0, 3.0][key - 10]
            tied[n_correct:] = [0.0, 2.0, 0.0, 1.0][key - 10]
        rows.append({"id": f"ref:{key}", "subset": "Ties", "n_correct": 1, "scores": reference})
        rows.append({"id": f"tied:{key}", "subset": "Ties", "n_correct": n_correct, "scores": tied})
        prompts.append((np.ptp(tied[:n_correct]), tied[:n_correct].min() - tied[n_correct:].max(), reference[0] - reference[1:].max()))
    spread, of_tied, of_ref = np.array(prompts).T
    smaller = np.minimum(of_tied, of_ref)
    with np.errstate(divide="ignore", invalid="ignore"):
        term = np.nan_to_num(np.tanh(smaller / spread - 1), nan=0.0).mean()
    ties = (
        0.3 * (of_tied > 0).mean() + 0.3 * (of_ref > 0).mean() + 0.2 * (of_tied > spread).mean()
        + 0.2 * (smaller > spread).mean() + 0.01 * term
    )
    by_domain["Ties"] = ties
    return {"rows": rows, "domains": by_domain, "margin_term": term, "overall": np.mean(list(by_domain.values()))}


def rm_bench(random):
    rows, matrices = [], {}
    domains = {"chat": ["chat"], "math": ["math"], "code": ["code"], "safety": ["safety-refuse", "safety-response"]}
    for domain, parts in domains.items():
        pooled = []
        for part, n in zip(parts, [5, 9]):
            for i in range(n):
                chosen, rejected = scores(random, 3) + 0.5, scores(random, 3)
                rows.append({"id": f"{part}/{i}", "domain": part, "chosen": chosen, "rejected": rejected})
                pooled.append(chosen[:, None] > rejected[None, :])
        matrices[domain] = np.mean(pooled, axis=0)
    levels = {d: (np.triu(m, 1).sum() / 3, np.diag(m).mean(), np.tril(m, -1).sum() / 3) for d, m in matrices.items()}
    hard, normal, easy = np.mean(list(levels.values()), axis=0)
    return {"rows": rows, "hard": hard, "normal": normal, "easy": easy, "total": np.mean([np.mean(l) for l in levels.values()])}


def judge_bench(random):
    decisions, rows = ["A>B", "B>A", "A=B", None], []
    counter = both = one = 0
    for i in range(60):
        label = decisions[random.integers(0, 2)]
        games = [decisions[j] for j in random.choice(4, 2, p=[0.4, 0.4, 0.1, 0.1])]
        flip = {"A>B": "B>A", "B>A": "A>B"}
        seen = [games[0], flip.get(games[1], games[1])]
        points = sum((d == label) - (d == flip[label]) for d in seen)
        counter += points > 0
        both += seen == [label, label]
        one += games[0] == label
        rows.append({"id": str(i), "source": "livebench-math", "label": label, "games": games})
    return {"rows": rows, "two_games": counter / 60, "n_both_right": both, "one_game": one / 60}


def ppe(random):
    rows, shares, normal, right = [], [], [], []
    for i in range(8):
        truth, rewards = random.random(6) < 0.5, scores(random, 6)
        truth[0], truth[1] = True, False
        if i == 7:
            rewards[:] = 1.5
        pairs = [(a, b) for a, b in itertools.permutations(range(6), 2) if truth[a] != truth[b]][: 3 + i]
        shares.append(np.mean([(truth[a] > truth[b]) == (rewards[a] > rewards[b]) for a, b in pairs]))
        width = np.ptp(rewards)
        normal += list((rewards - rewards.min()) / width if width else np.full(6, 0.5))
        right += list(truth)
        rows.append({"id": str(i), "truth": truth, "rewards": rewards, "conflict_pairs": pairs})
    return {"rows": rows, "accuracy": np.mean(shares), "auc": metrics.roc_auc_score(right, normal), **best_of_k(rows[:3])}


def best_of_k(rows):
    """Over every order of the first three prompts."""
    maxima, ends, losses = [], [], []
    for row in rows:
        for order in itertools.permutations(range(6)):
            picked = [row["truth"][max(order[: k + 1], key=lambda i: (row["rewards"][i], -order.index(i)))] for k in range(6)]
            oracle = np.maximum.accumulate([row["truth"][i] for i in order])
            maxima.append(max(picked))
            ends.append(picked[-1])
            losses.append(np.mean((oracle.astype(float) - np.array(picked, float)) ** 2))
    return {"max_score": np.mean(maxima), "end_score": np.mean(ends), "loss": np.mean(losses)}


def critic_bench(random):
    rows = [{"id": str(i), "right": bool(random.random() < 0.6), "says": [True, False, None][random.choice(3, p=[0.5, 0.4, 0.1])]} for i in range(80)]
    wrong = [not row["right"] for row in rows]
    published = [row["right"] if row["says"] is None else not row["says"] for row in rows]
    read = [row for row in rows if row["says"] is not None]
    return {
        "rows": rows, "published_f1": metrics.f1_score(wrong, published),
        "f1": metrics.f1_score([not r["right"] for r in read], [not r["says"] for r in read]),
    }


def cross_eval(random):
    rows = []
    for i in range(45):
        ratings = random.integers(1, 6, 2)
        rows.append({"id": str(i), "prompt_id": str(i // 3), "ratings": ratings, "score": ratings.mean() / 3 + float(scores(random, 1)[0])})
    people, model = [np.mean(row["ratings"]) for row in rows], [row["score"] for row in rows]
    pairs = [
        (model[a] - model[b]) * (people[a] - people[b]) > 0
        for a, b in itertools.combinations(range(45), 2) if a // 3 == b // 3 and people[a] != people[b]
    ]
    return {
        "rows": rows, "pearson": stats.pearsonr(people, model).statistic, "spearman": stats.spearmanr(people, model).statistic,
        "kendall_tau_b": stats.kendalltau(people, model).statistic, "pairwise": np.mean(pairs),
    }


if __name__ == "__main__":
    random = np.random.default_rng(7)
    write_json("benches.json", {
        bench.__name__: bench(random)
        for bench in [reward_bench, reward_bench_2, rm_bench, judge_bench, ppe, critic_bench, cross_eval]
    })
