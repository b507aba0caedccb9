//! YAML itself, references, overrides, and text that nobody meant to be a configuration.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::parse_set;
use crate::graph::Part;

/// The settings of a node with defaults filled in.
fn settings(config: &Config, node: &str) -> Value {
    config.graph.nodes[config.graph.find(node).unwrap()].part.json()
}

#[test]
fn text_that_is_no_configuration_says_so() {
    assert_eq!(problems(""), ["1:1 the file is empty / copy pipeline.yaml, or one of examples/"]);
    assert_eq!(problems("5"), ["1:1 the file is no map of sections / begin with 'receivers:'"]);
    assert_eq!(problems("--- {}\n---\na: b"), ["2:1 a second document starts here / keep one document in a file"]);
    let unclosed = after("receivers: [otlp]", "receivers: [otlp");
    assert_eq!(unclosed.len(), 1);
    assert!(unclosed[0].starts_with("25:28 this is not YAML: "), "{unclosed:?}");
    let unquoted = after("[password]", "[${env:WORD}]");
    assert!(unquoted[0].ends_with("a reference needs quotes: \"${env:NAME}\""), "{unquoted:?}");
}

#[test]
fn a_key_stands_once() {
    assert_eq!(
        after("    window: 10m", "    window: 10m\n    window: 5m"),
        ["16:5 key 'window' stands twice / it stands first on line 15; keep one of them"]
    );
}

#[test]
fn anchors_work_and_cannot_explode() {
    let text = good_with("{ tables: [spans], path: ./spans }", "&spans { tables: [spans], path: ./spans }")
        .replace("  patch_queue:\nservice", "  patch_queue:\n  parquet/more: { <<: *spans, path: ./more }\nservice")
        .replace("exporters: [parquet/spans]", "exporters: [parquet/spans, parquet/more]");
    let config = load(&text).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(settings(&config, "exporters.parquet/more"), json!({ "tables": ["spans"], "path": "./more" }));

    let mut laughs = String::from("a: &a0 [x]\n");
    for level in 1..40 {
        let before = level - 1;
        let _ = writeln!(laughs, "b{level}: &a{level} [*a{before}, *a{before}, *a{before}, *a{before}]");
    }
    let found = problems(&laughs);
    assert!(found.iter().any(|line| line.contains("more than 100000 values")), "{found:?}");
    assert!(problems("a: &a [*a]")[0].contains("this alias stands inside its own anchor"));
}

#[test]
fn depth_and_size_are_bounded() {
    let deep = format!("{}x{}", "[".repeat(100), "]".repeat(100));
    assert!(problems(&deep)[0].contains("more than 64 levels"));
    assert!(problems(&"# x\n".repeat(300_000))[0].contains("at most 1048576 are read"));
}

#[test]
fn references_are_filled_in() {
    let text = good_with("max_body: 4MiB", "connections: ${env:PORT}")
        .replace("127.0.0.1:4317", "\"${env:HOST:-local${env:EMPTY:-host}}:${PORT}$$\"")
        .replace("{ keys: [password] }", "\n    keys:\n      - \"${env:DIGITS}\"\n      - ${env:DIGITS}\n      - ^a$");
    let config = load(&text).unwrap_or_else(|problems| panic!("{problems:?}"));
    let otlp = settings(&config, "receivers.otlp");
    assert_eq!((&otlp["connections"], &otlp["endpoint"]), (&json!(4317), &json!("localhost:4317$")));
    // Digits that a reference fills in are text where text is wanted.
    assert_eq!(settings(&config, "processors.redaction")["keys"], json!(["12345", "12345", "^a$"]));
}

#[test]
fn files_are_filled_in_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("endpoint.txt"), "127.0.0.1:1\n").unwrap();
    let path = folder.path().join("pipeline.yaml");
    std::fs::write(&path, good_with("127.0.0.1:4317", "${file:endpoint.txt}")).unwrap();
    let config = crate::config::load(&path, &COMPONENTS, &[]).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(settings(&config, "receivers.otlp")["endpoint"], "127.0.0.1:1");

    let missing = crate::config::load(&folder.path().join("none.yaml"), &COMPONENTS, &[]).err().unwrap();
    assert_eq!(missing[0].message, "the configuration cannot be read: there is no such file");
}

