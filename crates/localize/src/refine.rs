//! What a judgement becomes with alerts, logs, metrics and changes beside the traces: services where traces are few
//! ([`sparse`](crate::sparse)), and the change that explains it, or none ([`changes`](crate::changes)).

use std::collections::BTreeMap;
use std::sync::Arc;

use backtrail_model::change::{Change, ChangedFile};
use backtrail_model::patch_request::RecentChange;
use backtrail_model::time::UnixNano;
use backtrail_model::verdict::{Counts, Entity, Score, Suspect};

use crate::changes::{self, Candidate, NO_COMMIT, Ranking};
use crate::external::external;
use crate::judge::{Judgement, Options, Slices, TAIL};
use crate::sparse::{self, Witnesses};
use crate::symptoms::{AlertText, Source, Symptom, Symptoms};

/// Most files of changes that a patch request names.
const MOST_FILES: usize = 20;

/// What is known beside the slices.
#[derive(Clone, Debug, Default)]
pub struct Known<'a> {
    /// The alert that opened the incident.
    pub alert: Option<AlertText<'a>>,
    /// Changes of the last while, in any order.
    pub changes: Vec<&'a Change>,
    /// Since when the incident is known: the onset where no symptom tells a better one.
    pub since: UnixNano,
    /// When the first slice of the baseline begins, of the window if there is none: so much history there is.
    pub begin: UnixNano,
}

/// Refines a judgement. Without an alert and without changes a judgement by traces stays as it is.
pub fn refine(
    judgement: &mut Judgement,
    baseline: &Slices<'_>,
    window: &Slices<'_>,
    known: &Known<'_>,
    options: &Options,
) {
    let sparse = sparse::is_sparse(baseline, window);
    if !sparse && known.changes.is_empty() {
        return;
    }
    let mut symptoms = Symptoms::new(baseline, window, known.alert, known.begin);
    if sparse {
        let services = sparse::services(&symptoms);
        if !services.is_empty() {
            replace_services(judgement, &services, options);
        }
    }
    if known.changes.is_empty() {
        return;
    }
    let first = judgement.suspects.iter().find(|suspect| suspect.entity.kind == "service");
    let alerted = known.alert.map(|alert| alert.service.to_owned());
    let Some(service) = first.map(|suspect| suspect.entity.service.clone()).or(alerted) else { return };
    let onset = symptoms.onset(&service).unwrap_or(known.since);
    symptoms.list.extend(places(judgement, &service, onset));
    for symptom in symptoms.list.iter_mut().filter(|symptom| symptom.since == UnixNano::MAX) {
        symptom.since = onset;
    }
    let causes = external(&symptoms, window, &service);
    let ranking = changes::rank(known.changes.iter().copied(), &symptoms, causes, &service, onset);
    let count = judgement.evidence.len();
    let (suspects, evidence) = changes::suspects(&ranking, options.suspects, |score| level(options, score), count);
    if let Some(best) = suspects.first() {
        let reasons: Vec<&str> = evidence.iter().filter(|e| best.why.contains(&e.id)).map(|e| &*e.says).collect();
        let tied = suspects.get(1).is_some_and(|second| second.rank == 1);
        judgement.cause += &cause(&best.entity, best.score.total, &reasons, tied);
    }
    judgement.recent_changes = recent_changes(&ranking);
    judgement.suspects.extend(suspects);
    judgement.evidence.extend(evidence);
}

/// Files of the changes that come before "no commit", best first.
fn recent_changes(ranking: &Ranking) -> Vec<RecentChange> {
    let better = ranking.candidates.iter().filter(|candidate| candidate.score > ranking.none);
    let of = |candidate: &Candidate| {
        let change = candidate.change.clone();
        let lines = |file: &ChangedFile| {
            let ranges: Vec<String> = file.lines.iter().map(|[first, last]| format!("{first}-{last}")).collect();
            ranges.join(",")
        };
        let file = move |file: &ChangedFile| RecentChange {
            file: file.path.clone(),
            lines: lines(file),
            sha: change.commit.clone(),
            author: change.author.clone(),
            ts: change.time.0.to_string(),
        };
        candidate.change.files.iter().map(file).collect::<Vec<_>>()
    };
    better.flat_map(of).take(MOST_FILES).collect()
}

fn cause(entity: &Entity, score: f64, reasons: &[&str], tied: bool) -> String {
    let why = reasons.first().map_or_else(String::new, |says| format!(": {says}"));
    match (tied, entity.name == NO_COMMIT) {
        (true, _) => "; several changes explain it equally well".to_owned(),
        (_, true) => format!("; no known change explains it (score {score:.2}){why}"),
        _ => format!("; the change that explains it best is \"{}\" (score {score:.2}){why}", entity.name),
    }
}

fn level(options: &Options, score: f64) -> &'static str {
    match score {
        score if score >= options.high => "high",
        score if score >= options.medium => "medium",
        score if score > TAIL => "low",
        _ => "none",
    }
}

/// Functions, files and frames of the suspect service that the traces blame.
fn places(judgement: &Judgement, service: &str, onset: UnixNano) -> Vec<Symptom> {
    let inner = |suspect: &&Suspect| {
        let entity = &suspect.entity;
        entity.service == service
            && suspect.score.total > TAIL
            && matches!(entity.kind.as_str(), "function" | "file" | "frame")
    };
    let symptom = |suspect: &Suspect| Symptom {
        source: Source::Place,
        service: service.into(),
        text: suspect.entity.name.clone(),
        since: onset,
        weight: suspect.score.total,
        examples: Vec::new(),
    };
    judgement.suspects.iter().filter(inner).map(symptom).collect()
}

