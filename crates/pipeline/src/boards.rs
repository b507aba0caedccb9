//! What comes in from outside the telemetry and is shared by all nodes: changes and alerts, on boards that are bounded
//! and count what they had to forget; and questions, which are answered at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use backtrail_model::alert::Alert;
use backtrail_model::change::Change;
use backtrail_model::feedback::Said;
use backtrail_model::verdict::Verdict;
use parking_lot::Mutex;

/// Most changes that are remembered: a busy week of a large company.
const MOST_CHANGES: usize = 5000;
/// Most verdicts that are remembered: some hours of open incidents.
const MOST_SAID: usize = 5000;
/// Most alerts that wait to be looked at.
const MOST_ALERTS: usize = 1000;

/// Changes that were posted. The same id twice is one change, and the later post counts.
#[derive(Default)]
pub struct ChangeBoard {
    inner: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    by_id: BTreeMap<String, Arc<Change>>,
    forgotten: u64,
}

impl ChangeBoard {
    /// Adds changes; past the bound the oldest ones are forgotten.
    pub fn post(&self, changes: impl IntoIterator<Item = Change>) {
        let mut inner = self.inner.lock();
        for change in changes {
            inner.by_id.insert(change.id.clone(), Arc::new(change));
            if inner.by_id.len() > MOST_CHANGES {
                let oldest = inner.by_id.values().min_by_key(|change| change.time).map(|change| change.id.clone());
                if let Some(id) = oldest {
                    inner.by_id.remove(&id);
                    inner.forgotten += 1;
                }
            }
        }
    }

    /// All of them, in order of id.
    pub fn all(&self) -> Vec<Arc<Change>> {
        self.inner.lock().by_id.values().map(Arc::clone).collect()
    }

    /// How many were forgotten.
    pub fn forgotten(&self) -> u64 {
        self.inner.lock().forgotten
    }
}

/// Alerts in the order in which they were posted. A reader remembers up to where it has read, so that several can.
#[derive(Default)]
pub struct AlertBoard {
    inner: Mutex<Posted>,
}

#[derive(Default)]
struct Posted {
    /// Number of the first alert in the list.
    first: u64,
    list: VecDeque<Alert>,
}

impl AlertBoard {
    /// Adds alerts; past the bound the oldest ones are forgotten, read or not.
    pub fn post(&self, alerts: impl IntoIterator<Item = Alert>) {
        let mut inner = self.inner.lock();
        for alert in alerts {
            inner.list.push_back(alert);
            if inner.list.len() > MOST_ALERTS {
                inner.list.pop_front();
                inner.first += 1;
            }
        }
    }

    /// The alerts from number `read` on, how many before them were forgotten unread, and the number to go on with.
    pub fn after(&self, read: u64) -> (Vec<Alert>, u64, u64) {
        let inner = self.inner.lock();
        let from = read.max(inner.first);
        let alerts = inner.list.iter().skip((from - inner.first) as usize).cloned().collect();
        (alerts, from - read, inner.first + inner.list.len() as u64)
    }
}

/// What somebody wants a verdict on, without an incident.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// `service route`, a service, or a route.
    pub endpoint: String,
    /// How much of the time up to now.
    pub last: Duration,
}

/// Why there is no verdict.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoAnswer {
    /// No node of the graph judges.
    #[error("no pipeline has a verdict processor")]
    Nobody,
    /// One question at a time: judging takes a core.
    #[error("another question is being answered")]
    Busy,
    /// No trace was counted yet.
    #[error("no slice with traces is closed yet")]
    NoSlices,
    /// No trace that is held touches it.
    #[error("no trace of the slices that are held touches this endpoint")]
    UnknownEndpoint {
        /// Endpoints that are known, the first few.
        known: Vec<String>,
    },
}

/// Who can answer: a node that judges.
pub trait Investigator: Send + Sync {
    /// The verdict on the last while. It takes its time, and is called from outside of the graph's threads.
    ///
    /// # Errors
    /// When nothing is known of the endpoint.
    fn investigate(&self, question: &Question) -> Result<Verdict, NoAnswer>;
}

