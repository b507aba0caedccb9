//! The seed formula: spectrum-based fault localization with the Ochiai coefficient.

/// The Ochiai coefficient of an element: `ef / sqrt(total_failed * (ef + ep))`, 0 when the denominator is 0.
///
/// * `ef`: failing traces that touch the element;
/// * `ep`: passing traces that touch it;
/// * `total_failed`: all failing traces, `ef + nf`.
///
/// 1 when exactly the failing traces touch the element. Source: Ochiai 1957; Abreu, Zoeteweij, van Gemund, "On the
/// Accuracy of Spectrum-based Fault Localization", 2007.
///
/// ```
/// # use backtrail_localize::ochiai::ochiai;
/// // Three tests, the last fails. Lines: in the failing test only; in it and one passing; in all three.
/// assert_eq!(ochiai(1.0, 0.0, 1.0), 1.0);
/// assert!((ochiai(1.0, 1.0, 1.0) - 0.7071).abs() < 5e-5);
/// assert!((ochiai(1.0, 2.0, 1.0) - 0.5774).abs() < 5e-5);
/// assert_eq!(ochiai(0.0, 9.0, 4.0), 0.0);
/// assert_eq!(ochiai(0.0, 0.0, 0.0), 0.0);
/// ```
#[inline]
pub fn ochiai(ef: f64, ep: f64, total_failed: f64) -> f64 {
    let square = total_failed * (ef + ep);
    if square > 0.0 { ef / square.sqrt() } else { 0.0 }
}

/// The Ochiai shape for gains that are not counts: `gain / sqrt(total * (gain + quiet))`.
///
/// * `gain`: what this suspect has in excess; `total`: what all suspects have, at least `gain`;
/// * `quiet`: what it has normally. Same units throughout.
///
/// ```
/// # use backtrail_localize::ochiai::shaped;
/// assert_eq!(shaped(10.0, 10.0, 0.0), 1.0); // all of the excess, and nothing that was there before
/// assert_eq!(shaped(-1.0, 10.0, 0.0), 0.0);
/// ```
pub fn shaped(gain: f64, total: f64, quiet: f64) -> f64 {
    if gain > 0.0 { ochiai(gain, quiet.max(0.0), total.max(gain)) } else { 0.0 }
}

/// The four counts of a spectrum for one element, in traces (whole or weighted).
///
/// ```
/// # use backtrail_localize::ochiai::Counts;
/// let counts = Counts { ef: 118.0, ep: 4.0, nf: 0.0, np: 900.0 };
/// assert_eq!(counts.formula(), "118/sqrt(118*(118+4)) = 0.98");
/// ```
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Counts {
    /// Failing traces that touch the element.
    pub ef: f64,
    /// Passing traces that touch it.
    pub ep: f64,
    /// Failing traces that do not.
    pub nf: f64,
    /// Passing traces that do not.
    pub np: f64,
}

impl Counts {
    /// The coefficient, 0 to 1.
    pub fn score(&self) -> f64 {
        ochiai(self.ef, self.ep, self.ef + self.nf)
    }

    /// The formula with its numbers: `ef/sqrt(failed*(ef+ep)) = score`.
    pub fn formula(&self) -> String {
        let (ef, ep, failed) = (short(self.ef), short(self.ep), short(self.ef + self.nf));
        format!("{ef}/sqrt({failed}*({ef}+{ep})) = {:.2}", self.score())
    }
}

impl From<Counts> for backtrail_model::verdict::Counts {
    fn from(counts: Counts) -> Self {
        Self { ef: counts.ef, ep: counts.ep, nf: counts.nf, np: counts.np }
    }
}

/// A count in as few digits as it needs: whole, or with one decimal where a weight made it fractional.
pub(crate) fn short(value: f64) -> String {
    if (value - value.round()).abs() < 0.05 { format!("{value:.0}") } else { format!("{value:.1}") }
}

/// Scores many elements at once: `scores[i] = ochiai(ef[i], ep[i], total_failed)`, to the last bit. Both lists have the
/// same length. One pass over dense columns and no branch, so the loop vectorizes; no allocation once `scores` has its
/// capacity.
pub fn score_all(ef: &[f64], ep: &[f64], total_failed: f64, scores: &mut Vec<f64>) {
    scores.clear();
    scores.extend(ef.iter().zip(ep).map(|(&ef, &ep)| ochiai(ef, ep, total_failed)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_scores_equal_the_formula() {
        let (ef, ep) = ([0.0, 1.0, 7.0, 118.0, 0.0], [0.0, 1.0, 0.0, 4.0, 3.0]);
        let mut scores = Vec::new();
        score_all(&ef, &ep, 118.0, &mut scores);
        let each: Vec<f64> = ef.iter().zip(&ep).map(|(&ef, &ep)| ochiai(ef, ep, 118.0)).collect();
        assert_eq!(scores, each);
    }

    #[test]
    fn weighted_counts_print_one_decimal() {
        let counts = Counts { ef: 2.5, ep: 1.0, nf: 0.0, np: 0.0 };
        assert_eq!(counts.formula(), "2.5/sqrt(2.5*(2.5+1)) = 0.85");
    }
}
