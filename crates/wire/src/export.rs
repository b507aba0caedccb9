//! Kept spans and log records become a request again, by concatenation: raw items inside rebuilt wrappers, which have the
//! same shape and numbers for both. Nothing is decoded, so nothing is lost, unknown fields included.

use std::sync::Arc;

use backtrail_model::lead::Message;
use backtrail_model::log::LogBatch;
use backtrail_model::span::{Origin, SpanBatch};
use backtrail_model::trace::TraceBatch;

use crate::check::{valid_utf8, valid_utf8_log, valid_utf8_origin};
use crate::proto::{LEN, key, put_varint, varint_len};

/// A request that was put together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Exported {
    /// The `ExportTraceServiceRequest` or `ExportLogsServiceRequest`.
    pub bytes: Vec<u8>,
    /// How many spans or log records it holds.
    pub items: u64,
    /// Items left out, because a string in them (or in their resource or scope) is not UTF-8: a strict peer would
    /// reject the whole request.
    pub invalid_utf8: u64,
}

/// The request of some spans of a batch, all of them if `selected` is `None`.
pub fn spans(batch: &SpanBatch, selected: Option<&[u32]>) -> Exported {
    let record = |index: usize| (batch.records[index].origin, Message::whole(batch.raw(&batch.records[index])));
    match selected {
        Some(indices) => request(&batch.origins, indices.iter().map(|&index| record(index as usize))),
        None => request(&batch.origins, (0..batch.records.len()).map(record)),
    }
}

/// The request of some log records of a batch, all of them if `selected` is `None`.
pub fn logs(batch: &LogBatch, selected: Option<&[u32]>) -> Exported {
    let record = |index: usize| (batch.records[index].origin, Message::whole(batch.raw(&batch.records[index])));
    match selected {
        Some(indices) => collect(&batch.origins, valid_utf8_log, indices.iter().map(|&index| record(index as usize))),
        None => collect(&batch.origins, valid_utf8_log, (0..batch.records.len()).map(record)),
    }
}

/// The request of all traces of a batch.
pub fn traces(batch: &TraceBatch) -> Exported {
    let spans = batch
        .traces
        .iter()
        .flat_map(|trace| batch.spans(trace).iter().map(|record| (record.origin, batch.message(trace, record))));
    request(&batch.origins, spans)
}

/// The request of any spans: index of the origin in `origins`, and the span's message. Grouped by resource, then scope, each
/// in the order of its first span; spans keep their order within a scope.
pub fn request<'a>(origins: &[Arc<Origin>], spans: impl IntoIterator<Item = (u32, Message<'a>)>) -> Exported {
    collect(origins, valid_utf8, spans)
}

fn collect<'a>(
    origins: &[Arc<Origin>],
    is_valid: fn(&[u8]) -> bool,
    items: impl IntoIterator<Item = (u32, Message<'a>)>,
) -> Exported {
    let mut exported = Exported::default();
    let mut groups = Groups::new(origins.len());
    for (origin, message) in items {
        if is_valid(message.rest()) && groups.add(origins, origin, message) {
            exported.items += 1;
        } else {
            exported.invalid_utf8 += 1;
        }
    }
    exported.bytes = groups.write();
    exported
}

/// Items by resource and scope.
struct Groups<'a> {
    /// The scope group of each origin, found when its first item comes.
    of_origin: Vec<Place>,
    resources: Vec<ResourceGroup>,
    scopes: Vec<ScopeGroup<'a>>,
}

#[derive(Clone, Copy)]
enum Place {
    Unknown,
    Scope(usize),
    /// Its strings are not UTF-8.
    Invalid,
}

struct ResourceGroup {
    origin: Arc<Origin>,
    scopes: Vec<usize>,
}

struct ScopeGroup<'a> {
    origin: Arc<Origin>,
    items: Vec<Message<'a>>,
    /// Length of the items' fields.
    len: usize,
}

impl<'a> Groups<'a> {
    fn new(origins: usize) -> Self {
        Self { of_origin: vec![Place::Unknown; origins], resources: Vec::new(), scopes: Vec::new() }
    }

    /// Whether the item's origin can be sent; then it is taken.
    fn add(&mut self, origins: &[Arc<Origin>], origin: u32, message: Message<'a>) -> bool {
        let index = origin as usize;
        if let Place::Unknown = self.of_origin[index] {
            self.of_origin[index] = self.place(&origins[index]);
        }
        let Place::Scope(scope) = self.of_origin[index] else { return false };
        let scope = &mut self.scopes[scope];
        scope.len += field_len(message.len());
        scope.items.push(message);
        true
    }

    /// The group of an origin. Linear in the number of groups: a request has a handful, and each origin asks once.
    fn place(&mut self, origin: &Arc<Origin>) -> Place {
        if !valid_utf8_origin(&origin.resource, &origin.scope) {
            return Place::Invalid;
        }
        let known = self.resources.iter().position(|group| group.origin.resource == origin.resource);
        let resource = known.unwrap_or_else(|| {
            self.resources.push(ResourceGroup { origin: Arc::clone(origin), scopes: Vec::new() });
            self.resources.len() - 1
        });
        let resource = &mut self.resources[resource];
        if let Some(&scope) = resource.scopes.iter().find(|&&scope| self.scopes[scope].origin.scope == origin.scope) {
            return Place::Scope(scope);
        }
        resource.scopes.push(self.scopes.len());
        self.scopes.push(ScopeGroup { origin: Arc::clone(origin), items: Vec::new(), len: 0 });
        Place::Scope(self.scopes.len() - 1)
    }

    fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.resources.iter().map(|group| field_len(self.resource_len(group))).sum());
        for resource in self.resources.iter().filter(|resource| self.resource_len(resource) > 0) {
            open(&mut out, 1, self.resource_len(resource));
            out.extend_from_slice(&resource.origin.resource);
            for scope in self.filled(resource) {
                open(&mut out, 2, scope.message_len());
                out.extend_from_slice(&scope.origin.scope);
                for item in &scope.items {
                    open(&mut out, 2, item.len());
                    item.write(&mut out);
                }
            }
        }
        out
    }

    /// The scopes that have items.
    fn filled<'s>(&'s self, resource: &'s ResourceGroup) -> impl Iterator<Item = &'s ScopeGroup<'a>> {
        resource.scopes.iter().map(|&scope| &self.scopes[scope]).filter(|scope| !scope.items.is_empty())
    }

    /// Length of the `ResourceSpans` or `ResourceLogs` message, 0 if it has no items.
    fn resource_len(&self, resource: &ResourceGroup) -> usize {
        let scopes: usize = self.filled(resource).map(|scope| field_len(scope.message_len())).sum();
        if scopes == 0 { 0 } else { scopes + resource.origin.resource.len() }
    }
}

impl ScopeGroup<'_> {
    fn message_len(&self) -> usize {
        self.origin.scope.len() + self.len
    }
}

/// Length of a field with a one-byte key and a content of `len` bytes.
fn field_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

fn open(out: &mut Vec<u8>, number: u32, len: usize) {
    put_varint(out, u64::from(key(number, LEN)));
    put_varint(out, len as u64);
}
