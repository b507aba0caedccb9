//! The counts of an open slice, by interned ids; strings come back when the slice closes.

use std::borrow::Cow;
use std::sync::Arc;

use backtrail_model::log::{LogBatch, LogBody, LogRecord, severity_class};
use backtrail_model::log_motifs::{LogMotifSlice, MotifCounts, MotifKey};
use backtrail_model::symbols::{Symbol, SymbolKind, Symbols};
use backtrail_model::time::Slice;
use backtrail_wire::attributes::log_body;
use hashbrown::HashMap;

/// Service, template and severity class.
type Key = (Symbol, Symbol, u8);

/// One shard's counts of one slice.
#[derive(Default)]
pub(super) struct OpenMotifs {
    motifs: HashMap<Key, MotifCounts, foldhash::fast::FixedState>,
    overflow: u64,
}

impl OpenMotifs {
    /// Counts a record.
    pub(super) fn count(&mut self, batch: &LogBatch, record: &LogRecord, max_motifs: usize) {
        let key = (record.service, record.template, severity_class(record.severity));
        let in_traces = u64::from(record.trace_id.is_valid());
        if let Some(counts) = self.motifs.get_mut(&key) {
            counts.count += 1;
            counts.in_traces += in_traces;
            counts.first = counts.first.min(record.time);
            counts.last = counts.last.max(record.time);
            let example = example(batch, record);
            if *example < *counts.example {
                counts.example = example.into();
            }
        } else if self.motifs.len() < max_motifs {
            let (first, last) = (record.time, record.time);
            let example = Arc::from(example(batch, record));
            self.motifs.insert(key, MotifCounts { count: 1, in_traces, first, last, example });
        } else {
            self.overflow += 1;
        }
    }

    /// The closed slice.
    pub(super) fn resolve(self, slice: Slice, symbols: &Symbols) -> LogMotifSlice {
        let mut closed = LogMotifSlice { overflow: self.overflow, ..LogMotifSlice::new(slice) };
        for ((service, template, severity), counts) in self.motifs {
            let service = symbols.resolve(SymbolKind::Service, service);
            let template = symbols.resolve(SymbolKind::Template, template);
            // Two ids can mean the same string only past the symbol table's cap: "(other)".
            closed.add(MotifKey { service, template, severity }, counts);
        }
        closed
    }
}

/// The beginning of the record's body.
fn example<'a>(batch: &'a LogBatch, record: &LogRecord) -> Cow<'a, str> {
    let LogBody::Text { offset, len } = record.body else {
        // Rare, and no text to borrow from.
        return log_body(batch, record).map(|body| shortened(Cow::Owned(body.to_string()))).unwrap_or_default();
    };
    // A little more than is kept, so that a character that is cut at the end is cut off again.
    let text = &batch.raw(record)[offset as usize..][..(len as usize).min(MotifCounts::EXAMPLE + 4)];
    shortened(String::from_utf8_lossy(text))
}

fn shortened(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.len() <= MotifCounts::EXAMPLE {
        return text;
    }
    let end = text.floor_char_boundary(MotifCounts::EXAMPLE);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example_of(body: &'static [u8]) -> String {
        let record = LogRecord {
            raw_len: body.len() as u32,
            body: LogBody::Text { offset: 0, len: body.len() as u32 },
            ..LogRecord::default()
        };
        let batch = LogBatch { buf: body.into(), records: vec![record], ..LogBatch::default() };
        example(&batch, &record).into_owned()
    }

    #[test]
    fn an_example_is_bounded_and_ends_with_a_whole_character() {
        assert_eq!(example_of(b"short"), "short");
        assert_eq!(example_of(&[b'x'; 5000]).len(), 300);
        let umlauts = "ü".repeat(200);
        let shifted = format!("x{umlauts}");
        assert_eq!(example_of(umlauts.leak().as_bytes()), "ü".repeat(150));
        assert_eq!(example_of(shifted.leak().as_bytes()), format!("x{}", "ü".repeat(149)));
        assert!(example_of(&[0xFF; 400]).len() <= 300);
    }

    #[test]
    fn a_body_that_is_no_text_is_shown_as_json() {
        // AnyValue { int 5 }
        let record = LogRecord { raw_len: 2, body: LogBody::Value { offset: 0, len: 2 }, ..LogRecord::default() };
        let batch = LogBatch { buf: vec![0x18, 5].into(), records: vec![record], ..LogBatch::default() };
        assert_eq!(example(&batch, &record), "5");
        assert_eq!(example(&batch, &LogRecord::default()), "");
    }
}
