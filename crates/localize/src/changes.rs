//! Changes as suspects: which commit, deploy, flag or setting explains what is wrong, or none.
//!
//! Everything that speaks for a change is information, in nats, so that it adds up: how unlikely it would be for one of
//! the known changes to fit that well by chance.
//!
//! ```text
//! I(c) = words + reach + time + novelty + kind
//! words    sum over the words that c shares with symptoms that began after it: place * weight * ln((N + 1) / changes with the word)
//! reach    ln(N / changes that reach the service) for those that do, minus the same for those deployed elsewhere
//! time     ln(history / age): how seldom a change comes that shortly before a symptom
//! novelty  ln(share of the changed code that is new or gone): what only moved does nothing new
//! kind     -ln 20 where only documents, tests, builds or style are touched
//! score(c) = exp(I(c)) / (sum of exp(I) + none),   none = N * exp(X)
//! ```
//!
//! `N` changes that fit by chance are what "no commit" must be beaten with (a Bonferroni correction); an external cause
//! `X = ln(history / its distance) + ln N` takes part like a change, and what it explains is evidence for nobody else.
//! A word counts whole in code that is new or gone, half in the subject, path or flag, a quarter around it; a symptom of
//! another service counts half. Source: the information of rare words is idf (K. Sparck Jones, 1972).

mod explain;

use std::collections::{BTreeMap, BTreeSet};

use backtrail_model::change::{Change, ChangeKind};
use backtrail_model::time::UnixNano;

pub use self::explain::suspects;
use crate::diff::Reading;
use crate::external::External;
use crate::stats::settle;
use crate::symptoms::{Symptom, Symptoms};
use crate::words::{of_name, overlap, words};

/// The name of the outcome that no change is to blame.
pub const NO_COMMIT: &str = "no commit";
/// Nothing is told apart within a minute: deploys take that long.
const LEAST_SECONDS: f64 = 60.0;
/// A change that no running service reads is a cause in one case of so many.
const INERT: f64 = 20.0;
/// Novelty is never taken for less than this share: tokens are a crude measure.
const LEAST_NOVELTY: f64 = 0.05;
/// How much a word says by where it stands: in what is done, in the place, around.
const PLACES: [f64; 3] = [1.0, 0.5, 0.25];
/// A symptom of another service, and a word that is only part of another.
const HALF: f64 = 0.5;

/// A change with what speaks for it, in nats.
#[derive(Clone, PartialEq, Debug)]
pub struct Candidate {
    /// The change; a commit with the service and version of its deploy.
    pub change: Change,
    /// When it took effect.
    pub time: UnixNano,
    /// Seconds from then to the first symptom after it.
    pub age: f64,
    /// `words`, `reach`, `time`, `novelty`, `kind`.
    pub parts: BTreeMap<&'static str, f64>,
    /// The shared words and what each says.
    pub words: BTreeMap<String, f64>,
    /// Services that it was deployed to.
    pub services: BTreeSet<String>,
    /// Whether it reaches the suspect service.
    pub reaches: bool,
    /// Share of its changed code that is new or gone.
    pub new_share: Option<f64>,
    /// 0 to 1; all candidates and "no commit" add up to 1.
    pub score: f64,
}

/// The ranking of changes.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Ranking {
    /// Best first.
    pub candidates: Vec<Candidate>,
    /// Score of "no commit".
    pub none: f64,
    /// Causes outside.
    pub external: Vec<External>,
    /// The service that the changes are judged for.
    pub service: String,
    /// Since when it is sick.
    pub onset: UnixNano,
}

