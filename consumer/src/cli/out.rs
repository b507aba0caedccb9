//! Stdout: data and nothing else, written through one place.

use std::io::{self, BufWriter, Write};

use serde::Serialize;

/// Where a command writes its data.
pub(crate) struct Out(BufWriter<io::Stdout>);

impl Out {
    /// Stdout.
    pub(crate) fn stdout() -> Self {
        Self(BufWriter::new(io::stdout()))
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Writes a line. Control characters, which telemetry may have brought along, do not reach the terminal.
    pub(crate) fn line(&mut self, line: &str) -> io::Result<()> {
        let plain: String = line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect();
        writeln!(self.0, "{plain}")
    }

    /// Writes a document as one line of JSON.
    pub(crate) fn json(&mut self, document: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, document)?;
        writeln!(self.0)
    }

    /// Makes everything visible.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
