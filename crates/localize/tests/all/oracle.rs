//! Part M against the script that the method was found with, on the labelled cases, where both are at hand.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use backtrail_localize::resource::resource;
use backtrail_model::metrics::{Measure, MetricSlice, Scrape, SeriesKey};
use backtrail_model::{Slice, UnixNano};
use serde_json::Value;

/// Where labelled faults may lie: beside the checkout.
const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/rca");

/// Prints `{case: {service: score}}` of the oracle's part M.
const SCRIPT: &str = r#"
import json, os, sys
sys.path.insert(0, sys.argv[1])
import fusion
out = {}
for case in sorted(os.listdir(sys.argv[1] + "/nezha")):
    path = f"{sys.argv[1]}/nezha/{case}"
    if not os.path.exists(path + "/truth.json"):
        continue
    lo, hi = map(int, json.load(open(path + "/truth.json"))["window_unix_nano"])
    metrics = {}
    for request in fusion.lines(path, "metrics"):
        for rm in request["resourceMetrics"]:
            at = fusion.attrs(rm["resource"]["attributes"])
            for m in (m for sm in rm["scopeMetrics"] for m in sm["metrics"] if m["name"].startswith("k8s.pod.cpu")):
                key = at["service.name"], at.get("k8s.pod.name", ""), m["name"]
                metrics.setdefault(key, []).extend((int(p["timeUnixNano"]), p["asDouble"]) for p in m["gauge"]["dataPoints"] if p["asDouble"] == p["asDouble"])
    out[case] = fusion.resource(metrics, lo, hi, fusion.FULL)
print(json.dumps(out))
"#;

#[test]
fn cpu_scores_equal_the_oracles_on_every_labelled_case() {
    let skip = |reason: &str| {
        let _ = std::io::stderr().write_all(format!("skipped: {reason}\n").as_bytes());
    };
    if !Path::new(CASES).join("fusion.py").exists() {
        return skip("no labelled cases here");
    }
    let output = Command::new("python3").args(["-B", "-c", SCRIPT, CASES]).output();
    let Ok(output) = output else { return skip("no python3") };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let oracle: BTreeMap<String, BTreeMap<String, f64>> = serde_json::from_slice(&output.stdout).unwrap();
    assert!(oracle.values().filter(|scores| !scores.is_empty()).count() > 5, "the oracle has something to say");
    for (case, expected) in oracle {
        let found = judge(&Path::new(CASES).join("nezha").join(&case));
        let names = |scores: &mut dyn Iterator<Item = String>| scores.collect::<Vec<_>>();
        assert_eq!(names(&mut found.keys().cloned()), names(&mut expected.keys().cloned()), "{case}");
        for (service, score) in expected {
            assert!((found[&service] - score).abs() < 1e-8, "{case} {service} {score} {}", found[&service]);
        }
    }
}

/// The scores of a case from the two series that the oracle reads; a slice is 15 s.
fn judge(folder: &Path) -> BTreeMap<String, f64> {
    let truth: Value = serde_json::from_slice(&std::fs::read(folder.join("truth.json")).unwrap()).unwrap();
    let border = |at: usize| truth["window_unix_nano"][at].as_str().unwrap().parse::<u64>().unwrap();
    let (mut quiet, mut window) = (BTreeMap::new(), BTreeMap::new());
    let packed = std::fs::read(folder.join("metrics.otlp.jsonl.zst")).unwrap();
    let text = String::from_utf8(zstd::decode_all(&packed[..]).unwrap()).unwrap();
    for (key, time, value) in text.lines().flat_map(points) {
        if time < border(1) {
            let slices = if time < border(0) { &mut quiet } else { &mut window };
            let at = Slice(time / 15_000_000_000);
            slices.entry(at).or_insert_with(|| MetricSlice::new(at)).add(key, Scrape::new(UnixNano(time), value));
        }
    }
    let judged = resource(&quiet.values().collect::<Vec<_>>(), &window.values().collect::<Vec<_>>());
    judged.scores.into_iter().map(|(service, score)| (service.to_string(), score)).collect()
}

fn points(line: &str) -> Vec<(SeriesKey, u64, f64)> {
    // Recorded by Python, which writes what JSON does not have.
    let request: Value = serde_json::from_str(&line.replace(":NaN", ":null")).unwrap();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut points = Vec::new();
    for resource in list(&request["resourceMetrics"]) {
        let attribute = |key: &str| -> String {
            let all = list(&resource["resource"]["attributes"]);
            let found = all.iter().find(|pair| pair["key"] == key);
            found.and_then(|pair| pair["value"]["stringValue"].as_str()).unwrap_or_default().to_owned()
        };
        for metric in list(&resource["scopeMetrics"]).iter().flat_map(|scope| list(&scope["metrics"])) {
            let name = metric["name"].as_str().unwrap_or_default();
            let measure = match name {
                "k8s.pod.cpu.usage" => Measure::CpuUsage,
                "k8s.pod.cpu_limit_utilization" => Measure::CpuUtilization,
                _ => continue,
            };
            let key = SeriesKey {
                service: attribute("service.name").into(),
                instance: attribute("k8s.pod.name").into(),
                node: "".into(),
                part: "".into(),
                measure,
                name: name.into(),
            };
            for point in list(&metric["gauge"]["dataPoints"]) {
                let time = point["timeUnixNano"].as_str().unwrap().parse().unwrap();
                points.extend(point["asDouble"].as_f64().map(|value| (key.clone(), time, value)));
            }
        }
    }
    points
}
