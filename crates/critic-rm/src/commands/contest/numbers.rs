use super::contestant::Sampled;
use super::items::BenchData;
use super::readings::Way;
use super::truths::{Ratings, Truth};
use anyhow::Result;
use critic_eval::benches::{
    Arithmetic, BestOfNRow, Candidate, CrossEvalRow, Decision, JudgeBenchRow, PpeHumanRow, PpeRow,
    PriorSets, RewardBench2Row, RewardBenchRow, RmBenchRow, ScoredTruth, SubsetWeights,
    TiedRewards, Winner, best_of_n, critique_f1, cross_eval, cross_eval_intervals,
    decision_of_rewards, f1_interval, fitted_verdicts, judge_bench_one_game, judge_bench_two_games,
    pair_bench, ppe_best_of_k, ppe_conflicts, ppe_human, reward_bench, reward_bench_2,
    right_above_wrong, rm_bench, verdicts_at,
};
use critic_eval::{Accuracy, Contestant};
use critic_stats::{Bootstrap, Interval, TieRule};
use serde::Serialize;
use serde_json::Value;

/// Orders of a prompt's responses in PPE's best-of-K, as published.
const N_ORDERS: usize = 100;

/// Draws of whole prompts for the intervals of correlations, which cost a sort each.
const N_CORRELATIONS: usize = 1_000;

/// A share, 0–1 for most benches, absent where nothing counts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Number {
    pub(super) name: String,
    pub(super) value: Option<f64>,
    /// At 95 %, where the bench has one.
    pub(super) interval: Option<(f64, f64)>,
    pub(super) n: Option<usize>,
}

impl Number {
    fn new(name: impl Into<String>, value: Option<f64>) -> Self {
        Self { name: name.into(), value, interval: None, n: None }
    }

    fn of(name: impl Into<String>, accuracy: Option<&Accuracy>) -> Self {
        Self {
            name: name.into(),
            value: accuracy.map(|accuracy| accuracy.agreement.accuracy),
            interval: accuracy.map(|accuracy| (accuracy.interval.low, accuracy.interval.high)),
            n: accuracy.map(|accuracy| accuracy.agreement.n),
        }
    }

    fn between(self, interval: Option<Interval>) -> Self {
        Self { interval: interval.map(|interval| (interval.low, interval.high)), ..self }
    }

    fn over(self, n: usize) -> Self {
        Self { n: Some(n), ..self }
    }
}

/// What a contestant gets on a bench, the number that the bench is known by first.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Numbers {
    pub(super) contestant: String,
    pub(super) parts: Vec<Number>,
    pub(super) n_items: usize,
    /// Items that lack a number.
    pub(super) n_missing: usize,
    /// Everything the bench's arithmetic says.
    pub(super) detail: Value,
}

/// The numbers of one contestant; `games` are those of a judge of two responses.
pub(super) fn numbers(
    data: &BenchData,
    way: &Way,
    games: Option<&Sampled>,
    bootstrap: &Bootstrap,
) -> Result<Numbers> {
    let contestant = &way.contestant;
    let scores = Scores { data, contestant };
    let (parts, detail) = match data.arithmetic {
        Arithmetic::Pairs => of_pairs(data, contestant, bootstrap)?,
        Arithmetic::CriticBench => scores.critic_bench(way.threshold, bootstrap)?,
        Arithmetic::CrossEval => scores.cross_eval(bootstrap)?,
        Arithmetic::RewardBench => scores.reward_bench()?,
        Arithmetic::RewardBench2 => scores.reward_bench_2()?,
        Arithmetic::RmBench => scores.rm_bench()?,
        Arithmetic::JudgeBench => match games {
            Some(games) => scores.two_games(games)?,
            None => scores.one_game()?,
        },
        Arithmetic::PpeHuman => scores.ppe_human()?,
        Arithmetic::PpeCorrectness => scores.ppe_correctness(bootstrap)?,
        Arithmetic::BestOfN => scores.best_of_n(bootstrap)?,
    };
    let n_missing = (0..data.items.len()).filter(|&item| scores.of(item).is_none()).count();
    let n_items = data.items.len();
    Ok(Numbers { contestant: contestant.name.clone(), parts, n_items, n_missing, detail })
}

type Parts = (Vec<Number>, Value);