/// Puts the ranking by other witnesses in the place of that by traces.
fn replace_services(judgement: &mut Judgement, services: &BTreeMap<Arc<str>, Witnesses>, options: &Options) {
    let of_traces = std::mem::take(&mut judgement.suspects);
    let (old, rest): (Vec<Suspect>, Vec<Suspect>) =
        of_traces.into_iter().partition(|suspect| suspect.entity.kind == "service");
    for parts in judgement.services.values_mut() {
        // What few traces say only orders what nobody else speaks of.
        parts.total *= TAIL;
    }
    let mut suspects: Vec<Suspect> = old.into_iter().map(|suspect| scaled(suspect, options)).collect();
    for (service, witnesses) in services {
        suspects.retain(|suspect| *suspect.entity.service != **service);
        suspects.push(suspect(service, witnesses, options));
        judgement.services.entry(Arc::clone(service)).or_default().total = witnesses.total;
    }
    suspects.sort_by(|a, b| b.score.total.total_cmp(&a.score.total).then_with(|| a.entity.cmp(&b.entity)));
    let scores: Vec<f64> = suspects.iter().map(|suspect| suspect.score.total).collect();
    for suspect in &mut suspects {
        suspect.rank = scores.partition_point(|score| *score > suspect.score.total) as u32 + 1;
    }
    suspects.truncate(options.suspects);
    let (first, tied) = (scores[0], scores.get(1).is_some_and(|second| *second >= scores[0]));
    let sure = if tied { "inconclusive" } else { level(options, first) };
    sure.clone_into(&mut judgement.confidence.level);
    judgement.confidence.score = first;
    judgement.confidence.reasons = vec![format!(
        "fewer than {} traces: judged by new log statements, shifted series and the alert, score {first:.2}",
        sparse::FEW_TRACES
    )];
    let names: Vec<&str> = suspects[0].score.parts.keys().map(String::as_str).collect();
    judgement.cause =
        format!("{} is the most likely cause (score {first:.2}) by {}", suspects[0].entity.service, names.join(", "));
    suspects.extend(rest);
    judgement.suspects = suspects;
}

fn scaled(mut suspect: Suspect, options: &Options) -> Suspect {
    let by_traces = suspect.score.total;
    suspect.score.total = by_traces * TAIL;
    suspect.score.formula = format!("{TAIL} * {by_traces:.3} by few traces = {:.4}", suspect.score.total);
    suspect.confidence = level(options, suspect.score.total).into();
    suspect
}

fn suspect(service: &str, witnesses: &Witnesses, options: &Options) -> Suspect {
    let terms: Vec<String> = witnesses.parts.iter().map(|(name, part)| format!("{name} {part:.3}")).collect();
    let total = witnesses.total;
    Suspect {
        rank: 0,
        entity: Entity { kind: "service".into(), service: service.to_owned(), ..Entity::default() },
        score: Score {
            total,
            parts: witnesses.parts.iter().map(|(name, part)| ((*name).into(), *part)).collect(),
            formula: format!("mean({}) = {total:.3}", terms.join(", ")),
        },
        counts: Counts::default(),
        ochiai: String::new(),
        confidence: level(options, total).into(),
        why: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use backtrail_model::change::read;
    use backtrail_model::log_motifs::{LogMotifSlice, MotifCounts, MotifKey};
    use backtrail_model::time::Slice;

    use super::*;
    use crate::judge::judge;

    const MINUTE: u64 = 60_000_000_000;

    fn records(service: &str, severity: u8, text: &str, minutes: std::ops::Range<u64>) -> LogMotifSlice {
        let mut slice = LogMotifSlice::new(Slice(0));
        for time in minutes.map(|minute| UnixNano(minute * MINUTE)) {
            let key = MotifKey { service: service.into(), template: text.into(), severity };
            slice.add(key, MotifCounts { count: 3, in_traces: 0, first: time, last: time, example: text.into() });
        }
        slice
    }

    #[test]
    fn without_traces_logs_and_the_alert_name_the_service_and_the_change_that_touches_what_they_say() {
        let quiet = [records("cart", 9, "served", 1..60), records("web", 9, "served", 1..60)];
        let now =
            [records("cart", 17, "ledger is closed", 60..70), records("web", 17, "upstream cart returned 503", 61..70)];
        let baseline = Slices { logs: quiet.iter().collect(), ..Slices::default() };
        let window = Slices { logs: now.iter().collect(), ..Slices::default() };
        let text = format!(
            r#"[{{"time": {}, "commit": "guilty", "diff": "+ ledger.close()", "subject": "x"}},
                {{"time": {}, "commit": "newer", "diff": "+ paint()", "subject": "y"}}]"#,
            57 * MINUTE,
            58 * MINUTE
        );
        let list = read(&text).expect("changes").changes;
        let options = Options::default();
        let mut judgement = judge(&baseline, &window, &options);
        let known = Known {
            alert: Some(AlertText { service: "web", summary: "web fails", metric: "" }),
            changes: list.iter().collect(),
            since: UnixNano(60 * MINUTE),
            begin: UnixNano(0),
        };
        refine(&mut judgement, &baseline, &window, &known, &options);
        let first =
            |kind: &str| judgement.suspects.iter().find(|suspect| suspect.entity.kind == kind).expect("a suspect");
        // All records are about cart, the alert alone is about web: a tie is no verdict.
        assert_eq!(judgement.confidence.level, "inconclusive");
        assert_eq!((first("service").score.total, &*first("service").entity.service), (0.5, "cart"));
        assert_eq!(&*first("change").entity.commit, "guilty");
        assert!(judgement.cause.contains("\"x\""), "{}", judgement.cause);
        let evidence: Vec<&str> = first("change").why.iter().map(String::as_str).collect();
        assert!(judgement.evidence.iter().any(|e| evidence.contains(&&*e.id) && e.says.contains("ledg")));
    }
}
