//! Pipelines: names, circles, signals, threads, implied processors, clocks; and the graph that comes out.

use backtrail_model::signal::{Signal, Signals};

use super::*;
use crate::graph::{Format, Stage};

fn assert_one(old: &str, new: &str, expected: &str) {
    assert_eq!(after(old, new), [expected], "{old} -> {new}");
}

fn good(text: &str) -> Config {
    load(text).unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[test]
fn undefined_names_are_reported_with_the_nearest() {
    assert_one(
        "receivers: [otlp]",
        "receivers: [otpl]",
        "25:29 pipeline 'ingest' names an undefined receiver 'otpl' / did you mean 'otlp'? receivers and pipelines: otlp, \
         keep, localize",
    );
    assert_one(
        "processors: [ochiai",
        "processors: [memory_limiter, ochiai",
        "29:20 pipeline 'localize' names an undefined processor 'memory_limiter' / add 'memory_limiter:' to section \
         'processors'; defined processors: anomaly_trigger, ochiai, redaction, tail_sampling, trace_assembly, verdict",
    );
    assert_one(
        "receivers: [otlp]",
        "receivers: [redaction]",
        "25:29 pipeline 'ingest' names an undefined receiver 'redaction' / 'redaction' is listed under 'processors'; a \
         receiver or pipeline belongs here",
    );
    assert_one(
        "exporters: [parquet/spans]",
        "exporters: [parquet/spans, verdict]",
        "26:94 pipeline 'keep' names an undefined exporter 'verdict' / 'verdict' is defined under 'processors'; list it \
         under 'processors' here, too",
    );
}

#[test]
fn names_are_unambiguous_and_stand_once() {
    assert_one(
        "receivers: [otlp]",
        "receivers: [otlp, otlp]",
        "25:35 'otlp' stands twice in 'receivers' of pipeline 'ingest' / keep one of them",
    );
    assert_eq!(
        after("ingest:   {", "otlp: {")[0],
        "25:25 'otlp' is both a receiver and a pipeline / give the pipeline another name"
    );
    assert!(
        after("    keep:     {", "    \"k p\": {")[0]
            .starts_with("26:5 'k p' is no valid pipeline name / write a name such as")
    );
}

#[test]
fn pipelines_have_a_beginning_and_an_end() {
    assert_eq!(
        after("receivers: [otlp], ", ""),
        [
            "25:5 pipeline 'ingest' has no receivers / list receivers or other pipelines under 'receivers': otlp, keep, localize",
            "26:5 no receiver leads to pipeline 'keep' / add a receiver to pipeline 'ingest'",
            "27:5 no receiver leads to pipeline 'localize' / add a receiver to pipeline 'ingest'",
        ]
    );
    assert_one(
        "exporters: [parquet/spans]",
        "exporters: []",
        "26:5 pipeline 'keep' leads nowhere: it has no exporters and no pipeline takes its output / list exporters in it, or \
         name 'keep' under the receivers of another pipeline",
    );
    assert_one(
        "    localize:",
        "    more:\n    localize:",
        "27:5 pipeline 'more' is empty / list its receivers and exporters",
    );
}

#[test]
fn circles_are_shown_in_the_direction_of_flow() {
    assert_one(
        "receivers: [otlp]",
        "receivers: [otlp, keep]",
        "26:29 pipelines feed each other in a circle: ingest -> keep -> ingest / take 'ingest' out of the receivers of \
         pipeline 'keep'",
    );
    assert_one(
        "receivers: [otlp]",
        "receivers: [otlp, ingest]",
        "25:35 pipelines feed each other in a circle: ingest -> ingest / take 'ingest' out of the receivers of pipeline \
         'ingest'",
    );
}

#[test]
fn a_node_without_its_signal_is_told_what_to_put_before_it() {
    assert_one(
        "processors: [redaction, trace_assembly]",
        "processors: [redaction]",
        "29:20 processor 'ochiai' receives no traces / put trace_assembly before it in pipeline 'localize'",
    );
    assert_one(
        "processors: [ochiai, anomaly_trigger, verdict]",
        "processors: [ochiai, verdict]",
        "29:28 processor 'verdict' receives no incidents / put anomaly_trigger before it in pipeline 'localize'",
    );
    assert_one(
        "processors: [ochiai, anomaly_trigger, verdict]",
        "processors: [ochiai]",
        "30:36 exporter 'patch_queue' receives no verdicts / put anomaly_trigger, then verdict before it in pipeline 'localize'",
    );
}

#[test]
fn nothing_by_trace_runs_behind_the_gather() {
    let found = after("[ochiai, anomaly_trigger, verdict]", "[ochiai, anomaly_trigger, trace_assembly, verdict]");
    assert_eq!(
        found[0],
        "29:45 processor 'trace_assembly' runs after a gather: 'anomaly_trigger' before it has one copy / put \
         'trace_assembly' before 'anomaly_trigger', or into a pipeline of its own"
    );
}

#[test]
fn live_and_replayed_time_do_not_mix() {
    let text = good_with("  otlp:\n", "  replay: { path: x }\n  otlp:\n").replace("[otlp]", "[otlp, replay]");
    assert_eq!(
        problems(&text),
        [
            "2:3 receiver 'replay' replays time while receiver 'otlp' receives live / keep them in files of their own: one \
         process has one clock"
        ]
    );
    let alone = good_with("  otlp:\n", "  replay: { path: x }\n  otlp:\n").replace("[otlp]", "[replay]");
    assert!(good(&alone).graph.virtual_clock());
}

#[test]
fn an_implied_processor_is_put_in_where_nothing_makes_its_signal() {
    let text = good_with("processors: [redaction, trace_assembly]", "processors: [redaction]")
        .replace("  trace_assembly:\n", "")
        .replace("  tail_sampling:\n", "  tail_sampling:\n    decision_wait: 30s\n")
        .replace("processors: [ochiai,", "processors: [trace_assembly/own, ochiai,")
        .replace("  anomaly_trigger:\n", "  trace_assembly/own:\n  anomaly_trigger:\n");
    let graph = good(&text).graph;
    let node = &graph.nodes[graph.find("processors.trace_assembly").unwrap()];
    assert_eq!((node.id.as_str(), node.pipeline.as_deref()), ("trace_assembly", Some("keep")));
    assert_eq!(node.part.json()["decision_wait"], "30s");
}

#[test]
fn an_implied_setting_must_agree_with_the_processor_that_stands_there() {
    assert_one(
        "  tail_sampling:\n",
        "  tail_sampling:\n    decision_wait: 30s\n",
        "9:20 processor 'tail_sampling' states decision_wait: 30s, but processor 'trace_assembly' before it has \
         decision_wait: 10s / write the same value in both, or leave 'decision_wait' out of 'tail_sampling'",
    );
    good(&good_with("  tail_sampling:\n", "  tail_sampling:\n    decision_wait: 10000ms\n"));
}

#[test]
fn a_broken_component_causes_no_second_message() {
    assert_eq!(after("  trace_assembly:\n", "  trace_assembly: { decision_wait: soon }\n").len(), 1);
    assert_eq!(after("tables: [spans]", "tables: [span]").len(), 1);
    assert_eq!(after("receivers: [otlp]", "receivers: otlp").len(), 1);
}

#[test]
fn what_no_pipeline_uses_is_a_warning() {
    let config = good(&good_with("exporters: [parquet/windows, patch_queue]", "exporters: [parquet/windows]"));
    let lines: Vec<String> = config.warnings.iter().map(line).collect();
    assert_eq!(
        lines,
        ["21:3 exporter 'patch_queue' is in no pipeline / list it under 'exporters' of a pipeline, or remove it"]
    );
}

#[test]
fn a_processor_in_two_pipelines_is_two_nodes() {
    let text = good_with("processors: [ochiai, anomaly", "processors: [redaction, ochiai, anomaly");
    let text = text.replace("[redaction, trace_assembly]", "[redaction, trace_assembly, redaction/2]");
    let text = text.replace("  redaction: { keys", "  redaction/2:\n  redaction: { keys");
    let found = problems(&text);
    // Behind trace_assembly no spans are left, but logs still pass by.
    assert_eq!(found, [""; 0]);
    let graph = good(&text).graph;
    let names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert!(
        names.contains(&"processors.redaction@ingest") && names.contains(&"processors.redaction@localize"),
        "{names:?}"
    );
    assert!(names.contains(&"processors.redaction/2"));
}

#[test]
fn edges_carry_what_is_sent_and_wanted() {
    let graph = good(GOOD).graph;
    let at = |name: &str| graph.find(name).unwrap();
    let signals = |from: &str, to: &str| {
        graph.edges.iter().find(|edge| edge.from == at(from) && edge.to == at(to)).map(|edge| edge.signals)
    };
    let of = |signals: &[Signal]| Some(Signals::of(signals));
    assert_eq!(signals("receivers.otlp", "processors.redaction"), of(&[Signal::Spans, Signal::Logs]));
    // redaction also sends logs, but nothing behind trace_assembly wants them.
    assert_eq!(signals("processors.redaction", "processors.trace_assembly"), of(&[Signal::Spans]));
    assert_eq!(signals("processors.anomaly_trigger", "processors.verdict"), of(&[Signal::Spectra, Signal::Incidents]));
    assert_eq!(signals("processors.verdict", "exporters.parquet/windows"), of(&[Signal::Spectra]));
    assert!(graph.edges.iter().all(|edge| edge.from < edge.to));
    assert_eq!(graph.stages()[at("processors.redaction")], Stage::Front);
    assert_eq!(graph.stages()[at("processors.tail_sampling")], Stage::Shards);
    assert_eq!(graph.stages()[at("processors.verdict")], Stage::Global);
}

#[test]
fn the_graph_is_drawn_for_people_and_tools() {
    let graph = good(GOOD).graph;
    insta::assert_snapshot!(graph.render(Format::Text), @r"
    front: tasks beside the receivers
      receivers.otlp
        --[ spans, logs ]--> processors.redaction
      processors.redaction  (pipeline ingest)
        --[ spans ]--> processors.trace_assembly

    shards: one copy a shard, all spans of a trace in one
      processors.trace_assembly  (pipeline ingest)
        --[ traces ]--> processors.tail_sampling
        --[ traces ]--> processors.ochiai
      processors.tail_sampling  (pipeline keep)
        --[ traces ]--> exporters.parquet/spans
      processors.ochiai  (pipeline localize)
        --[ spectra ]--> processors.anomaly_trigger

    global: one thread, slices in order
      processors.anomaly_trigger  (pipeline localize)
        --[ spectra, incidents ]--> processors.verdict
      processors.verdict  (pipeline localize)
        --[ spectra ]---> exporters.parquet/windows
        --[ verdicts ]--> exporters.patch_queue

    exporters: one task each
      exporters.parquet/spans
      exporters.parquet/windows
      exporters.patch_queue
    ");
    let mermaid = graph.render(Format::Mermaid);
    assert!(mermaid.starts_with("flowchart LR\n  subgraph front[") && mermaid.contains("-->|\"spectra, incidents\"|"));
    let dot = graph.render(Format::Dot);
    assert!(dot.starts_with("digraph backtrail {") && dot.contains("shape=cylinder"));
}