/// Ranks changes as causes of what is wrong in `service` since `onset`. Nothing after the last new symptom counts.
pub fn rank<'a>(
    changes: impl IntoIterator<Item = &'a Change>,
    symptoms: &Symptoms,
    external: Vec<External>,
    service: &str,
    onset: UnixNano,
) -> Ranking {
    let effects: Vec<UnixNano> = effects(symptoms, service, onset);
    let last = effects.iter().copied().max().unwrap_or(onset);
    let mut drafts = drafts(changes, service);
    drafts.retain(|draft| draft.time <= last);
    let n = drafts.len() as f64;
    let history = onset.since(symptoms.begin.min(onset)).as_secs_f64().max(LEAST_SECONDS);
    let scene = Scene::new(&drafts, symptoms, &external, service);
    let mut candidates: Vec<Candidate> =
        drafts.into_iter().map(|draft| scene.candidate(draft, &effects, history)).collect();
    let distance = |cause: &External| onset.since(cause.since).as_secs_f64().max(LEAST_SECONDS);
    let of_external = external.iter().map(|cause| (history / distance(cause)).max(1.0).ln() + n.max(1.0).ln());
    let none = n.max(1.0).ln() + of_external.fold(0.0, f64::max);
    let information = |candidate: &Candidate| candidate.parts.values().sum::<f64>();
    // Exponents are taken relative to the greatest one, so that nothing overflows.
    let most = candidates.iter().map(information).fold(none, f64::max);
    let total: f64 = candidates.iter().map(|c| (information(c) - most).exp()).sum::<f64>() + (none - most).exp();
    for candidate in &mut candidates {
        candidate.score = settle((information(candidate) - most).exp() / total);
    }
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.change.cmp(&b.change)));
    Ranking { candidates, none: settle((none - most).exp() / total), external, service: service.to_owned(), onset }
}

/// When the service's symptoms began.
fn effects(symptoms: &Symptoms, service: &str, onset: UnixNano) -> Vec<UnixNano> {
    let own = symptoms.list.iter().filter(|s| &*s.service == service && s.since != UnixNano::MAX);
    let mut times: Vec<UnixNano> = own.map(|symptom| symptom.since).collect();
    times.push(onset);
    times
}

/// A change before it is judged.
struct Draft {
    change: Change,
    time: UnixNano,
    services: BTreeSet<String>,
    reading: Reading,
    reaches: bool,
}

/// One draft for each commit, with its deploys; the others one each.
fn drafts<'a>(changes: impl IntoIterator<Item = &'a Change>, service: &str) -> Vec<Draft> {
    let (mut commits, mut others, mut deploys) = (BTreeMap::new(), Vec::new(), Vec::new());
    // In an order of their own, so that the order in which they came cannot be seen in a sum or a tie.
    for change in changes.into_iter().collect::<BTreeSet<_>>() {
        match change.kind {
            ChangeKind::Commit if !change.commit.is_empty() => {
                commits.insert(change.commit.as_str(), change);
            }
            ChangeKind::Deploy => deploys.push(change),
            _ => others.push(change),
        }
    }
    let mut deployed = BTreeMap::<&str, Vec<&Change>>::new();
    for deploy in deploys {
        if commits.contains_key(deploy.commit.as_str()) {
            deployed.entry(&deploy.commit).or_default().push(deploy);
        } else {
            others.push(deploy);
        }
    }
    // If the service's deploys are known, what is not among them has not reached it; else its path has to tell.
    let known =
        deployed.values().flatten().chain(&others).any(|c| c.kind == ChangeKind::Deploy && c.service == service);
    let own = of_name(service);
    let mut out = Vec::new();
    for change in others.into_iter().chain(commits.into_values()) {
        let none = Vec::new();
        let mut deploys: Vec<&Change> = deployed.get(change.commit.as_str()).unwrap_or(&none).clone();
        deploys.sort_by_key(|deploy| (deploy.service != service, deploy.time));
        let mut change = change.clone();
        if let Some(first) = deploys.first().filter(|_| change.kind == ChangeKind::Commit) {
            change.service.clone_from(&first.service);
            change.version.clone_from(&first.version);
        }
        let services: BTreeSet<String> = deploys
            .iter()
            .map(|deploy| &deploy.service)
            .chain([&change.service])
            .filter(|s| !s.is_empty())
            .cloned()
            .collect();
        let reading = Reading::new(&change);
        let named = services.is_empty() && !known && !reading.place.is_disjoint(&own);
        let time = deploys.first().map_or(change.time, |deploy| deploy.time).max(change.time).0;
        let reaches = services.contains(service) || named;
        out.push(Draft { change, time, services, reading, reaches });
    }
    out
}

