//! Hours of one system: quiet traffic and, now and then, a fault. What a detector is tried on.

use std::path::{Path, PathBuf};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use serde_json::json;

use super::folder::{line, write_lines};
use super::{Class, Recording, SECOND, START, Scenario};

/// A stream: what to generate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stream {
    /// Services of the topology, at least 8.
    pub services: usize,
    /// Everything else.
    pub seed: u64,
    /// The faults, in this order.
    pub faults: Vec<Class>,
    /// Quiet seconds before each fault, and after the last.
    pub quiet: u64,
    /// Seconds that each fault lasts.
    pub faulty: u64,
}

impl Stream {
    /// Name of the case.
    pub fn id(&self) -> String {
        format!("stream-{}-{:04}", self.services, self.seed)
    }

    /// The stretches that end with a fault each, and a quiet one at the end.
    pub fn generate(&self) -> Vec<Recording> {
        let scenario = |class| Scenario { class, services: self.services, seed: self.seed };
        let mut stretches: Vec<Recording> = Vec::new();
        for (turn, &class) in (1..).zip(&self.faults) {
            let offset = (turn - 1) * (self.quiet + self.faulty) * SECOND;
            stretches.push(scenario(class).stretch(self.quiet, self.faulty, turn).later(offset));
        }
        let turn = self.faults.len() as u64;
        let class = self.faults.first().copied().unwrap_or(Class::Latency);
        let mut last =
            scenario(class).stretch(self.quiet, 0, turn + 1).later(turn * (self.quiet + self.faulty) * SECOND);
        last.plan.deployed.clear();
        stretches.push(last);
        stretches
    }

    /// Writes the stream into a folder of its own below `dir` and answers where. `truth.json` lists the faults.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, dir: &Path) -> std::io::Result<PathBuf> {
        let dir = dir.join(self.id());
        std::fs::create_dir_all(&dir)?;
        let stretches = self.generate();
        // The last traces of a stretch end in the next one.
        let mut traces: Vec<(u64, Vec<u8>)> = Vec::new();
        for stretch in &stretches {
            traces.extend(stretch.traces().iter().map(|request| (end_of(request), line(request))));
        }
        traces.sort();
        write_lines(&dir.join("traces.otlp.jsonl.zst"), traces.into_iter().map(|(_, line)| line))?;
        let logs = stretches.iter().flat_map(|stretch| stretch.logs().iter().map(line).collect::<Vec<_>>());
        write_lines(&dir.join("logs.otlp.jsonl.zst"), logs)?;
        let metrics = stretches.iter().flat_map(|stretch| stretch.metrics().iter().map(line).collect::<Vec<_>>());
        write_lines(&dir.join("metrics.otlp.jsonl.zst"), metrics)?;
        std::fs::write(dir.join("truth.json"), serde_json::to_vec_pretty(&self.truth(&stretches))?)?;
        Ok(dir)
    }

    fn truth(&self, stretches: &[Recording]) -> serde_json::Value {
        let faulty = stretches.iter().take(self.faults.len());
        let faults: Vec<serde_json::Value> = faulty.map(Recording::truth).collect();
        let end = stretches.last().map_or(START, |stretch| stretch.window[1]);
        json!({
            "case_id": self.id(),
            "dataset": "scenarios",
            "system": format!("scenarios-{}", self.services),
            "data_unix_nano": [START.to_string(), end.to_string()],
            "faults": faults,
        })
    }
}

/// When the last span of a request ended.
fn end_of(request: &ExportTraceServiceRequest) -> u64 {
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| &scope.spans).map(|span| span.end_time_unix_nano).max().unwrap_or(0)
}

impl Recording {
    /// The same so many nanoseconds later.
    fn later(mut self, offset: u64) -> Self {
        self.window = self.window.map(|time| time + offset);
        for span in &mut self.spans {
            (span.start, span.end) = (span.start + offset, span.end + offset);
        }
        self.logs.iter_mut().for_each(|log| log.time += offset);
        self.metrics.iter_mut().for_each(|scrape| scrape.time += offset);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_follow_each_other_and_no_trace_comes_twice() {
        let faults = vec![Class::Error, Class::Latency, Class::Error];
        let stream = Stream { services: 12, seed: 3, faults, quiet: 40, faulty: 20 };
        let stretches = stream.generate();
        let windows: Vec<u64> = stretches.iter().map(|stretch| (stretch.window[0] - START) / SECOND).collect();
        assert_eq!(windows, [40, 100, 160, 220]);
        let roots = || stretches.iter().flat_map(|stretch| &stretch.spans).filter(|span| span.parent == 0);
        let traces: std::collections::BTreeSet<u128> = roots().map(|span| span.trace).collect();
        assert_eq!(traces.len(), roots().count());
        assert!(roots().all(|span| (START..START + 221 * SECOND).contains(&span.start)));
        // The same fault again hits the same service.
        assert_eq!(stretches[0].culprits(), stretches[2].culprits());
    }
}
