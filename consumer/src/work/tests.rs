use proptest::prelude::*;
use rand::SeedableRng;
use serde_json::json;

use super::*;
use crate::event::tests::{event, request, standing};
use crate::evidence::Verified;
use crate::step::Effect;

const NOW: UnixNano = UnixNano(1_661_140_500_000_000_000);

struct Bench {
    dir: tempfile::TempDir,
    store: Store,
    worker: Worker,
    now: UnixNano,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(&dir.path().join("data")).expect("opens");
        let ownership = dir.path().join("ownership.yaml");
        std::fs::write(
            &ownership,
            "services: { pay: { team: shop, repository: shop.git }, bank: { team: shop, repository: shop.git } }",
        )
        .expect("writable");
        let (lease, retry) = (Duration::from_secs(30), Retry { budget: 3, ..Retry::default() });
        let mut settings = Settings { ownership, max_age: Some(Duration::from_hours(1)), lease, retry };
        change(&mut settings);
        let worker = Worker::new(settings, Signer::from_seed([7; 32]), StdRng::seed_from_u64(1));
        Self { dir, store, worker, now: NOW }
    }

    fn put(&mut self, event: &[u8]) {
        let now = self.now;
        let id = Event::parse(event).expect("an event").id;
        self.store.transact(|tx| tx.insert(&id, event, now)).expect("written");
    }

    fn step(&mut self) -> Option<Worked> {
        self.worker.work(&mut self.store, self.now).expect("the database works")
    }

    fn drain(&mut self) {
        while self.step().is_some() {}
    }

    /// States by revision.
    fn states(&self) -> Vec<(u64, String)> {
        let mut states: Vec<_> =
            self.store.remediations(100).expect("readable").into_iter().map(|row| (row.revision, row.state)).collect();
        states.sort();
        states
    }

    fn chain(&self) -> Chain {
        let rows = self.store.remediations(1).expect("readable");
        self.store.chain(&rows[0].id).expect("intact")
    }

    fn verified(&self) -> Verified {
        let chain = self.chain();
        let Some(Effect::Seal { file, .. }) = chain.remediation.sealed else { panic!("not sealed") };
        let path = self.store.dir().join(BUNDLES).join(file);
        let key = Signer::from_seed([7; 32]).public();
        crate::evidence::Bundle::verify(&std::fs::read(path).expect("there"), Some(&key)).expect("valid")
    }
}

/// A request whose suspect can be mapped.
fn mapped(incident: &str, revision: u64) -> Vec<u8> {
    mapped_of(incident, revision, "pay")
}

fn mapped_of(incident: &str, revision: u64, service: &str) -> Vec<u8> {
    let mut request = request(incident, revision, service);
    request["id"] = json!(format!("{incident}-{revision}-{service}"));
    request["suspect_ref"]["entity"]["commit"] = json!("0123abc");
    request["code_context"]["functions"] = json!(["charge"]);
    event(&request)
}

fn states(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
    expected.iter().map(|(revision, state)| (*revision, (*state).to_owned())).collect()
}

#[test]
fn what_cannot_be_mapped_ends_with_its_reason_and_evidence() {
    let mut bench = Bench::new();
    bench.put(&event(&request("i", 3, "pay")));
    bench.drain();
    assert_eq!(bench.states(), states(&[(3, "no_safe_patch")]));
    let decision = bench.verified().decision;
    assert!(decision.reason.contains("no commit") && decision.reason.contains("no place"), "{}", decision.reason);
    let inbox = bench.store.inbox(bench.now).expect("counts");
    assert_eq!((inbox.done, inbox.waiting), (1, 0));
    let steps: Vec<_> = bench.chain().entries.iter().map(|entry| entry.step.name()).collect();
    assert_eq!(steps, ["received", "no_safe_patch", "intended", "happened"]);
}

#[test]
fn what_is_mapped_rests_until_it_expires() {
    let mut bench = Bench::new();
    bench.put(&mapped("i", 3));
    bench.drain();
    assert_eq!(bench.states(), states(&[(3, "triaged")]));
    let due = bench.store.next_due().expect("readable").expect("waits");
    assert_eq!(due, UnixNano(1_661_140_434_123_456_789).plus(Duration::from_hours(1)));
    bench.now = UnixNano(due.0 - 1);
    assert_eq!(bench.step(), None);
    bench.now = due;
    bench.drain();
    assert_eq!(bench.states(), states(&[(3, "expired")]));
    assert!(bench.verified().decision.reason.contains("3600 s are allowed"));
}

#[test]
fn a_shorter_age_of_a_later_run_holds_for_what_rests() {
    let mut bench = Bench::with(|settings| settings.max_age = None);
    bench.put(&mapped("i", 3));
    bench.drain();
    bench.now = bench.now.plus(Duration::from_hours(24));
    bench.drain();
    assert_eq!(bench.states(), states(&[(3, "triaged")]), "of any age");
    bench.worker.settings.max_age = Some(Duration::from_hours(2));
    bench.now = bench.now.plus(LOOK_AGAIN);
    bench.drain();
    assert_eq!(bench.states(), states(&[(3, "expired")]));
}

