//! What is wrong in components and in `service:`, with exact places and words.

use super::*;

/// One mistake, one message.
fn assert_one(old: &str, new: &str, expected: &str) {
    assert_eq!(after(old, new), [expected], "{old} -> {new}");
}

#[test]
fn the_good_file_has_no_problems() {
    assert_eq!(problems(GOOD), [""; 0]);
}

#[test]
fn unknown_keys_name_the_nearest_and_all_valid_ones() {
    assert_one(
        "    window: 10m",
        "    windw: 10m",
        "15:5 unknown key 'windw' in processor 'ochiai' / did you mean 'window'? valid keys: window, min_failures, enabled",
    );
    assert_one(
        "share: 5%",
        "shre: 5%",
        "13:9 unknown key 'shre' in 'policies[1]' of processor 'tail_sampling' / did you mean 'share'? valid keys: name, \
         keep, share",
    );
    assert_one(
        "shards: 2",
        "admin: { endpont: here }",
        "23:12 unknown key 'endpont' in 'admin' of service / did you mean 'endpoint'? valid keys: endpoint",
    );
}

#[test]
fn a_misspelt_key_is_not_missing_as_well() {
    assert_one(
        "- name: slow",
        "- nam: slow",
        "11:9 unknown key 'nam' in 'policies[1]' of processor 'tail_sampling' / did you mean 'name'? valid keys: name, \
         keep, share",
    );
    assert_one(
        "threshold: 2s",
        "threshhold: 2s",
        "12:28 unknown key 'threshhold' in 'policies[1].keep.latency' of processor 'tail_sampling' / did you mean \
         'threshold'? valid keys: threshold",
    );
    assert_one(
        "{ name: errors, keep: errors }",
        "{ name: errors }",
        "10:9 key 'keep' is missing in 'policies[0]' of processor 'tail_sampling' / add 'keep:'",
    );
}

#[test]
fn wrong_types_say_what_belongs_there_with_an_example() {
    let window = "    window: 10m";
    assert_one(
        window,
        "    window: 10",
        "15:13 'window' of processor 'ochiai': duration '10' has no unit / write 10s or 10ms",
    );
    assert_one(
        window,
        "    window: [1]",
        "15:13 'window' of processor 'ochiai' must be a duration such as 200ms, 30s or 15m, not a list / such as window: 15m",
    );
    assert_one(
        window,
        "    min_failures: many",
        "15:19 'min_failures' of processor 'ochiai' must be a whole number, not 'many' / such as min_failures: 5",
    );
    assert_one(
        window,
        "    min_failures: -1",
        "15:19 'min_failures' of processor 'ochiai' cannot be -1 / write a whole number of 0 or more",
    );
    assert_one(
        window,
        "    enabled: yes",
        "15:14 'enabled' of processor 'ochiai' must be true or false, not 'yes' / such as enabled: true",
    );
    assert_one(
        "max_body: 4MiB",
        "connections: 70000",
        "4:18 'connections' of receiver 'otlp' cannot be 70000 / write a whole number from 0 to 65535",
    );
    assert_one(
        "tables: [spans]",
        "tables: spans",
        "19:30 'tables' of exporter 'parquet/spans' must be a list, not 'spans' / write tables: [spans]",
    );
    assert_one(
        "  anomaly_trigger:",
        "  anomaly_trigger: 5",
        "16:20 processor 'anomaly_trigger' must be a map of keys and values, not 5 / write 'key: value' lines below it, \
         indented",
    );
}

#[test]
fn wrong_values_name_the_valid_ones() {
    assert_one(
        "share: 5%",
        "share: 500%",
        "13:16 'policies[1].share' of processor 'tail_sampling': '500%' is no share / write 5% or a number from 0 to 1",
    );
    assert_one(
        "keep: errors",
        "keep: erors",
        "10:31 'policies[0].keep' of processor 'tail_sampling' cannot be 'erors' / did you mean 'errors'? valid values: \
         errors, latency",
    );
    assert_one(
        "tables: [spans]",
        "tables: [span]",
        "19:31 'tables[0]' of exporter 'parquet/spans' cannot be 'span' / did you mean 'spans'? valid values: spans, windows",
    );
}

#[test]
fn a_component_checks_its_own_values() {
    assert_one(
        "name: slow",
        "name: errors",
        "11:15 processor 'tail_sampling': two policies have this name / rename one",
    );
    assert_one(
        "tables: [spans], ",
        "",
        "19:3 exporter 'parquet/spans': no tables are listed / such as tables: [spans]",
    );
}

