//! The ranking of changes as suspects, with evidence for and against each.

use std::collections::BTreeMap;

use backtrail_model::change::ChangeKind;
use backtrail_model::verdict::{Counts, Entity, Evidence, Score, Supports, Suspect};

use super::{Candidate, NO_COMMIT, Ranking};

/// How many changes are explained.
const EXPLAINED: usize = 3;
/// Below this share of new code a change is said to move code.
const MOVES: f64 = 0.25;

/// The entity of a change.
pub(crate) fn entity(candidate: &Candidate) -> Entity {
    let change = &candidate.change;
    Entity {
        kind: "change".into(),
        service: change.service.clone(),
        name: change.title().to_owned(),
        version: change.version.clone(),
        commit: change.commit.clone(),
        ..Entity::default()
    }
}

/// The entity of the outcome that no change is to blame.
pub(crate) fn no_commit(ranking: &Ranking) -> Entity {
    Entity { kind: "change".into(), service: ranking.service.clone(), name: NO_COMMIT.into(), ..Entity::default() }
}

/// The best `most` changes as suspects, "no commit" among them, and the evidence; ids go on from `known` ones.
pub fn suspects(
    ranking: &Ranking,
    most: usize,
    level: impl Fn(f64) -> &'static str,
    known: usize,
) -> (Vec<Suspect>, Vec<Evidence>) {
    let (mut suspects, mut evidence) = (Vec::new(), Vec::new());
    let mut add = |entity: Entity, score: Score, found: Vec<(&str, Supports, String)>| {
        let mut why = Vec::new();
        for (kind, supports, says) in found {
            let id = format!("e{}", known + evidence.len() + 1);
            why.push(id.clone());
            evidence.push(Evidence {
                id,
                kind: kind.into(),
                supports,
                about: entity.clone(),
                says,
                reference: String::new(),
            });
        }
        let confidence = level(score.total).into();
        suspects.push(Suspect {
            rank: 0,
            entity,
            confidence,
            score,
            counts: Counts::default(),
            ochiai: String::new(),
            why,
        });
    };
    let causes = ranking.external.iter().map(|cause| (cause.kind, Supports::For, cause.says.clone())).collect();
    let formula = format!("what {} changes fit by chance, and what comes from outside", ranking.candidates.len());
    let score = Score { total: ranking.none, parts: BTreeMap::new(), formula };
    add(no_commit(ranking), score, causes);
    for (i, candidate) in ranking.candidates.iter().take(most).enumerate() {
        let found = if i < EXPLAINED { findings(candidate, ranking) } else { Vec::new() };
        add(entity(candidate), score_of(candidate), found);
    }
    suspects.sort_by(|a, b| b.score.total.total_cmp(&a.score.total));
    let scores: Vec<f64> = suspects.iter().map(|suspect| suspect.score.total).collect();
    for suspect in &mut suspects {
        suspect.rank = scores.partition_point(|score| *score > suspect.score.total) as u32 + 1;
    }
    suspects.truncate(most);
    (suspects, evidence)
}

fn score_of(candidate: &Candidate) -> Score {
    let terms: Vec<String> = candidate.parts.iter().map(|(name, nats)| format!("{name} {nats:.2}")).collect();
    let sum: f64 = candidate.parts.values().sum();
    Score {
        total: candidate.score,
        parts: candidate.parts.iter().map(|(name, nats)| ((*name).into(), *nats)).collect(),
        formula: format!("share of exp({}) = exp({sum:.2}) is {:.3}", terms.join(" + "), candidate.score),
    }
}

fn findings(candidate: &Candidate, ranking: &Ranking) -> Vec<(&'static str, Supports, String)> {
    let mut out = Vec::new();
    let change = &candidate.change;
    let what = match (change.kind, change.pr) {
        (ChangeKind::Flag, _) => format!("flag {} went from {} to {}", change.flag, change.old, change.new),
        (kind, Some(pr)) => format!("{} {} (#{pr})", kind.name(), short(&change.commit)),
        (kind, None) => format!("{} {}", kind.name(), short(&change.commit)),
    };
    let minutes = candidate.age / 60.0;
    let (service, when) = (&ranking.service, format!("{minutes:.1} min before the first symptom after it"));
    if candidate.reaches {
        out.push(("change", Supports::For, format!("{what} reached {service} {when}")));
    } else if candidate.services.is_empty() {
        out.push(("change", Supports::For, format!("{what} was made {when}; where it runs is not known")));
    } else {
        let elsewhere: Vec<&str> = candidate.services.iter().map(String::as_str).collect();
        out.push(("change", Supports::Against, format!("{what} reached {} and not {service}", elsewhere.join(", "))));
    }
    let mut words: Vec<(&String, f64)> = candidate.words.iter().map(|(word, says)| (word, *says)).collect();
    words.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let shown: Vec<String> = words.iter().take(6).map(|(word, says)| format!("{word} {says:.1}")).collect();
    if shown.is_empty() {
        out.push(("words", Supports::Against, "no symptom names anything that it touches".into()));
    } else {
        out.push(("words", Supports::For, format!("symptoms name what it touches: {} nats", shown.join(", "))));
    }
    if let Some(share) = candidate.new_share.filter(|share| *share < MOVES) {
        let says = format!("it mostly moves code: {:.0} % of its changed tokens are new or gone", 100.0 * share);
        out.push(("novelty", Supports::Against, says));
    }
    if candidate.parts["kind"] < 0.0 {
        out.push(("kind", Supports::Against, "it touches only documents, tests, builds or style".into()));
    }
    out
}

fn short(commit: &str) -> &str {
    &commit[..commit.floor_char_boundary(12)]
}
