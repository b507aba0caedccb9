//! The walk: from the bytes of an OTLP request to records, without an allocation per item.
//!
//! It reads the few fields that localization and sampling need, by hand, and leaves everything else where it is: the
//! record says where its message lies in the request. Framing is checked to the innermost message, so whatever holds a
//! record may rely on its bytes; UTF-8 is checked only where a string is interned.

mod body;
mod errors;
mod found;
mod ids;
mod intern;
mod keys;
mod logs;
mod mask;
mod origin;
mod sampling;
mod span;
mod template;
mod times;
pub(crate) mod value;

use std::sync::Arc;

use backtrail_model::Symbols;
use backtrail_model::span::{Origin, SpanBatch};
use bytes::Bytes;

pub use keys::WalkSpec;
pub use logs::WalkedLogs;
pub use origin::UNKNOWN_SERVICE;
pub use times::{Bounds, ClampCounts};
pub(crate) use value::{Scalar, key_value};

use crate::check;
use crate::error::{Broken, WireError};
use crate::proto::{Cursor, LEN, MAX_DEPTH, key};
use crate::schema;
use found::Found;
use intern::Interner;
use origin::{Origins, Resource};
use template::Templates;

/// Turns requests into records. One per worker: it owns the caches of symbols and origins.
pub struct Walker {
    state: WalkState,
    origins: Origins,
    /// Fields of the current `ResourceSpans` and `ScopeSpans` that are not scopes or spans.
    resource_fields: Vec<u8>,
    scope_fields: Vec<u8>,
    /// Bytes per item of the last request, to reserve the columns of the next one.
    bytes_per_item: usize,
}

/// What reading one item changes.
struct WalkState {
    spec: Arc<WalkSpec>,
    interner: Interner,
    found: Found,
    templates: Templates,
}

/// The spans of one request.
#[derive(Clone, Debug, Default)]
pub struct Walked {
    /// The accepted spans. `permit` is left to the receiver.
    pub batch: SpanBatch,
    /// Spans that were not accepted; the others were.
    pub rejected: Rejected,
    /// Times that were not used as sent.
    pub clamped: ClampCounts,
    /// Interned strings that are not UTF-8.
    pub invalid_utf8: u64,
}

/// Items that were not accepted, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rejected {
    /// The trace id is not 16 bytes, or all zero.
    pub invalid_trace_id: u64,
    /// The span id is not 8 bytes, or all zero.
    pub invalid_span_id: u64,
    /// The parent id is neither empty nor 8 bytes. (All zero is a root, as some SDKs write it.)
    pub invalid_parent_id: u64,
}

/// Why one span is not acceptable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Invalid {
    Trace,
    Span,
    Parent,
}

impl Rejected {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(_, count)| count).sum()
    }

    /// The counts with their names in metrics and in the partial success.
    pub fn by_reason(&self) -> [(&'static str, u64); 3] {
        [
            ("invalid_trace_id", self.invalid_trace_id),
            ("invalid_span_id", self.invalid_span_id),
            ("invalid_parent_id", self.invalid_parent_id),
        ]
    }

    fn count(&mut self, invalid: Invalid) {
        *match invalid {
            Invalid::Trace => &mut self.invalid_trace_id,
            Invalid::Span => &mut self.invalid_span_id,
            Invalid::Parent => &mut self.invalid_parent_id,
        } += 1;
    }
}

/// `2 invalid_trace_id, 1 invalid_span_id`: the message of a partial success; empty if nothing was rejected.
impl std::fmt::Display for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut separator = "";
        for (reason, count) in self.by_reason().into_iter().filter(|&(_, count)| count > 0) {
            write!(f, "{separator}{count} {reason}")?;
            separator = ", ";
        }
        Ok(())
    }
}

impl Walker {
    /// A walker that fills the columns of `spec`. All workers share `symbols`.
    pub fn new(spec: Arc<WalkSpec>, symbols: Arc<Symbols>) -> Self {
        Self {
            state: WalkState {
                spec,
                interner: Interner::new(symbols),
                found: Found::new(),
                templates: Templates::default(),
            },
            origins: Origins::new(),
            resource_fields: Vec::new(),
            scope_fields: Vec::new(),
            bytes_per_item: 400,
        }
    }

    /// The spans of an `ExportTraceServiceRequest`.
    ///
    /// # Errors
    /// If the framing is broken anywhere or the request is larger than 4 GiB. A span with ids that are not allowed is
    /// rejected alone and counted.
    pub fn traces(&mut self, request: Bytes, bounds: &Bounds) -> Result<Walked, WireError> {
        check_size(&request)?;
        let mut walked = Walked::default();
        let batch = &mut walked.batch;
        batch.slot_count = self.state.spec.len();
        let expected = self.expected_items(request.len());
        batch.records.reserve(expected);
        batch.trace_ids.reserve(expected);
        batch.slots.reserve(expected * batch.slot_count);
        let invalid_before = self.state.interner.invalid_utf8;
        self.resources(&request, &mut |state, raw, place| {
            span::read(raw, &request, (place.resource.service, place.origin), state, bounds, &mut walked)
        })
        .map(|origins| walked.batch.origins = origins)
        .map_err(|broken| broken.within(&request))?;
        walked.invalid_utf8 = self.state.interner.invalid_utf8 - invalid_before;
        self.learn(request.len(), walked.batch.records.len());
        walked.batch.buf = request;
        Ok(walked)
    }