#[test]
fn unknown_components_and_sections_are_named_once() {
    assert_one(
        "  otlp:\n",
        "  otpl:\n",
        "2:3 unknown receiver 'otpl' / did you mean 'otlp'? known receivers: otlp, replay",
    );
    assert_eq!(
        after("  ochiai:\n    window: 10m", "  parquet: {}")[0],
        "14:3 unknown processor 'parquet' / 'parquet' is an exporter; move it to 'exporters'"
    );
    assert_one(
        "  ochiai:\n",
        "  och iai:\n",
        "14:3 'och iai' is no valid id / write type or type/name, with letters, digits and _ - . only",
    );
    assert_one(
        "processors:\n  red",
        "procesors:\n  red",
        "5:1 unknown section 'procesors' / did you mean 'processors'? valid sections: receivers, processors, exporters, \
         service, tests",
    );
}

#[test]
fn otelcols_other_sections_are_explained() {
    let built_in = "remove it: health, status and metrics are built in and listen on service.admin.endpoint";
    assert_one(
        "receivers:\n  otlp",
        "extensions: {}\nreceivers:\n  otlp",
        &format!("1:1 unknown section 'extensions' / {built_in}"),
    );
    assert_one(
        "receivers:\n  otlp",
        "connectors: {}\nreceivers:\n  otlp",
        "1:1 unknown section 'connectors' / remove it: a pipeline takes another pipeline's output when it names that \
         pipeline under 'receivers'",
    );
    assert_one("shards: 2", "extensions: []", &format!("23:3 unknown key 'extensions' in service / {built_in}"));
}

#[test]
fn the_service_section_is_checked() {
    assert_one(
        "shards: 2",
        "shards: two",
        "23:11 'shards' of service must be a whole number, not 'two' / write it without quotes and unit, such as 10",
    );
    assert_one(
        "shards: 2",
        "shards: 1000",
        "23:11 'shards' of service cannot be 1000 / write a whole number from 0 to 256; 0 means one for each core",
    );
    assert_one(
        "shards: 2",
        "admin: { endpoint: here }",
        "23:22 'admin.endpoint' of service cannot be 'here' / write host:port, such as 127.0.0.1:8888; empty turns it off",
    );
    assert_one("shards: 2", "slice: 0s", "23:10 'slice' of service cannot be 0s / such as slice: 15s");
    assert_one(
        "shards: 2",
        "memory_limit: 4KiB",
        "23:17 'memory_limit' of service cannot be 4KiB / write 1MiB or more, such as 512MiB",
    );
    assert_eq!(
        problems("receivers: {}"),
        ["1:1 section 'service' is missing / add 'service:' with 'pipelines:' below it"]
    );
    assert!(problems("service:\n  pipelines: {}")[0].starts_with("2:3 there are no pipelines / add one: "));
}

#[test]
fn a_dozen_mistakes_are_reported_at_once() {
    let text = GOOD
        .replace("max_body: 4MiB", "max_body: 4 parsecs\n    conections: 5")
        .replace("keys: [password]", "keys: password")
        .replace("keep: errors }", "keep: erors, shar: 1 }")
        .replace("share: 5%", "share: 7")
        .replace("window: 10m", "window: 10\n    enabled: yes\n    min_failures: -3")
        .replace("  anomaly_trigger:\n", "  anomaly_triger:\n")
        .replace("tables: [windows]", "tables: [window, spans, spectre]")
        .replace("shards: 2", "shards: -2\n  slice: 15")
        .replace("exporters: [parquet/spans]", "exporters: [parquet/span]");
    let places: Vec<String> = problems(&text).iter().map(|line| line[..line.find(' ').unwrap()].to_owned()).collect();
    assert_eq!(
        places,
        [
            "4:15", "5:5", "7:22", "11:31", "11:38", "14:16", "16:13", "17:14", "18:19", "19:3", "23:31", "23:46",
            "26:11", "27:10", "30:79"
        ]
    );
}

#[test]
fn a_list_of_wrong_items_is_bounded() {
    let text = good_with("keys: [password]", &format!("keys: [{}]", vec!["{}"; 300].join(", ")));
    let found = problems(&text);
    assert_eq!(found.len(), 101);
    assert!(found.iter().any(|line| line.contains("has more mistakes than these")));
}

#[test]
fn problems_are_drawn_like_a_compiler_does() {
    let text = good_with("    window: 10m", "    windw: 10m");
    let problems = load(&text).err().unwrap();
    let drawn = crate::config::render::render(&problems, &[("p.yaml".to_owned(), text)], false);
    assert_eq!(
        drawn,
        "error: unknown key 'windw' in processor 'ochiai'\n  --> p.yaml:15:5\n    |\n 15 |     windw: 10m\n    |     ^\n  \
         hint: did you mean 'window'? valid keys: window, min_failures, enabled\n\n1 problem\n"
    );
    let coloured = crate::config::render::render(&problems, &[], true);
    assert!(coloured.starts_with("\x1b[1;31merror\x1b[0m"));
}