#[test]
fn references_without_a_value_are_shown_where_they_stand() {
    let endpoint = "endpoint: 127.0.0.1:4317";
    assert_eq!(
        after(endpoint, "endpoint: \"x${env:NOPE}\""),
        ["3:17 environment variable 'NOPE' is not set / set it, or write a default: ${env:NOPE:-value}"]
    );
    assert_eq!(
        after(endpoint, "endpoint: a ${what:ever}"),
        [
            "3:17 reference '${what:ever}' is unknown / write ${env:NAME}, ${env:NAME:-default} or ${file:path}, or $${ for the \
         characters ${ themselves"
        ]
    );
    assert_eq!(
        after(endpoint, "endpoint: \"${oops\""),
        ["3:16 this reference has no closing brace / write ${env:NAME}, or $${ for the characters ${ themselves"]
    );
    assert_eq!(
        after(endpoint, "endpoint: ${file:nope.txt}"),
        [
            "3:15 file 'nope.txt' cannot be read: there is no such file / relative paths start at the folder of the configuration"
        ]
    );
}

#[test]
fn a_reference_without_a_value_causes_no_second_message() {
    assert_eq!(after("name: slow", "name: ${env:NOPE}").len(), 1);
    assert_eq!(after("keys: [password]", "keys: [\"${env:NOPE}\"]").len(), 1);
    assert_eq!(after("tables: [spans]", "tables: \"${env:NOPE}\"").len(), 1);
}

#[test]
fn what_a_reference_filled_in_is_never_shown() {
    for (setting, place) in [("connections: ${env:WORD}", "4:18"), ("max_body: ${env:WORD}", "4:15")] {
        let found = after("max_body: 4MiB", setting);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with(place) && found[0].contains("'${env:WORD}'"), "{found:?}");
        assert!(!found[0].contains("'word'"), "{found:?}");
    }
}

#[test]
fn overrides_win_and_their_mistakes_carry_their_name() {
    let set = |path: &str, value: Value| (path.to_owned(), value);
    let good = [
        set("service.data_dir", json!("/x")),
        set("service.shards", json!(7)),
        set("exporters.parquet/spans.path", json!("/y")),
        set("processors.tail_sampling.policies[0].name", json!("first")),
        set("processors.verdict", json!({})),
    ];
    let config = load_set(GOOD, &good).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!((config.service.data_dir.as_str(), config.service.shards), ("/x", 7));
    assert_eq!(settings(&config, "exporters.parquet/spans")["path"], "/y");
    assert_eq!(settings(&config, "processors.tail_sampling")["policies"][0]["name"], "first");

    let bad = [set("service.shards", json!("x")), set("service.shards.deep", json!(1))];
    let found = load_set(GOOD, &bad).err().unwrap();
    let names: Vec<(&str, usize)> = found.iter().map(|problem| (problem.file.as_str(), problem.line)).collect();
    assert_eq!(names, [("--set service.shards", 1), ("--set service.shards.deep", 1)]);
}

#[test]
fn settings_of_a_command_line_are_read_as_yaml() {
    assert_eq!(parse_set("service.shards=4"), Ok(("service.shards".to_owned(), json!(4))));
    assert_eq!(parse_set("a.b=x=y"), Ok(("a.b".to_owned(), json!("x=y"))));
    assert_eq!(parse_set("a=[x, 'y']"), Ok(("a".to_owned(), json!(["x", "y"]))));
    assert!(parse_set("a").is_err_and(|reason| reason.contains("path=value")));
    assert!(parse_set("a=[x").is_err());
}

#[test]
fn numbers_truths_and_nulls_are_yaml_1_2() {
    use crate::config::yaml::resolve;

    for (text, value) in [
        ("5", json!(5)),
        ("-5", json!(-5)),
        ("+5", json!(5)),
        ("0x1F", json!(31)),
        ("0o17", json!(15)),
        ("1.5", json!(1.5)),
        ("1e3", json!(1000.0)),
        ("0123", json!("0123")),
        ("yes", json!("yes")),
        ("True", json!(true)),
        ("~", json!(null)),
        ("", json!(null)),
        ("1-2", json!("1-2")),
        ("1.2.3", json!("1.2.3")),
        ("-", json!("-")),
        (".5", json!(0.5)),
        ("99999999999999999999", json!(1e20)),
    ] {
        assert_eq!(resolve(text), value, "{text}");
    }
}