    /// Descends to the items (spans or log records: both lie in the second field of the second field) and collects an
    /// origin for each scope.
    fn resources(&mut self, request: &[u8], read: &mut ReadItem<'_>) -> Result<Vec<Arc<Origin>>, Broken> {
        let mut origins = Vec::new();
        let mut cursor = Cursor::new(request);
        while let Some(field) = cursor.key()? {
            if field == key(1, LEN) {
                self.resource(cursor.bytes()?, read, &mut origins)?;
            } else {
                check::field::<false>(&schema::TRACES, field, &mut cursor, MAX_DEPTH)?;
            }
        }
        Ok(origins)
    }

    fn resource(
        &mut self,
        message: &[u8],
        read: &mut ReadItem<'_>,
        origins: &mut Vec<Arc<Origin>>,
    ) -> Result<(), Broken> {
        // Two passes, because the resource may come after its scopes; the first one jumps over each scope at once.
        self.resource_fields.clear();
        split(message, MAX_DEPTH - 1, Some(&mut self.resource_fields), |_| Ok(()))?;
        let resource = match self.origins.resource(&self.resource_fields, &self.state.spec, &mut self.state.interner) {
            Ok(resource) => resource,
            Err(broken) => return Err(locate(message, &schema::RESOURCE_SPANS, MAX_DEPTH - 1, broken)),
        };
        split(message, MAX_DEPTH - 1, None, |scope| {
            let origin = origins.len() as u32;
            self.scope_fields.clear();
            let state = &mut self.state;
            let place = Place { resource: &resource, scope, origin };
            split(scope, MAX_DEPTH - 2, Some(&mut self.scope_fields), |item| read(state, item, &place))?;
            match self.origins.origin(&resource, &self.scope_fields) {
                Ok(found) => origins.push(found),
                Err(broken) => return Err(locate(scope, &schema::SCOPE_SPANS, MAX_DEPTH - 2, broken)),
            }
            Ok(())
        })
    }

    fn expected_items(&self, bytes: usize) -> usize {
        // With some room to spare, because growing moves all that is there.
        bytes / self.bytes_per_item * 9 / 8 + 1
    }

    fn learn(&mut self, bytes: usize, items: usize) {
        // The floor bounds what one odd request can make the next one reserve.
        self.bytes_per_item = (bytes / items.max(1)).max(64);
    }
}

/// Where items stand.
struct Place<'a> {
    resource: &'a Resource,
    /// The `ScopeSpans` or `ScopeLogs` message.
    scope: &'a [u8],
    /// Index of the origin.
    origin: u32,
}

/// Reads one item: its message, and where it stands.
type ReadItem<'a> = dyn FnMut(&mut WalkState, &[u8], &Place<'_>) -> Result<(), Broken> + 'a;

/// Parts a `ResourceSpans` or `ScopeSpans` (or their kin of logs) into its children, field 2, and everything else,
/// which is appended to `others` byte by byte as it stands.
fn split<'a>(
    message: &'a [u8],
    depth: u32,
    mut others: Option<&mut Vec<u8>>,
    mut child: impl FnMut(&'a [u8]) -> Result<(), Broken>,
) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    loop {
        let field = cursor.rest;
        let Some(key_read) = cursor.key()? else { return Ok(()) };
        if key_read == key(2, LEN) {
            child(cursor.bytes()?)?;
        } else {
            cursor.skip(key_read, depth)?;
            if let Some(others) = &mut others {
                others.extend_from_slice(&field[..field.len() - cursor.rest.len()]);
            }
        }
    }
}

/// The place of a fault that was found in a copy of some of the message's fields: the same checks, in place.
#[cold]
fn locate(message: &[u8], schema: &schema::Schema, depth: u32, found: Broken) -> Broken {
    let mut cursor = Cursor::new(message);
    let mut check_others = || -> Result<(), Broken> {
        while let Some(key_read) = cursor.key()? {
            if key_read == key(2, LEN) {
                cursor.bytes()?;
            } else {
                check::field::<false>(schema, key_read, &mut cursor, depth)?;
            }
        }
        Ok(())
    };
    check_others().err().unwrap_or_else(|| Broken::new(message, found.fault))
}

fn check_size(request: &[u8]) -> Result<(), WireError> {
    if u32::try_from(request.len()).is_ok() { Ok(()) } else { Err(WireError::TooLarge { bytes: request.len() }) }
}
