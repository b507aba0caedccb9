//! The recipes on services with seeded defects: minutes long, so CI runs it by name (`-- --ignored cases`).

use std::path::Path;

use crate::support::json_of;

#[test]
#[ignore = "minutes long: five languages build and run their tests; CI runs it"]
fn at_least_six_services_get_a_patch_that_cures_and_none_a_wrong_one() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let dir = tempfile::tempdir().expect("a directory");
    let measured = json_of(dir.path(), &["eval", "--json", "--patches", cases.to_str().expect("UTF-8")]);
    assert_eq!(measured["wrong"], 0, "{measured:#}");
    assert!(measured["cured"].as_u64().is_some_and(|cured| cured >= 6), "{measured:#}");
    let of = |id: &str| {
        let all = measured["cases"].as_array().expect("cases");
        all.iter().find(|case| case["class"] == id).unwrap_or_else(|| panic!("no case of {id}"))["state"].clone()
    };
    assert_eq!(of("no_safe_patch"), "no_safe_patch", "where nothing is safe, nothing is done");
}