#[test]
fn a_burst_of_revisions_is_merged_and_a_later_one_supersedes() {
    let mut bench = Bench::new();
    for revision in [3, 5, 4] {
        bench.put(&mapped("i", revision));
    }
    bench.drain();
    assert_eq!(bench.states(), states(&[(5, "triaged")]), "work began once, on the newest");
    bench.put(&mapped("i", 8));
    bench.put(&mapped("j", 1));
    bench.drain();
    assert_eq!(bench.states(), states(&[(1, "triaged"), (5, "superseded"), (8, "triaged")]));
    let counters: std::collections::BTreeMap<_, _> = bench.store.counters().expect("readable").into_iter().collect();
    let count = |name: &str| counters.get(name).copied().unwrap_or_default();
    assert_eq!((count("merged"), count("older_revision"), count("superseded")), (1, 1, 1));
}

#[test]
fn each_service_that_an_incident_suspects_has_a_remediation_of_its_own() {
    let mut bench = Bench::new();
    bench.put(&mapped("i", 3));
    bench.put(&mapped_of("i", 4, "bank"));
    bench.drain();
    let active = |bench: &Bench| {
        let rows = bench.store.remediations(9).expect("readable").into_iter();
        let mut active: Vec<_> =
            rows.filter(|row| row.state == "triaged").map(|row| (row.service, row.revision)).collect();
        active.sort();
        active
    };
    assert_eq!(active(&bench), [("bank".into(), 4), ("pay".into(), 3)]);
    bench.put(&mapped("i", 5));
    bench.drain();
    assert_eq!(active(&bench), [("bank".into(), 4), ("pay".into(), 5)], "only its own is superseded");
    bench.put(&standing("i", 6, "resolved"));
    bench.drain();
    assert_eq!(active(&bench), [], "an incident that is over ends all of them");
}

#[test]
fn an_incident_that_is_over_ends_what_was_asked_before_and_not_what_was_asked_by_it() {
    let mut bench = Bench::new();
    bench.put(&mapped("i", 3));
    bench.drain();
    bench.put(&standing("i", 2, "updated"));
    bench.put(&standing("i", 3, "resolved"));
    bench.drain();
    assert_eq!(bench.states(), states(&[(3, "triaged")]), "asked for by the revision that resolves");
    bench.put(&standing("i", 4, "resolved"));
    bench.drain();
    assert_eq!(bench.states(), states(&[(3, "resolved")]));
    assert_eq!(bench.verified().decision.reason, "the incident is over since its revision 4");
    // The word came before the request.
    bench.put(&standing("k", 9, "resolved"));
    bench.put(&mapped("k", 8));
    bench.drain();
    assert_eq!(bench.states(), states(&[(3, "resolved"), (8, "resolved")]));
}

#[test]
fn a_failure_is_tried_again_within_the_budget_and_then_a_dead_letter_that_can_be_replayed() {
    let mut bench = Bench::new();
    let ownership = bench.dir.path().join("ownership.yaml");
    std::fs::write(&ownership, "services: [").expect("writable");
    bench.put(&mapped("i", 3));
    let mut failures = 0;
    loop {
        match bench.step() {
            Some(Worked::Failed(_)) => failures += 1,
            Some(_) => {}
            None => match bench.store.next_due().expect("readable") {
                Some(due) => bench.now = due,
                None => break,
            },
        }
    }
    assert_eq!(failures, 4, "three attempts and the burial");
    let letter = bench.store.dead_letters().expect("readable").pop().expect("there");
    assert_eq!(letter.reason, "budget_spent");
    assert!(letter.detail.contains("3 attempts failed") && letter.detail.contains("ownership.yaml"), "{letter:?}");
    assert_eq!(bench.states(), states(&[(3, "received")]));
    std::fs::write(&ownership, "services: { pay: { team: shop, repository: shop.git } }").expect("writable");
    let now = bench.now;
    bench.store.transact(|tx| tx.replay_letter(&letter.id, now)).expect("replayed");
    bench.drain();
    assert_eq!(bench.states(), states(&[(3, "triaged")]));
}

#[test]
fn what_ends_the_process_each_time_is_buried_by_the_budget() {
    let mut bench = Bench::new();
    bench.put(&mapped("i", 3));
    for _ in 0..3 {
        // Leased, and never heard of again.
        assert!(bench.store.lease(bench.now, Duration::from_secs(30)).expect("works").is_some());
        bench.now = bench.now.plus(Duration::from_secs(30));
    }
    assert!(matches!(bench.step(), Some(Worked::Failed(_))));
    let letter = bench.store.dead_letters().expect("readable").pop().expect("there");
    assert_eq!(letter.detail, "3 attempts failed; the last: every attempt ended without a word");
}

