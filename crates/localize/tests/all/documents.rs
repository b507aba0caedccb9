//! Verdict and patch request.

use backtrail_localize::document::{PatchContext, patch_request, verdict};
use backtrail_model::incident::{Detector, DetectorKind, Endpoint, Incident, Status, Window};
use backtrail_model::verdict::Provenance;
use backtrail_model::{Slice, UnixNano};

use crate::shop::{Case, Fault, NAMES};

fn incident() -> Incident {
    let endpoint = Endpoint { service: "web".into(), route: "GET /".into(), method: "GET".into() };
    let (start, end) = (UnixNano(1_000_000_000), UnixNano(9_000_000_000));
    Incident {
        incident_key: Incident::key("default", &endpoint, DetectorKind::ErrorShift, start),
        revision: 2,
        status: Status::Updated,
        detector: Detector {
            kind: DetectorKind::ErrorShift,
            slo: String::new(),
            threshold: 10.0,
            observed: 40.0,
            unit: "z".into(),
        },
        endpoint,
        window: Window { start_unix_nano: start, end_unix_nano: end, watermark_unix_nano: end, late: 0 },
        opened: Slice(1),
    }
}

fn provenance() -> Provenance {
    Provenance {
        engine: "backtrail test".into(),
        config_digest: String::new(),
        baseline_slices: 40,
        window_slices: 8,
        slice_seconds: 5.0,
        sampled_share: 1.0,
        late_spans: 0,
    }
}

#[test]
fn a_fault_gives_a_complete_request_with_a_stable_id() {
    let judgement = Case::new(&NAMES, Fault::CartThrows).judge();
    let mut incident = incident();
    let document = verdict(&incident, &judgement, provenance());
    assert_eq!((document.id.clone(), document.status), (incident.event_id(), Status::Updated));
    let context = PatchContext::new(&judgement);
    let request = patch_request(&document, &context).unwrap();
    assert_eq!(request.constraints.patch_must_be_guarded_by_flag, "backtrail_fix_cart_cart_add");
    assert_eq!(request.code_context.files[0].path, "src/cart.rs");
    assert_eq!(request.code_context.functions, ["Cart.add"]);
    assert_eq!(request.telemetry_summary.divergent_span.as_ref().unwrap().operation, "cart.Add");
    assert!(request.constraints.do_not_change_public_api && request.constraints.prefer_config_change);
    assert!(!request.ask.is_empty() && !request.problem.slo.is_empty());
    incident.revision = 3;
    let later = verdict(&incident, &judgement, provenance());
    assert_ne!(later.id, document.id);
    assert_eq!(patch_request(&later, &context).unwrap().id, request.id);
}

#[test]
fn nothing_is_asked_for_without_a_verdict() {
    let judgement = Case::new(&NAMES, Fault::None).judge();
    let document = verdict(&incident(), &judgement, provenance());
    assert_eq!(document.status, Status::Inconclusive);
    assert!(patch_request(&document, &PatchContext::new(&judgement)).is_none());
}

#[test]
fn a_resolved_incident_stays_resolved() {
    let judgement = Case::new(&NAMES, Fault::CartThrows).judge();
    let document = verdict(&Incident { status: Status::Resolved, ..incident() }, &judgement, provenance());
    assert_eq!(document.status, Status::Resolved);
    assert!(patch_request(&document, &PatchContext::new(&judgement)).is_none());
}