#[test]
fn an_otelcol_file_loads() {
    let text = "\
receivers:
  otlp:
processors:
  memory_limiter:
    limit: 32MiB
  redaction:
exporters:
  debug:
    verbosity: detailed
  debug/2:
service:
  pipelines:
    traces:
      receivers: [otlp]
      processors: [memory_limiter, redaction]
      exporters: [debug]
    traces/2:
      receivers: [otlp]
      processors:
      exporters: [debug, debug/2]
";
    let config = load(text).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(config.service.memory_limit, crate::ByteSize(32 << 20));
    assert_eq!(config.graph.nodes.len(), 5);
    assert!(matches!(config.graph.nodes[0].part, Part::Receiver(_)));
}

#[test]
fn the_digest_changes_with_results_only() {
    let digest = |text: &str| load(text).unwrap_or_else(|problems| panic!("{problems:?}")).digest;
    let good = digest(GOOD);
    assert_eq!(good.len(), 16);
    assert_eq!(good, digest(&good_with("shards: 2", "shards: 5")));
    assert_eq!(good, digest(&good_with("shards: 2", "data_dir: /elsewhere")));
    assert_eq!(good, digest(&good_with("path: ./spans", "path: ./other")));
    assert_eq!(good, digest(&good_with("window: 10m", "window: 600s")));
    assert_ne!(good, digest(&good_with("window: 10m", "window: 11m")));
}

#[test]
fn schema_and_reference_come_from_the_tables() {
    let schema = crate::config::schema::schema(&COMPONENTS);
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    assert!(schema["properties"]["processors"]["patternProperties"]["^ochiai/.+$"].is_object());
    let ochiai = &schema["definitions"]["processors.ochiai"];
    assert_eq!(ochiai["properties"]["window"]["$ref"], Value::Null);
    assert_eq!(ochiai["properties"]["min_failures"]["type"], json!(["integer", "string"]));
    assert_eq!(ochiai["examples"][0]["window"], "15m");
    // Every reference leads somewhere.
    let text = schema.to_string();
    for target in text.split("\"$ref\":\"#/definitions/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(schema["definitions"].get(target).is_some(), "{target}");
    }
    assert!(!text.contains("$defs"));

    let pages = crate::config::reference::pages(&COMPONENTS);
    let page = &pages.iter().find(|page| page.path == "processors/tail_sampling.md").unwrap().text;
    for row in [
        "# tail_sampling\n\nA fake tail_sampling.\n",
        "- accepts (with defaults): `traces`\n",
        "| `decision_wait` | duration |  | How long a trace is waited for. |\n",
        "## `policies[]`\n",
        "| `keep` | `errors`, `latency:` |  | What it keeps. |\n",
        "| `share` | share |  | The share of it. |\n",
        "## `policies[].keep.latency`\n",
        "| `threshold` | duration |  | From here on. |\n",
    ] {
        assert!(page.contains(row), "{row}\n{page}");
    }
}

/// Deletes, inserts and repeats pieces of the good file.
fn mutated(changes: &[(usize, u8, char)]) -> String {
    let mut text: Vec<char> = GOOD.chars().collect();
    for &(at, kind, with) in changes {
        let at = at % text.len().max(1);
        match kind % 4 {
            0 => _ = (at < text.len()).then(|| text.remove(at)),
            1 => text.insert(at, with),
            2 => text.truncate(text.len() - text.len().min(at % 20)),
            _ => text.extend(text[at..(at + 30).min(text.len())].to_vec()),
        }
    }
    text.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_makes_the_loader_panic(
        changes in prop::collection::vec(
            (any::<usize>(), any::<u8>(), prop::sample::select("{}[]:,&*!|>'\"%@`#-? \n\t$~<a0\u{e9}".chars().collect::<Vec<_>>())),
            1..12,
        )
    ) {
        if let Err(problems) = load(&mutated(&changes)) {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.iter().all(|problem| problem.line >= 1 && problem.column >= 1 && !problem.hint.is_empty()));
        }
    }
}
