//! Stdout: data and nothing else, written through one place.

use std::io::{self, BufWriter, IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::render::Paint;

/// When to use colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where a command writes its data.
pub(crate) struct Out {
    sink: Box<dyn Write>,
    paint: Paint,
}

impl Out {
    /// Stdout.
    pub(crate) fn stdout(choice: ColorChoice) -> Self {
        let colour = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            // https://no-color.org: set and not empty.
            ColorChoice::Auto => {
                io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        };
        Self { sink: Box::new(BufWriter::new(io::stdout())), paint: Paint::new(colour) }
    }

    /// How to colour what is written here.
    pub(crate) const fn paint(&self) -> Paint {
        self.paint
    }

    /// Writes text as it is.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        self.sink.write_all(text.as_bytes())
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.sink, "{line}")
    }

    /// Writes a document as one line of JSON.
    pub(crate) fn json(&mut self, document: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.sink, document)?;
        writeln!(self.sink)
    }

    /// Writes a document as indented JSON.
    pub(crate) fn json_pretty(&mut self, document: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut self.sink, document)?;
        writeln!(self.sink)
    }

    /// Makes everything visible: before long work, and at the end.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
