//! Which statement wrote a log record: a text that is the same for all its records, and for no other's if that can be.
//!
//! The place in the code is best: `shop.Cart#42`. Without it: severity, logger, and the event's name or the skeleton of
//! the message, `ERROR shop.Cart no product <*> in cart`. The type of a recorded exception follows. All of it comes from
//! the record and its scope alone, so no state has to be shared to get the same text on every shard and in every run.

use std::io::Write as _;

use backtrail_model::log::{LogBody, LogRecord, severity_name};
use backtrail_model::{Symbol, SymbolKind};

use super::WalkState;
use super::body::{self, Body};
use super::mask::{MASK, cut, skeleton};
use crate::proto::{Cursor, LEN, MAX_DEPTH, key};

/// Most bytes of a name that is taken as it is.
const NAME: usize = 160;

/// Space to write templates into, reused from record to record.
#[derive(Default)]
pub(super) struct Templates {
    text: Vec<u8>,
    keys: Vec<u8>,
    /// Name of the scope that the records at hand are in.
    logger: Vec<u8>,
    /// The origin that `logger` was read for.
    logger_of: Option<u32>,
}

impl Templates {
    /// Another request follows.
    pub(super) fn begin(&mut self) {
        self.logger_of = None;
    }

    /// The next record is in this `ScopeLogs` message, the one with the index `origin`.
    pub(super) fn enter(&mut self, origin: u32, scope_logs: &[u8]) {
        if self.logger_of != Some(origin) {
            self.logger_of = Some(origin);
            self.logger.clear();
            self.logger.extend_from_slice(scope_name(scope_logs));
        }
    }

    fn word(&mut self, word: &[u8]) {
        if !word.is_empty() {
            self.text.push(b' ');
            self.text.extend_from_slice(cut(word, NAME));
        }
    }
}

/// The template of a record: its message, the record as far as it is read, and its structured body.
pub(super) fn of(raw: &[u8], record: &LogRecord, structured: Option<&Body<'_>>, state: &mut WalkState) -> Symbol {
    let WalkState { templates, found, interner, .. } = state;
    templates.text.clear();
    let line = found.line(raw);
    if let Some((namespace, name)) = found.place(raw, line) {
        if !namespace.is_empty() {
            templates.text.extend_from_slice(cut(namespace, NAME));
            templates.text.push(b'.');
        }
        templates.text.extend_from_slice(cut(name, NAME));
        numbered(&mut templates.text, line);
    } else if line > 0 && !templates.logger.is_empty() {
        templates.text.extend_from_slice(cut(&templates.logger, NAME));
        numbered(&mut templates.text, line);
    } else {
        templates.text.extend_from_slice(severity_name(record.severity).as_bytes());
        let logger = std::mem::take(&mut templates.logger);
        let named = [&*logger, found.logger(raw), structured.map_or(&[][..], |body| body.logger().as_bytes())];
        templates.word(named.into_iter().find(|name| !name.is_empty()).unwrap_or_default());
        templates.logger = logger;
        templates.text.push(b' ');
        said(raw, record, structured, templates);
        if templates.text.ends_with(b" ") {
            templates.text.pop();
        }
    }
    templates.word(found.exception(raw));
    interner.intern(SymbolKind::Template, &templates.text)
}

/// `#42`; a place without a line stands for all its statements.
fn numbered(text: &mut Vec<u8>, line: u32) {
    if line > 0 {
        // Writing to a vector cannot fail.
        let _ = write!(text, "#{line}");
    }
}

/// Appends the skeleton of what the record says.
fn said(raw: &[u8], record: &LogRecord, structured: Option<&Body<'_>>, templates: &mut Templates) {
    let (offset, len) = record.event_name;
    if len > 0 {
        return skeleton(&raw[offset as usize..(offset + len) as usize], &mut templates.text);
    }
    match (structured, record.body) {
        (Some(body), place) => {
            if let Some(message) = body.message() {
                return skeleton(message.as_bytes(), &mut templates.text);
            }
            // Nothing in it is known to be the message, so it is known by its keys.
            templates.keys.clear();
            templates.keys.push(b'{');
            body::keys(raw, place, &mut templates.keys);
            skeleton(templates.keys.trim_ascii_end(), &mut templates.text);
            templates.text.push(b'}');
        }
        (None, LogBody::Text { .. }) => skeleton(body::bytes(raw, record.body), &mut templates.text),
        (None, LogBody::Value { .. }) => templates.text.extend_from_slice(MASK),
        (None, LogBody::Absent) => {}
    }
}

/// The name of the scope in a `ScopeLogs` message. Broken framing, which the walk finds and reports, ends the search.
fn scope_name(scope_logs: &[u8]) -> &[u8] {
    const FIRST: u32 = key(1, LEN);
    fn last(message: &[u8]) -> Option<&[u8]> {
        let (mut found, mut cursor) = (None, Cursor::new(message));
        while let Ok(Some(field)) = cursor.key() {
            if field == FIRST {
                found = Some(cursor.bytes().ok()?);
            } else {
                cursor.skip(field, MAX_DEPTH).ok()?;
            }
        }
        found
    }
    last(scope_logs).and_then(last).unwrap_or_default()
}
