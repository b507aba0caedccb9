//! A finding in one sentence, as a verdict's evidence prints it.

use backtrail_model::metrics::Measure;

use super::ResourceFinding;

/// The finding in words, with the numbers behind it.
///
/// ```
/// # use backtrail_localize::resource::{ResourceFinding, says};
/// # use backtrail_model::metrics::Measure;
/// let finding = ResourceFinding {
///     service: "cart".into(), instance: "cart-1".into(), node: "n1".into(), part: "".into(),
///     measure: Measure::CpuUsage, name: "k8s.pod.cpu.usage".into(),
///     baseline_median: 0.05, baseline_scrapes: 20, second_highest: 0.93, scrapes: 12,
///     z: 40.2, gate: 9.2, gain: 0.8, utilisation: Some(0.93), factor: 0.93, sick: true,
///     shared_node: vec!["search".into()],
/// };
/// assert_eq!(says(&finding), "CPU of pod cart-1 is 0.93 cores at its second highest scrape, normally 0.05: z 40, \
///     limit utilisation 93 %; search runs short of CPU on the same node n1");
/// ```
pub fn says(finding: &ResourceFinding) -> String {
    // Pods are known by who measures them, or by a node that is not themselves.
    let is_pod = finding.name.starts_with("k8s.") || !["", &*finding.instance].contains(&&*finding.node);
    let mut who = match &*finding.instance {
        "" => format!("service {}", finding.service),
        instance => format!("{} {instance}", if is_pod { "pod" } else { "instance" }),
    };
    if !finding.part.is_empty() {
        who = format!("{} in {who}", finding.part);
    }
    let (scale, unit) = unit(finding.measure, finding.second_highest);
    let (now, normal) = (short(finding.second_highest * scale), short(finding.baseline_median * scale));
    let scrape = if finding.scrapes < 2 { "only" } else { "second highest" };
    // A spread of nothing gives a z beyond what means anything.
    let z = if finding.z < 1000.0 { format!("{:.0}", finding.z) } else { "over 1000".to_owned() };
    let mut text =
        format!("{} of {who} is {now}{unit} at its {scrape} scrape, normally {normal}: z {z}", title(finding.measure));
    match finding.utilisation {
        Some(share) => text += &format!(", limit utilisation {:.0} %", share * 100.0),
        None => text += ", limit not known",
    }
    if !finding.shared_node.is_empty() {
        let verb = if finding.shared_node.len() == 1 { "runs" } else { "run" };
        text += &format!("; {} {verb} short of CPU on the same node {}", finding.shared_node.join(", "), finding.node);
    }
    text
}

fn title(measure: Measure) -> &'static str {
    match measure {
        Measure::CpuUsage => "CPU",
        Measure::CpuUtilization => "CPU utilisation",
        Measure::CpuLimit => "CPU limit",
        Measure::CpuThrottled => "CPU throttling",
        Measure::MemoryUsage => "memory",
        Measure::MemoryUtilization => "memory utilisation",
        Measure::MemoryLimit => "memory limit",
        Measure::HeapUsage => "heap",
        Measure::HeapLimit => "heap limit",
        Measure::PoolUsage => "pool usage",
        Measure::PoolLimit => "pool limit",
        Measure::PoolPending => "the number of waiting requests",
        Measure::QueueDepth => "queue depth",
        Measure::QueueLimit => "queue limit",
        Measure::Threads => "the number of threads",
        Measure::RequestRate => "request rate",
        Measure::RequestDuration => "request duration",
        Measure::ErrorShare => "share of errors",
        Measure::ErrorRate => "error rate",
        Measure::Other => "level",
    }
}

/// What a value is multiplied by for people, and the unit that follows it.
fn unit(measure: Measure, value: f64) -> (f64, &'static str) {
    match measure.unit() {
        "{cpu}" => (1.0, " cores"),
        "1" => (100.0, " %"),
        "s/s" => (1.0, " s in a second"),
        "By" if value >= 1_073_741_824.0 => (1.0 / 1_073_741_824.0, " GiB"),
        "By" => (1.0 / 1_048_576.0, " MiB"),
        "s" => (1000.0, " ms"),
        "{request}/s" | "{error}/s" => (1.0, " in a second"),
        _ => (1.0, ""),
    }
}

/// Whole from 100, one decimal from 10, else two.
fn short(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 || size.fract() == 0.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}
