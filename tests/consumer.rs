//! From the collector to the consumer: the patch request of a real incident, as the one writes it, read by the other.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use backtrail_consumer::event::{Content, Event};
use backtrail_consumer::evidence::{Bundle, Signer};
use backtrail_consumer::intake::{Spool, take_in};
use backtrail_consumer::journal::Chain;
use backtrail_consumer::retry::Retry;
use backtrail_consumer::state::State;
use backtrail_consumer::step::Effect;
use backtrail_consumer::store::Store;
use backtrail_consumer::work::{BUNDLES, Settings, Worker};
use backtrail_model::UnixNano;
use rand::SeedableRng;
use serde_json::Value;

use crate::support::{binary, root};

/// Takes in the queue and decides on everything in it.
fn decide(queue: &Path, dir: &Path, ownership: PathBuf) -> (Chain, PathBuf) {
    let now = UnixNano(1_760_000_000_000_000_000);
    let mut store = Store::open(dir).expect("opens");
    let signer = Signer::of_folder(dir).expect("a key");
    let settings = Settings { ownership, max_age: None, lease: Duration::from_secs(30), retry: Retry::default() };
    let mut worker = Worker::new(settings, signer, rand::rngs::StdRng::seed_from_u64(1));
    let taken =
        take_in(&mut Spool::open(queue).expect("opens"), &mut store, &backtrail_redact::Redactor::new(), 100, now)
            .expect("taken in");
    assert_eq!(taken, 1);
    while worker.work(&mut store, now).expect("works").is_some() {}
    let rows = store.remediations(10).expect("readable");
    assert_eq!(rows.len(), 1, "{rows:?}");
    let chain = store.chain(&rows[0].id).expect("intact");
    (chain, dir.join(BUNDLES).join(format!("{}.json", rows[0].id)))
}

#[test]
fn a_real_incident_without_a_code_mapping_ends_as_no_safe_patch_with_the_reason() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let demo = Command::new(binary()).arg("demo").current_dir(dir.path()).output().expect("it runs");
    assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
    let queue = dir.path().join("backtrail-data/demo/patch_queue");
    let (chain, bundle) = decide(&queue, &dir.path().join("consumer"), dir.path().join("ownership.yaml"));

    let truth = std::fs::read(root().join("demo/incident/truth.json")).expect("kept");
    let truth: Value = serde_json::from_slice(&truth).expect("JSON");
    let culprit = truth["root_cause"]["service"].as_str().expect("a label");
    let remediation = &chain.remediation;
    assert_eq!((remediation.state, remediation.request.service.as_str()), (State::NoSafePatch, culprit));
    let reason = remediation.reason.as_deref().expect("a reason");
    assert!(reason.contains(&format!("no repository: ownership.yaml does not name service '{culprit}'")), "{reason}");
    assert!(reason.contains("no commit"), "{reason}");
    assert!(remediation.mapping.is_none(), "nothing was guessed");

    let Some(Effect::Seal { .. }) = &remediation.sealed else { panic!("no evidence") };
    let bytes = std::fs::read(bundle).expect("the evidence is there");
    let key = Signer::of_folder(&dir.path().join("consumer")).expect("the key").public();
    let verified = Bundle::verify(&bytes, Some(&key)).expect("valid");
    assert_eq!(verified.decision.reason, reason);
    let bundle: Bundle = serde_json::from_slice(&bytes).expect("a bundle");
    let event = Event::parse(bundle.request.as_bytes()).expect("the event as it was queued");
    assert!(matches!(event.content, Content::Request(request) if request.suspect_ref.entity.service == culprit));
}
