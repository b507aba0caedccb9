//! Copies single traces from one batch into another.

use std::sync::Arc;

use backtrail_model::trace::{NO_SPAN, TraceBatch, TraceHead, TraceLog};

/// Appends traces of one batch to another, self-contained: records, bytes with columns, origins and log records.
pub(crate) struct Copier<'a> {
    from: &'a TraceBatch,
    /// Where each origin of `from` stands in the target, [`NO_SPAN`] if it is not there yet.
    origins: Vec<u32>,
}

/// An empty batch with room for copies of these traces of a batch, and no more.
pub(crate) fn with_room<'a>(from: &TraceBatch, heads: impl Iterator<Item = &'a TraceHead>) -> TraceBatch {
    let (mut spans, mut bytes, mut logs) = (0, 0, 0);
    for head in heads {
        spans += head.len as usize;
        bytes += from.spans(head).iter().map(|record| from.stored(record).len()).sum::<usize>();
        logs += head.log_len as usize;
    }
    TraceBatch {
        records: Vec::with_capacity(spans),
        parents: Vec::with_capacity(spans),
        raw: Vec::with_capacity(bytes),
        logs: Vec::with_capacity(logs),
        ..TraceBatch::default()
    }
}

impl<'a> Copier<'a> {
    pub(crate) fn new(from: &'a TraceBatch) -> Self {
        Self { from, origins: vec![NO_SPAN; from.origins.len()] }
    }

    /// Copies the trace; `head` of the copy is changed by `edit`. All copies of one `Copier` go to the same target, whose
    /// bytes must stay below 4 GiB.
    pub(crate) fn copy(&mut self, head: &TraceHead, to: &mut TraceBatch, edit: impl FnOnce(&mut TraceHead)) {
        let (from, range) = (self.from, self.from.range(head));
        let (old_first, new_first) = (head.first, to.records.len() as u32);
        let moved = |index: u32| if index == NO_SPAN { NO_SPAN } else { index - old_first + new_first };
        for (index, record) in range.clone().zip(&from.records[range.clone()]) {
            let mut copy = *record;
            (copy.chunk, copy.raw_offset) = (0, to.raw.len() as u32);
            copy.origin = self.origin(record.origin, to);
            to.raw.extend_from_slice(from.stored(record));
            to.records.push(copy);
            to.parents.push(moved(from.parents[index]));
        }
        let first_log = to.logs.len() as u32;
        to.logs.extend(from.logs_of(head).iter().map(|log| TraceLog { span: moved(log.span), ..*log }));
        let mut copy = TraceHead { first: new_first, root: moved(head.root), first_log, ..head.clone() };
        edit(&mut copy);
        to.traces.push(copy);
    }

    fn origin(&mut self, index: u32, to: &mut TraceBatch) -> u32 {
        let Some(known) = self.origins.get_mut(index as usize) else { return index };
        if *known == NO_SPAN {
            let origin = &self.from.origins[index as usize];
            let found = to.origins.iter().position(|other| Arc::ptr_eq(other, origin));
            *known = found.unwrap_or_else(|| {
                to.origins.push(Arc::clone(origin));
                to.origins.len() - 1
            }) as u32;
        }
        *known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Span, traces};
    use backtrail_model::symbols::Symbol;
    use backtrail_model::time::UnixNano;
    use backtrail_pipeline::Context;

    #[test]
    fn a_copied_trace_keeps_its_shape_and_bytes() {
        let cx = Context::for_test("copy");
        let trace = |raw| {
            vec![
                Span { id: 1, raw, ..Span::default() },
                Span { id: 2, parent: 1, start: 1, service: "db", raw: b"child", ..Span::default() },
            ]
        };
        let mut from = traces(&cx, 1, &[trace(b"one"), trace(b"two"), trace(b"three")]);
        for (n, span) in [1, NO_SPAN, 3, NO_SPAN, 5].into_iter().enumerate() {
            let (service, template) = (Symbol::NONE, Symbol::NONE);
            from.logs.push(TraceLog { time: UnixNano(n as u64), span, service, template, severity: 9 });
        }
        for (head, (first_log, log_len)) in from.traces.iter_mut().zip([(0, 2), (2, 2), (4, 1)]) {
            (head.first_log, head.log_len) = (first_log, log_len);
        }
        let mut to = TraceBatch::default();
        let mut copier = Copier::new(&from);
        for head in [&from.traces[2], &from.traces[1]] {
            copier.copy(head, &mut to, |copy| copy.reason = Arc::from("why"));
        }
        let head = &to.traces[1];
        assert_eq!((head.first, head.root, &*head.reason), (2, 2, "why"));
        assert_eq!(to.raw(&to.records[0]), b"three");
        assert_eq!(to.raw(&to.spans(head)[0]), b"two");
        assert_eq!(to.parent(3), Some(2));
        assert_eq!(to.origins.len(), 2);
        let logs = |head| to.logs_of(head).iter().map(|log| (log.time.0, log.span)).collect::<Vec<_>>();
        assert_eq!(logs(&to.traces[0]), [(4, 1)]);
        assert_eq!(logs(head), [(2, 3), (3, NO_SPAN)]);
        assert_eq!(to.origins[to.records[3].origin as usize].service, to.records[3].service);
    }
}
