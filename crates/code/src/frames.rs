//! Stack traces as `exception.stacktrace` carries them, into frames, innermost first.

mod line;
mod locate;

use serde::{Deserialize, Serialize};

pub use locate::{Located, locate};

use crate::language::Language;
use crate::walk::head;

/// One frame of a stack trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frame {
    /// A place in source text.
    Source(SourceFrame),
    /// A frame without a place, and why it has none.
    Unresolved {
        /// The line of the trace.
        text: String,
        /// Why it has no place, with what would give it one.
        reason: String,
    },
}

impl Frame {
    /// The place in source text, if it has one.
    pub fn source(&self) -> Option<&SourceFrame> {
        match self {
            Self::Source(frame) => Some(frame),
            Self::Unresolved { .. } => None,
        }
    }
}

/// Function, file and line of a frame. At least one of function and file is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFrame {
    /// The language of the runtime that wrote the trace; Kotlin and Scala count as Java, TypeScript as JavaScript.
    pub language: Language,
    /// The function as the runtime writes it.
    pub function: Option<String>,
    /// The file as deployed; for the JVM its package is put before it.
    pub file: Option<String>,
    /// The line, counted from 1.
    pub line: Option<u32>,
}

/// Bytes of a trace that are read.
const MAX_TRACE: usize = 1 << 20;
/// Frames that are kept.
const MAX_FRAMES: usize = 1_000;
/// Bytes of an unresolved line that are kept.
const MAX_LINE: usize = 300;

/// Reads the stack trace of any of the languages. The frames of the first cause come first, innermost first; lines
/// that are no frames are passed over. At most a thousand frames of the first MiB are read.
///
/// ```
/// use backtrail_code::parse_stack;
/// let frames = parse_stack(
///     "Traceback (most recent call last):\n  File \"/app/src/api.py\", line 9, in pay\n    charge()\n  \
///      File \"/app/src/bank.py\", line 3, in charge\n    raise Timeout\nTimeout\n",
/// );
/// let innermost = frames[0].source().expect("it has a place");
/// assert_eq!((innermost.function.as_deref(), innermost.line), (Some("charge"), Some(3)));
/// ```
pub fn parse_stack(text: &str) -> Vec<Frame> {
    let mut sections: Vec<Section> = vec![Section::default()];
    // The name that stands on a line of its own before its place (Go, Rust).
    let mut waiting: Option<Named> = None;
    for line in head(text, MAX_TRACE).lines() {
        let trimmed = line.trim();
        let kept: usize = sections.iter().map(|section| section.frames.len()).sum();
        if kept >= MAX_FRAMES {
            break;
        }
        if trimmed.starts_with("Traceback (most recent call last)") {
            sections.push(Section { last_is_innermost: true, ..Section::default() });
            continue;
        }
        if trimmed.starts_with("Caused by:") {
            sections.push(Section { cause: true, ..Section::default() });
            continue;
        }
        let Some(section) = sections.last_mut() else { break };
        if let Some(named) = waiting.take() {
            if let Some(frame) = named.placed(line) {
                section.frames.push(frame);
                continue;
            }
            section.frames.extend(named.alone());
        }
        waiting = Named::of_line(line);
        if waiting.is_none() {
            section.frames.extend(line::frame(line));
        }
    }
    if let (Some(named), Some(section)) = (waiting, sections.last_mut()) {
        section.frames.extend(named.alone());
    }
    ordered(sections)
}

/// The frames of one exception.
#[derive(Default)]
struct Section {
    frames: Vec<Frame>,
    /// Python prints the innermost frame last.
    last_is_innermost: bool,
    /// The JVM prints causes after what they caused.
    cause: bool,
}

fn ordered(sections: Vec<Section>) -> Vec<Frame> {
    // A cause belongs before the section it explains; Python prints its causes first already.
    let mut groups: Vec<Vec<Section>> = Vec::new();
    for section in sections {
        match groups.last_mut() {
            Some(group) if section.cause => group.insert(0, section),
            _ => groups.push(vec![section]),
        }
    }
    let in_order = |mut section: Section| {
        if section.last_is_innermost {
            section.frames.reverse();
        }
        section.frames
    };
    groups.into_iter().flatten().flat_map(in_order).take(MAX_FRAMES).collect()
}

/// A function whose place is on the next line.
struct Named {
    language: Language,
    function: String,
    text: String,
}

impl Named {
    fn of_line(line: &str) -> Option<Self> {
        let (language, function) = line::named(line)?;
        Some(Self { language, function, text: head(line.trim(), MAX_LINE).to_owned() })
    }

    fn placed(&self, line: &str) -> Option<Frame> {
        let (file, line) = match self.language {
            Language::Go => line::go_place(line)?,
            _ => line::rust_place(line)?,
        };
        let (function, file, line) = (Some(self.function.clone()), Some(file), Some(line));
        Some(Frame::Source(SourceFrame { language: self.language, function, file, line }))
    }

    /// Without a place on the next line. In Go it was no frame; in Rust it is one of a build without line tables.
    fn alone(self) -> Option<Frame> {
        if self.language != Language::Rust {
            return None;
        }
        if matches!(self.function.as_str(), "<unknown>" | "") || self.function.starts_with("0x") {
            let reason = "the binary has no symbols; build it with debug = \"line-tables-only\"".to_owned();
            return Some(Frame::Unresolved { text: self.text, reason });
        }
        let function = Some(self.function);
        Some(Frame::Source(SourceFrame { language: Language::Rust, function, file: None, line: None }))
    }
}
