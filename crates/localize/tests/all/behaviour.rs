//! Each fault of the shop, and a quiet window.

use backtrail_localize::rank::{FLOOR_QUANTILE, floor, pessimistic_rank};

use crate::shop::{Case, Fault, NAMES};

fn first(fault: Fault) -> (backtrail_localize::Judgement, String) {
    let judgement = Case::new(&NAMES, fault).judge();
    let service = judgement.suspects[0].entity.service.clone();
    (judgement, service)
}

#[test]
fn a_quiet_window_is_inconclusive() {
    let (judgement, _) = first(Fault::None);
    assert!(judgement.is_inconclusive(), "{:?}", judgement.confidence);
    assert!(judgement.cause.starts_with("inconclusive, because"), "{}", judgement.cause);
    assert!(judgement.ruled_out.is_empty() && judgement.divergent_span.is_none());
}

#[test]
fn a_slow_operation_is_found_with_its_numbers() {
    let (judgement, service) = first(Fault::SlowDb);
    assert_eq!((service.as_str(), judgement.confidence.level.as_str()), ("db", "high"), "{:?}", judgement.services);
    assert_eq!(judgement.cause, "db itself is slow in SELECT");
    let route = judgement.suspects.iter().find(|suspect| suspect.entity.kind == "route").unwrap();
    assert_eq!((route.rank, route.entity.name.as_str()), (1, "SELECT"));
    let says = &judgement.evidence[0].says;
    assert!(
        says.starts_with("the self time of SELECT in db is 3") && says.contains("z ") && says.contains("gate"),
        "{says}"
    );
}

#[test]
fn time_lost_on_the_way_is_an_edge_and_the_bystander_is_below_it() {
    let (judgement, service) = first(Fault::NetworkToAds);
    assert_eq!(service, "ads", "{:?}", judgement.services);
    let edge = judgement.suspects.iter().find(|suspect| suspect.entity.kind == "edge").unwrap();
    assert_eq!((edge.entity.service.as_str(), edge.entity.name.as_str()), ("web", "ads"));
    assert!(judgement.propagation.iter().any(|hop| hop.from == "web" && hop.to == "ads" && hop.sick));
    assert!(judgement.propagation.iter().all(|hop| hop.sick == (hop.from == "web" && hop.to == "ads")));
}

#[test]
fn an_error_is_charged_where_it_begins() {
    let (judgement, service) = first(Fault::CartThrows);
    assert_eq!((service.as_str(), judgement.confidence.level.as_str()), ("cart", "high"), "{:?}", judgement.services);
    assert_eq!(judgement.cause, "errors begin at cart in cart.Add");
    assert!(!judgement.errors.scores.contains_key("web"));
    let web = judgement.ruled_out.iter().find(|ruled_out| ruled_out.entity.service == "web").unwrap();
    assert_eq!(web.why, "its errors are explained by errors that begin at cart");
    assert_eq!(
        judgement.critical_path.iter().map(|step| step.service.as_str()).collect::<Vec<_>>(),
        ["web", "cart", "db"]
    );
    assert!(judgement.impact.failing > 30.0);
}

#[test]
fn a_callee_that_used_to_answer_and_falls_silent_is_charged_and_its_caller_is_not() {
    let (judgement, service) = first(Fault::DbGone);
    assert_eq!(service, "db", "{:?}", judgement.services);
    for other in ["web", "cart"] {
        assert_eq!(pessimistic_rank(&judgement.errors.scores, other), None, "{:?}", judgement.errors.scores);
    }
    assert!(judgement.evidence.iter().any(|evidence| evidence.says.contains("got no answer")));
    assert_eq!(judgement.confidence.level, "high", "{:?}", judgement.confidence);
    assert!(judgement.limits.iter().any(|limit| limit.contains("not instrumented") && limit.contains("db")));
}

#[test]
fn nobody_is_no_suspect_of_any_kind_but_stays_in_the_graph() {
    for (unknown, fault) in
        [("unknown_service", Fault::SlowDb), ("(unknown)", Fault::SlowDb), ("unknown_service", Fault::DbGone)]
    {
        let judgement = Case::new(&["web", "cart", unknown, "ads"], fault).judge();
        assert!(judgement.suspects.iter().all(|suspect| suspect.entity.service != unknown), "{:?}", judgement.suspects);
        assert!(!judgement.services.contains_key(unknown));
        assert!(judgement.suspects.iter().any(|suspect| suspect.entity.service == "cart" && suspect.rank == 1));
        let hop = judgement.propagation.iter().find(|hop| hop.to == unknown);
        assert_eq!(hop.is_some_and(|hop| hop.sick), fault == Fault::DbGone, "{:?}", judgement.propagation);
    }
}

#[test]
fn every_score_is_a_share_and_every_evidence_id_is_known() {
    for fault in [Fault::None, Fault::SlowDb, Fault::NetworkToAds, Fault::CartThrows, Fault::DbGone] {
        let judgement = Case::new(&NAMES, fault).judge();
        for suspect in &judgement.suspects {
            assert!((0.0..=1.0).contains(&suspect.score.total), "{suspect:?}");
            assert!(suspect.score.parts.values().all(|part| (0.0..=1.0).contains(part)), "{suspect:?}");
            for id in &suspect.why {
                assert!(judgement.evidence.iter().any(|evidence| evidence.id == *id), "{id}");
            }
        }
    }
}

#[test]
fn the_floor_cannot_tell_services_that_every_trace_passes_apart() {
    let case = Case::new(&NAMES, Fault::CartThrows);
    let baseline: Vec<_> = case.baseline.iter().map(|slice| &slice.0).collect();
    let window: Vec<_> = case.window.iter().map(|slice| &slice.0).collect();
    let scores = floor(&baseline, &window, FLOOR_QUANTILE);
    assert_eq!(pessimistic_rank(&scores, "cart"), Some(4));
}

#[test]
fn a_slow_service_is_short_of_processor_time_and_lost_time_is_the_network() {
    let resource = |fault| {
        let (judgement, _) = first(fault);
        let found = judgement.suspects.into_iter().find(|suspect| suspect.entity.kind == "resource").unwrap();
        (found.rank, found.entity.service, found.entity.name)
    };
    assert_eq!(resource(Fault::SlowDb), (1, "db".to_owned(), "cpu".to_owned()));
    assert_eq!(resource(Fault::NetworkToAds), (1, "ads".to_owned(), "network".to_owned()));
}