#[test]
fn work_that_was_taken_away_writes_nothing() {
    let mut bench = Bench::new();
    bench.put(&mapped("i", 3));
    assert_eq!(bench.step(), Some(Worked::Step), "admitted");
    let lease = bench.store.lease(bench.now, Duration::from_secs(30)).expect("works").expect("due");
    let row = bench.store.remediations(1).expect("readable").remove(0);
    let now = bench.now;
    let cancelled = Step::Cancelled { why: String::new() };
    let abort = |tx: &crate::store::Tx<'_>| tx.append(&tx.seize(&row.event_id, now)?, &row.id, &cancelled, now);
    bench.store.transact(abort).expect("aborted");
    let before = bench.chain();
    let late = bench.worker.advance(&mut bench.store, &lease, &row, now);
    assert!(matches!(late, Err(Error::Stale { .. })), "{late:?}");
    assert_eq!(bench.chain(), before);
    bench.drain();
    assert_eq!(bench.verified().decision.state, State::Cancelled);
}

#[test]
fn an_intent_without_an_outcome_is_looked_up_before_anything_is_done() {
    let mut bench = Bench::new();
    bench.put(&event(&request("i", 3, "pay")));
    bench.drain();
    let Some(Effect::Seal { file, .. }) = bench.chain().remediation.sealed else { panic!("sealed") };
    let path = bench.store.dir().join(BUNDLES).join(file);
    let effect = Effect::Seal { file: "x".into(), digest: crate::journal::digest(b"other") };
    let folder = path.parent().expect("a folder");
    std::fs::write(folder.join("x"), b"this").expect("writable");
    assert!(!seal::is_there(folder, &effect).expect("readable"), "another content is not what was intended");
    std::fs::write(folder.join("x"), b"other").expect("writable");
    assert!(seal::is_there(folder, &effect).expect("readable"));
}

#[test]
fn a_tampered_journal_is_a_dead_letter_that_names_the_entry_and_the_rest_goes_on() {
    let mut bench = Bench::new();
    bench.put(&mapped("i", 3));
    bench.put(&mapped("j", 3));
    bench.drain();
    let of_i = bench.store.remediations(9).expect("readable").into_iter().find(|row| row.incident == "i");
    bench.store.tamper(&of_i.expect("there").id, 1, "charge", "change");
    let wrong = bench.store.tampered().expect("readable");
    assert!(matches!(wrong.as_slice(), [Error::Tampered { entry: 1, .. }]), "{wrong:?}");
    bench.now = bench.now.plus(Duration::from_hours(2));
    bench.drain();
    let letters = bench.store.dead_letters().expect("readable");
    assert_eq!((letters.len(), letters[0].reason.as_str()), (1, "tampered"));
    assert!(letters[0].detail.contains("at entry 1"), "{}", letters[0].detail);
    assert!(bench.states().contains(&(3, "expired".into())));
}

/// What is left of a service in an incident, whatever way it came to it: the newest request and how it stands.
fn left(bench: &Bench, incident: &str, service: &str) -> Option<(u64, String, String)> {
    let rows = bench.store.remediations(1000).expect("readable").into_iter();
    let newest =
        rows.filter(|row| row.incident == incident && row.service == service).max_by_key(|row| row.revision)?;
    Some((newest.revision, newest.event_id, newest.state))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// The same events in any order, any number of times, with work done in between or not: the same is left, at most
    /// one remediation of a service in an incident is active, and every journal adds up to its state.
    #[test]
    fn any_order_and_repetition_ends_in_one_state(
        events in proptest::collection::btree_set((0..2_u8, 0..6_u64, 0..3_u8), 1..8),
        order in proptest::collection::vec((any::<prop::sample::Index>(), 0..3_usize), 8..24),
    ) {
        let events: Vec<Vec<u8>> = events
            .into_iter()
            .map(|(incident, revision, what)| {
                let incident = ["i", "j"][usize::from(incident)];
                match what {
                    0 => standing(incident, revision, "resolved"),
                    what => mapped_of(incident, revision, ["pay", "bank"][usize::from(what - 1)]),
                }
            })
            .collect();
        let mut straight = Bench::new();
        for event in &events {
            straight.put(event);
        }
        straight.drain();
        let mut any = Bench::new();
        for (which, steps) in order {
            any.put(&events[which.index(events.len())]);
            for _ in 0..steps {
                any.step();
            }
        }
        for event in &events {
            any.put(event);
        }
        any.drain();
        for (incident, service) in [("i", "pay"), ("i", "bank"), ("j", "pay"), ("j", "bank")] {
            prop_assert_eq!(left(&straight, incident, service), left(&any, incident, service));
        }
        prop_assert!(any.store.tampered().expect("readable").is_empty());
        prop_assert!(any.store.dead_letters().expect("readable").is_empty());
    }
}