/// The nodes that can answer questions.
#[derive(Default)]
pub struct InvestigatorBoard {
    /// Weak: the nodes hold what this board is a part of.
    nodes: Mutex<Vec<Weak<dyn Investigator>>>,
    /// Held while a question is being answered.
    busy: Mutex<()>,
}

impl InvestigatorBoard {
    /// A node that judges is there, for as long as it is held elsewhere.
    pub fn register(&self, node: Weak<dyn Investigator>) {
        let mut nodes = self.nodes.lock();
        nodes.retain(|node| node.strong_count() > 0);
        nodes.push(node);
    }

    /// Asks the nodes in the order in which they were built; the first that can answer does.
    ///
    /// # Errors
    /// When nobody can, or another question is being answered.
    pub fn ask(&self, question: &Question) -> Result<Verdict, NoAnswer> {
        let Some(_busy) = self.busy.try_lock() else { return Err(NoAnswer::Busy) };
        let nodes: Vec<Arc<dyn Investigator>> = self.nodes.lock().iter().filter_map(Weak::upgrade).collect();
        let mut error = NoAnswer::Nobody;
        for node in nodes {
            match node.investigate(question) {
                Ok(verdict) => return Ok(verdict),
                Err(why) => error = why,
            }
        }
        Err(error)
    }
}

/// What the last verdicts said, for whoever comes to say whether they were right.
#[derive(Default)]
pub struct SaidBoard {
    inner: Mutex<Sayings>,
}

#[derive(Default)]
struct Sayings {
    by_id: BTreeMap<String, Said>,
    order: VecDeque<String>,
}

impl SaidBoard {
    /// Remembers a verdict; past the bound the oldest is forgotten.
    pub fn post(&self, verdict: &Verdict) {
        let mut inner = self.inner.lock();
        if inner.by_id.insert(verdict.id.clone(), Said::by(verdict)).is_none() {
            inner.order.push_back(verdict.id.clone());
        }
        if inner.order.len() > MOST_SAID {
            let oldest = inner.order.pop_front();
            oldest.and_then(|id| inner.by_id.remove(&id));
        }
    }

    /// What a verdict said, if it is remembered.
    pub fn get(&self, verdict_id: &str) -> Option<Said> {
        self.inner.lock().by_id.get(verdict_id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use backtrail_model::moment::Time;
    use backtrail_model::time::UnixNano;

    use super::*;

    #[test]
    fn a_change_posted_twice_is_one_and_the_oldest_is_forgotten_first() {
        let board = ChangeBoard::default();
        let change = |n: usize| Change { id: n.to_string(), time: Time(UnixNano(n as u64)), ..Change::default() };
        board.post([change(7), Change { subject: "again".into(), ..change(7) }]);
        let all = board.all();
        assert_eq!((all.len(), &*all[0].subject, board.forgotten()), (1, "again", 0));
        board.post((8..8 + MOST_CHANGES).map(change));
        assert_eq!((board.all().len(), board.forgotten()), (MOST_CHANGES, 1));
        assert!(board.all().iter().all(|change| change.id != "7"));
    }

    #[test]
    fn readers_get_each_alert_once_and_hear_what_they_missed() {
        let board = AlertBoard::default();
        let alert = |n: usize| Alert { id: n.to_string(), ..Alert::default() };
        board.post([alert(0), alert(1)]);
        let (alerts, missed, next) = board.after(0);
        assert_eq!((alerts.len(), missed, next), (2, 0, 2));
        assert_eq!(board.after(next), (Vec::new(), 0, 2));
        board.post((2..5 + MOST_ALERTS).map(alert));
        let (alerts, missed, next) = board.after(next);
        assert_eq!((alerts.len(), missed, next as usize), (MOST_ALERTS, 3, MOST_ALERTS + 5));
    }
}
