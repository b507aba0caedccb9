//! A case on disk: `traces|logs|metrics.otlp.jsonl.zst`, one export request a line, and `truth.json`.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::{Recording, SECOND, START};

/// Compression level: cases are read once or twice.
const LEVEL: i32 = 1;

impl Recording {
    /// Writes the case into a folder of its own below `dir` and answers where.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, dir: &Path) -> std::io::Result<PathBuf> {
        let dir = dir.join(self.scenario.id());
        std::fs::create_dir_all(&dir)?;
        write_lines(&dir.join("traces.otlp.jsonl.zst"), self.traces().iter().map(line))?;
        write_lines(&dir.join("logs.otlp.jsonl.zst"), self.logs().iter().map(line))?;
        write_lines(&dir.join("metrics.otlp.jsonl.zst"), self.metrics().iter().map(line))?;
        std::fs::write(dir.join("truth.json"), serde_json::to_vec_pretty(&self.truth())?)?;
        Ok(dir)
    }

    pub(super) fn truth(&self) -> serde_json::Value {
        let nanos = |time: u64| time.to_string();
        let [start, end] = self.window;
        json!({
            "case_id": self.scenario.id(),
            "dataset": "scenarios",
            "system": format!("scenarios-{}", self.scenario.services),
            "fault_type": format!("{:?}", self.plan.faults),
            "fault_class": self.scenario.class.name(),
            "inject_time": start / SECOND,
            "window_unix_nano": [nanos(start), nanos(end)],
            "data_unix_nano": [nanos(START), nanos(end)],
            "root_cause": { "services": self.culprits(), "functions": self.functions() },
        })
    }
}

/// A request as a line.
pub(super) fn line<T: Serialize>(request: &T) -> Vec<u8> {
    let mut line = serde_json::to_vec(request).expect("requests are plain data");
    line.push(b'\n');
    line
}

pub(super) fn write_lines(path: &Path, lines: impl IntoIterator<Item = Vec<u8>>) -> std::io::Result<()> {
    let mut out = zstd::Encoder::new(std::fs::File::create(path)?, LEVEL)?;
    // The encoder is slow in small bites, so a line is handed over whole.
    for line in lines {
        out.write_all(&line)?;
    }
    out.finish()?;
    Ok(())
}