fn of_pairs(data: &BenchData, contestant: &Contestant, bootstrap: &Bootstrap) -> Result<Parts> {
    let found = pair_bench(contestant, &data.pairs, TieRule::Wrong, bootstrap)?;
    let clustered = found.clustered_interval.map(|interval| (interval.low, interval.high));
    let overall = Number::of("accuracy", found.result.accuracy.as_ref());
    let mut parts = vec![Number { interval: clustered, ..overall }];
    if found.result.by_domain.len() > 1 {
        let domains = found.result.by_domain.iter();
        parts.extend(domains.map(|part| Number::of(&part.domain, part.accuracy.as_ref())));
    }
    let subsets = found.subsets.iter();
    parts.extend(subsets.map(|part| Number::of(&part.subset, part.accuracy.as_ref())));
    Ok((parts, serde_json::to_value(&found)?))
}

/// A contestant's numbers in the order of a bench's rows.
struct Scores<'a> {
    data: &'a BenchData,
    contestant: &'a Contestant,
}

impl Scores<'_> {
    /// The numbers of an item's responses; nothing when one is missing.
    fn of(&self, item: usize) -> Option<Vec<f64>> {
        let number =
            |response| self.contestant.predictions.get(&self.data.key(item, response)).copied();
        (0..self.data.items[item].responses.len()).map(number).collect()
    }

    fn of_two(&self, item: usize) -> Option<(f64, f64)> {
        match self.of(item)?[..] {
            [chosen, rejected] => Some((chosen, rejected)),
            _ => None,
        }
    }

    fn rows<T>(&self, row: impl Fn(usize, &str, &Value) -> Result<T>) -> Result<Vec<T>> {
        let items = self.data.items.iter().enumerate();
        items.map(|(i, item)| row(i, &item.id, &item.row)).collect()
    }

    fn subset(&self, item: usize) -> String {
        self.data.pairs[item].subset.clone().unwrap_or_default()
    }

    fn reward_bench(&self) -> Result<Parts> {
        let rows = self.rows(|i, id, _| {
            let (id, subset) = (id.to_owned(), self.subset(i));
            Ok(RewardBenchRow { id, subset, rewards: self.of_two(i) })
        })?;
        let found =
            reward_bench(&rows, SubsetWeights::Current, PriorSets::Without, TieRule::Wrong)?;
        let mut parts = vec![Number::new("overall", found.overall).over(found.n_rows)];
        parts.extend(found.sections.iter().map(|part| Number::new(&part.section, part.score)));
        let subsets = found.subsets.iter();
        parts.extend(subsets.map(|part| Number::of(&part.subset, part.accuracy.as_ref())));
        Ok((parts, serde_json::to_value(&found)?))
    }

    fn reward_bench_2(&self) -> Result<Parts> {
        let rows = self.rows(|i, id, row| {
            Ok(RewardBench2Row {
                id: id.to_owned(),
                subset: text(row, "subset"),
                n_correct: row.get("num_correct").and_then(Value::as_u64).unwrap_or(1) as usize,
                scores: self.of(i),
            })
        })?;
        let found = reward_bench_2(&rows)?;
        let mut parts = vec![Number::new("overall", found.overall).over(rows.len())];
        parts.extend(
            found
                .domains
                .iter()
                .map(|part| Number::new(&part.domain, part.score).over(part.n_rows)),
        );
        Ok((parts, serde_json::to_value(&found)?))
    }

    fn rm_bench(&self) -> Result<Parts> {
        let rows = self.rows(|i, id, row| {
            let six = self.of(i).and_then(|all| {
                let (chosen, rejected) = all.split_at_checked(3)?;
                Some((chosen.try_into().ok()?, rejected.try_into().ok()?))
            });
            Ok(RmBenchRow { id: id.to_owned(), domain: text(row, "domain"), scores: six })
        })?;
        let found = rm_bench(&rows)?;
        let mut parts = vec![
            Number::new("total", found.total).over(rows.len()),
            Number::new("easy", found.easy),
            Number::new("normal", found.normal),
            Number::new("hard", found.hard),
        ];
        parts.extend(
            found.domains.iter().map(|d| Number::new(&d.domain, Some(d.mean)).over(d.n_scored)),
        );
        Ok((parts, serde_json::to_value(&found)?))
    }

    fn one_game(&self) -> Result<Parts> {
        let rows = self.rows(|i, id, _| {
            let decide =
                |(chosen, rejected)| decision_of_rewards(id, chosen, rejected, TiedRewards::Tie);
            let game = self.of_two(i).map(decide).transpose()?;
            Ok(self.judge_row(i, id, [game, None]))
        })?;
        let found = judge_bench_one_game(&rows)?;
        let mut parts = vec![Number::of("accuracy", found.overall.accuracy.as_ref())];
        let categories = found.categories.iter();
        parts.extend(categories.map(|(name, part)| Number::of(name, part.accuracy.as_ref())));
        Ok((parts, serde_json::to_value(&found)?))
    }

    fn two_games(&self, games: &Sampled) -> Result<Parts> {
        let decision = |odds: f64| match odds {
            odds if odds > 0.0 => Decision::First,
            odds if odds < 0.0 => Decision::Second,
            _ => Decision::Tie,
        };
        let rows = self.rows(|i, id, _| {
            let played = games.get(&(i, 0)).and_then(|sample| sample.games);
            // The second game is told as it was played: with the responses swapped.
            let told = match played {
                Some([first, second]) => [Some(decision(first)), Some(decision(second).flipped())],
                None => [None, None],
            };
            Ok(self.judge_row(i, id, told))
        })?;
        let found = judge_bench_two_games(&rows)?;
        let overall = &found.overall;
        let mut parts = vec![
            Number::of("accuracy, both orders", overall.accuracy.as_ref()),
            Number::of("right in both orders", overall.position_consistent.as_ref()),
        ];
        let categories = found.categories.iter();
        parts.extend(categories.map(|(name, part)| Number::of(name, part.accuracy.as_ref())));
        Ok((parts, serde_json::to_value(&found)?))
    }

    /// The chosen response stands first, so the label is the first one.
    fn judge_row(&self, item: usize, id: &str, games: [Option<Decision>; 2]) -> JudgeBenchRow {
        let (id, source) = (id.to_owned(), self.subset(item));
        JudgeBenchRow { id, source, label: Decision::First, games }
    }

    fn ppe_human(&self) -> Result<Parts> {
        let rows = self.rows(|i, id, _| {
            let rewards = self.of_two(i);
            Ok(PpeHumanRow { id: id.to_owned(), winner: Winner::ModelA, rewards })
        })?;
        let found = ppe_human(&rows, TieRule::Wrong)?;
        let number = Number::of("accuracy", found.accuracy.as_ref());
        Ok((vec![number], serde_json::to_value(&found)?))
    }

    fn ppe_correctness(&self, bootstrap: &Bootstrap) -> Result<Parts> {
        let rows = self.rows(|i, id, row| {
            let list = |field: &str| row.get(field).and_then(Value::as_array);
            let conflicts = list("sampled_conflict_pairs").into_iter().flatten();
            let pair = |pair: &Value| {
                let place = |k: usize| Some(pair.get(k)?.as_u64()? as usize);
                Some((place(0)?, place(1)?))
            };
            Ok(PpeRow {
                id: id.to_owned(),
                truth: list("scores").into_iter().flatten().map(is_right).collect(),
                conflict_pairs: conflicts.filter_map(pair).collect(),
                rewards: self.of(i),
            })
        })?;
        let conflicts = ppe_conflicts(&rows)?;
        let best = ppe_best_of_k(&rows, N_ORDERS, bootstrap.seed.child("orders"))?;
        let parts = vec![
            Number::new("conflict pairs", conflicts.accuracy).over(rows.len()),
            Number::new("pooled AUC", conflicts.auc),
            Number::new("best of K", best.end_score),
            Number::new("best on the way", best.max_score),
        ];
        Ok((parts, serde_json::json!({ "conflicts": conflicts, "best_of_k": best })))
    }

    /// By thresholds fitted on other prompts for everyone, and by its own where the contestant has one.
    fn critic_bench(&self, threshold: Option<f64>, bootstrap: &Bootstrap) -> Result<Parts> {
        let rows = self.rows(|i, id, row| {
            let Truth { prompt, domain, is_right, .. } = serde_json::from_value(row.clone())?;
            let score = self.of(i).and_then(|scores| scores.first().copied());
            Ok(ScoredTruth {
                id: id.to_owned(),
                domain,
                prompt,
                response_is_right: is_right,
                score,
            })
        })?;
        let fitted = fitted_verdicts(&rows);
        let (of_fitted, between) = (critique_f1(&fitted)?, f1_interval(&rows, &fitted, bootstrap)?);
        let own = threshold.map(|threshold| critique_f1(&verdicts_at(&rows, threshold)));
        let own = own.transpose()?;
        let of_own = own.as_ref().map(|own| own.overall);
        let overall = of_fitted.overall;
        let parts = vec![
            Number::new("F1, fitted", overall.f1)
                .between(between)
                .over(overall.n_rows - overall.n_missing),
            Number::new("right above wrong", right_above_wrong(&rows)),
            Number::new("accuracy, fitted", overall.accuracy),
            Number::new("F1, verdict", of_own.and_then(|own| own.f1)),
            Number::new("accuracy, verdict", of_own.and_then(|own| own.accuracy)),
            Number::new("F1 as published", of_own.and_then(|own| own.published_f1)),
        ];
        let detail = serde_json::json!({
            "fitted": of_fitted, "verdict": own, "threshold": threshold,
        });
        Ok((parts, detail))
    }

    fn cross_eval(&self, bootstrap: &Bootstrap) -> Result<Parts> {
        let mut rows = Vec::new();
        for (i, item) in self.data.items.iter().enumerate() {
            let Ratings { capability, ratings } = serde_json::from_value(item.row.clone())?;
            for (k, ratings) in ratings.into_iter().enumerate() {
                let key = self.data.key(i, k);
                rows.push(CrossEvalRow {
                    id: key.0.clone(),
                    prompt_id: item.id.clone(),
                    capability: capability.clone(),
                    ratings,
                    score: self.contestant.predictions.get(&key).copied(),
                });
            }
        }
        let found = cross_eval(&rows)?;
        let fewer = Bootstrap { n_resamples: N_CORRELATIONS, ..*bootstrap };
        let intervals = cross_eval_intervals(&rows, &fewer);
        let overall = &found.overall;
        let n = overall.n_rows - overall.n_missing;
        let mut parts = vec![
            Number::new("Pearson", overall.pearson).between(intervals.pearson).over(n),
            Number::new("Spearman", overall.spearman).between(intervals.spearman).over(n),
            Number::new("Kendall", overall.kendall_tau_b).between(intervals.kendall_tau_b).over(n),
            Number::of("better rated above", overall.pairwise.as_ref()),
        ];
        let capabilities = found.capabilities.iter();
        parts.extend(capabilities.map(|(name, part)| Number::new(name, part.pearson)));
        Ok((parts, serde_json::json!({ "correlations": found, "intervals": intervals })))
    }

    fn best_of_n(&self, bootstrap: &Bootstrap) -> Result<Parts> {
        let rows = self.rows(|i, id, row| {
            let listed = row.get("candidates").and_then(Value::as_array);
            let scores = self.of(i);
            let candidate = |(k, row): (usize, &Value)| Candidate {
                score: scores.as_ref().and_then(|scores| scores.get(k)).copied(),
                quality: match row.get("correct") {
                    Some(correct) => f64::from(u8::from(is_right(correct))),
                    None => row.get("score").and_then(Value::as_f64).unwrap_or(f64::NAN),
                },
            };
            let candidates = listed.into_iter().flatten().enumerate().map(candidate).collect();
            Ok(BestOfNRow { id: id.to_owned(), candidates })
        })?;
        let found = best_of_n(&rows, bootstrap)?;
        let last = found.curve.last();
        let mut parts = vec![Number {
            name: last.map_or("picked".to_owned(), |point| format!("best of {}", point.n)),
            value: found.picked,
            interval: last.map(|point| (point.interval.low, point.interval.high)),
            n: Some(found.n_rows - found.n_missing),
        }];
        parts.push(Number::new("random pick", found.random));
        parts.push(Number::new("perfect pick", found.oracle));
        parts.push(Number::new("the best alone on top", found.strict_top_1));
        Ok((parts, serde_json::to_value(&found)?))
    }
}

fn text(row: &Value, field: &str) -> String {
    row.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A flag, or a number that stands for one.
fn is_right(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| value.as_f64().is_some_and(|number| number > 0.5))
}
