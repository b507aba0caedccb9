//! The arithmetic of evidence: medians that weigh, likelihood ratios that shares changed, and the gate for many tests.

/// `x ln x`, continued by 0 at 0.
///
/// ```
/// # use backtrail_localize::stats::xlogx;
/// assert_eq!(xlogx(0.0), 0.0);
/// assert_eq!(xlogx(1.0), 0.0);
/// ```
pub fn xlogx(x: f64) -> f64 {
    if x > 0.0 { x * x.ln() } else { 0.0 }
}

/// The likelihood-ratio statistic G that a share `before / n` became `after / m`; chi-squared with one degree of
/// freedom if it did not. Counts may be fractional (a weighted median times a size). Source: Wilks 1938; written with
/// `x ln x` as in FUSION.md.
///
/// ```
/// # use backtrail_localize::stats::g_test;
/// assert!(g_test(10.0, 100.0, 20.0, 200.0).abs() < 1e-9); // the same share
/// // 2 * sum of observed * ln(observed / expected) over the 2 x 2 table
/// assert!((g_test(10.0, 100.0, 30.0, 100.0) - 13.00).abs() < 0.05);
/// ```
pub fn g_test(before: f64, n: f64, after: f64, m: f64) -> f64 {
    let (with, all) = (before + after, n + m);
    let first = xlogx(before) + xlogx(n - before) - xlogx(n);
    let second = xlogx(after) + xlogx(m - after) - xlogx(m);
    let pooled = xlogx(with) + xlogx(all - with) - xlogx(all);
    (2.0 * (first + second - pooled)).max(0.0)
}

/// The median of `(value, weight)`: the least value at which half of the weight is reached; none without weight.
/// Sorts in place.
///
/// ```
/// # use backtrail_localize::stats::weighted_median;
/// assert_eq!(weighted_median(&mut [(3.0, 1.0), (1.0, 1.0), (2.0, 1.0)]), Some(2.0));
/// assert_eq!(weighted_median(&mut [(1.0, 1.0), (9.0, 5.0)]), Some(9.0));
/// assert_eq!(weighted_median(&mut []), None);
/// ```
pub fn weighted_median(pairs: &mut [(f64, f64)]) -> Option<f64> {
    pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let half = pairs.iter().map(|pair| pair.1).sum::<f64>() / 2.0;
    let mut seen = 0.0;
    for &(value, weight) in &*pairs {
        seen += weight;
        if seen >= half {
            return Some(value);
        }
    }
    pairs.last().map(|pair| pair.0)
}

/// Whether a likelihood-ratio statistic says that blocks of the same thing disagree: it is above the 5 % bound for
/// chi-squared with `dof` degrees of freedom, `dof + 2 sqrt(3 dof) + 6`. Source: Laurent and Massart 2000, lemma 1, with
/// `x = 3`, as in FUSION.md, part C rule 2.
///
/// ```
/// # use backtrail_localize::stats::disagrees;
/// assert!(!disagrees(14.0, 7.0)); // twice the mean happens
/// assert!(disagrees(30.0, 7.0));
/// ```
pub fn disagrees(het: f64, dof: f64) -> bool {
    het > dof + 2.0 * (3.0 * dof).sqrt() + 6.0
}

/// The universal threshold `2 ln m`: the largest of `m` squared standard normal values stays below it as `m` grows.
/// At least two tests are assumed. Source: Donoho and Johnstone 1994.
///
/// ```
/// # use backtrail_localize::stats::universal_threshold;
/// assert!((universal_threshold(100) - 9.21).abs() < 0.01);
/// assert_eq!(universal_threshold(0), universal_threshold(2));
/// ```
pub fn universal_threshold(tests: usize) -> f64 {
    2.0 * (tests.max(2) as f64).ln()
}

/// Rounds to 1e-9. Scores are sums of floats in an order that names decide; without the last digits, equal evidence has
/// equal scores under every name.
pub fn settle(score: f64) -> f64 {
    (score * 1e9).round() / 1e9
}

/// How likely at least one of independent causes is: `1 - (1 - a)(1 - b)...`, each part held below 1 so that the
/// others still count.
///
/// ```
/// # use backtrail_localize::stats::noisy_or;
/// assert!((noisy_or([0.5, 0.5]) - 0.75).abs() < 1e-12);
/// ```
pub fn noisy_or(parts: impl IntoIterator<Item = f64>) -> f64 {
    1.0 - parts.into_iter().fold(1.0, |left, part| left * (1.0 - part.clamp(0.0, 0.999)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g_agrees_with_the_textbook_form() {
        let (a, n, b, m) = (12.0, 150.0, 40.0, 180.0);
        let pooled = (a + b) / (n + m);
        let textbook = 2.0
            * [(a, n * pooled), (n - a, n * (1.0 - pooled)), (b, m * pooled), (m - b, m * (1.0 - pooled))]
                .iter()
                .map(|&(observed, expected): &(f64, f64)| observed * (observed / expected).ln())
                .sum::<f64>();
        assert!((g_test(a, n, b, m) - textbook).abs() < 1e-9);
    }

    #[test]
    fn a_share_that_appears_from_nothing_has_a_finite_g() {
        let g = g_test(0.0, 1000.0, 5.0, 100.0);
        assert!(g > 20.0 && g.is_finite());
        assert!(g_test(0.0, 10.0, 0.0, 10.0).abs() < 1e-12);
    }
}
