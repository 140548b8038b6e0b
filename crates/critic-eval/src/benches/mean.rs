/// The interval of the mean of several benches' numbers, each counted once, of each number and its
/// interval; nothing of no bench.
///
/// With m = Σᵢ θᵢ / k the ends are m − √Σᵢ (θᵢ − lᵢ)² / k and m + √Σᵢ (uᵢ − θᵢ)² / k, which has about the
/// confidence that the intervals (lᵢ, uᵢ) have where the benches share no items: the method of variance
/// estimates recovery, Zou and Donner 2008 (Statistics in Medicine 27, 1693–1702).
/// Intervals that are not symmetric, as Wilson's, leave it unsymmetric too.
///
/// # Examples
/// ```
/// use critic_eval::benches::interval_of_mean;
/// let (low, high) = interval_of_mean(&[(0.5, (0.2, 0.9)), (0.6, (0.2, 0.9))]).unwrap();
/// assert!((low - 0.3).abs() < 1e-9 && (high - 0.8).abs() < 1e-9);
/// ```
pub fn interval_of_mean(numbers: &[(f64, (f64, f64))]) -> Option<(f64, f64)> {
    if numbers.is_empty() {
        return None;
    }
    let k = numbers.len() as f64;
    let mean = numbers.iter().map(|(value, _)| value).sum::<f64>() / k;
    let half_width = |distance: fn(&(f64, (f64, f64))) -> f64| {
        numbers.iter().map(|number| distance(number).powi(2)).sum::<f64>().sqrt() / k
    };
    let below = half_width(|(value, (low, _))| value - low);
    let above = half_width(|(value, (_, high))| high - value);
    Some((mean - below, mean + above))
}