/// What all candidates are judged by.
struct Scene<'a> {
    service: &'a str,
    /// Symptoms that no external cause explains, with their words that tell something.
    symptoms: Vec<(&'a Symptom, BTreeSet<String>)>,
    /// Information of the words of changes.
    information: BTreeMap<String, f64>,
    own: BTreeSet<String>,
    /// `ln(N / changes that reach the service)`.
    reach: f64,
    /// Novelty of a change without a diff: the mean of the others.
    novelty: f64,
}

impl<'a> Scene<'a> {
    fn new(drafts: &[Draft], symptoms: &'a Symptoms, external: &[External], service: &'a str) -> Self {
        let own = of_name(service);
        let open = symptoms.list.iter().filter(|symptom| !external.iter().any(|cause| cause.explains(symptom)));
        let telling = |symptom: &'a Symptom| {
            let mut words = words(&symptom.text);
            if &*symptom.service != service {
                words.extend(self::words(&symptom.service));
            }
            words.retain(|word| !own.contains(word) && !symptoms.usual.contains(word));
            (symptom, words)
        };
        let mut with_word = BTreeMap::<&String, usize>::new();
        for draft in drafts {
            draft.reading.all().into_iter().for_each(|word| *with_word.entry(word).or_default() += 1);
        }
        let n = drafts.len() as f64;
        let information = |(word, count): (&String, usize)| (word.clone(), ((n + 1.0) / count as f64).ln());
        let reaching = drafts.iter().filter(|draft| draft.reaches).count();
        let known: Vec<f64> = drafts.iter().filter_map(|draft| draft.reading.new_share).collect();
        Self {
            service,
            symptoms: open.map(telling).collect(),
            information: with_word.into_iter().map(information).collect(),
            own,
            reach: if reaching == 0 { 0.0 } else { (n / reaching as f64).ln() },
            novelty: if known.is_empty() { 1.0 } else { known.iter().sum::<f64>() / known.len() as f64 },
        }
    }

    fn candidate(&self, draft: Draft, effects: &[UnixNano], history: f64) -> Candidate {
        let Draft { change, time, services, reading, reaches } = draft;
        let words = self.shared(&reading, time);
        let after = effects.iter().filter(|effect| **effect >= time).min();
        let age = after.map_or(history, |effect| effect.since(time).as_secs_f64());
        let reach = match (reaches, services.is_empty()) {
            (true, _) => self.reach,
            (false, true) => 0.0,
            (false, false) => -self.reach,
        };
        let parts = BTreeMap::from([
            ("words", words.values().sum()),
            ("reach", reach),
            ("time", (history / age.max(LEAST_SECONDS)).max(1.0).ln()),
            ("novelty", reading.new_share.unwrap_or(self.novelty).max(LEAST_NOVELTY).ln()),
            ("kind", if reading.inert { -INERT.ln() } else { 0.0 }),
        ]);
        Candidate { change, time, age, parts, words, services, reaches, new_share: reading.new_share, score: 0.0 }
    }

    /// The words that a change shares with the symptoms that began after it.
    fn shared(&self, reading: &Reading, time: UnixNano) -> BTreeMap<String, f64> {
        let sets = [&reading.done, &reading.place, &reading.around];
        let mut shared = BTreeMap::<String, f64>::new();
        for (symptom, words) in self.symptoms.iter().filter(|(symptom, _)| symptom.since >= time) {
            let weight = if &*symptom.service == self.service { 1.0 } else { HALF };
            for word in words {
                let says = weight * self.says(word, sets);
                let known = shared.get(word).copied().unwrap_or(0.0);
                if says > known {
                    shared.insert(word.clone(), says);
                }
            }
        }
        shared
    }

    fn says(&self, word: &str, sets: [&BTreeSet<String>; 3]) -> f64 {
        let information = |word: &str| self.information.get(word).copied().unwrap_or(0.0);
        let places = || sets.iter().zip(PLACES);
        if let Some((_, place)) = places().find(|(set, _)| set.contains(word)) {
            return place * information(word);
        }
        let inner = |(set, place): (&&BTreeSet<String>, f64)| {
            let parts = set.iter().filter(|other| !self.own.contains(*other) && overlap(other, word));
            parts.map(|other| place * HALF * information(other)).fold(0.0, f64::max)
        };
        places().map(inner).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests;
