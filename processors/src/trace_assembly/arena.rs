//! Slabs that spans are appended to, and that are given back once the last of their spans has left.
//!
//! A slab is filled, then sealed, and from then on whoever needs its bytes shares them: a decided trace goes on its way
//! without a copy, and what nobody keeps was written once and never read again.

use std::collections::VecDeque;
use std::sync::Arc;

use backtrail_model::span::{SpanFlags, SpanRecord};

/// Usual size of a slab's bytes. Large enough that the allocator returns it to the system, small enough that one
/// straggler pins little.
const BYTES: usize = 1 << 20;
/// Records of a usual slab: about as many as fill its bytes.
const RECORDS: usize = 2560;
/// Empty slabs that are kept for reuse: at least this many, and an eighth of those in use, because a tick empties many
/// at once that the next seconds fill again. The rest is freed.
const SPARE: usize = 4;

/// Where a span lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) slab: u32,
    index: u32,
}

#[derive(Default)]
struct Slab {
    /// `raw_offset` of each counts from the beginning of `bytes`.
    records: Vec<SpanRecord>,
    /// What the records point into, behind each its columns. Empty while the slab is the open one.
    bytes: Arc<Vec<u8>>,
    /// Spans in it that are still needed.
    live: u32,
}

/// Append-only slabs with a count of what is alive in each.
#[derive(Default)]
pub(super) struct Arena {
    slabs: Vec<Slab>,
    /// The slab that is appended to, and its bytes.
    open: Option<u32>,
    open_bytes: Vec<u8>,
    /// Indices in `slabs` that hold no slab.
    vacant: Vec<u32>,
    /// Bytes of empty slabs, oldest first. Somebody else may still read them.
    spare: VecDeque<Arc<Vec<u8>>>,
    spare_records: Vec<Vec<SpanRecord>>,
    live: u64,
    allocated: u64,
}

impl Arena {
    /// Appends a span: its record, and its bytes in two parts, of which the first is `record.raw_len` long.
    pub(super) fn put(&mut self, mut record: SpanRecord, parts: [&[u8]; 2]) -> Place {
        let len = parts[0].len() + parts[1].len();
        let slab = self.open_slab(len);
        record.raw_offset = self.open_bytes.len() as u32;
        for part in parts {
            self.open_bytes.extend_from_slice(part);
        }
        self.push(slab, record, len)
    }

    fn push(&mut self, slab: u32, record: SpanRecord, len: usize) -> Place {
        let Slab { records, live, .. } = &mut self.slabs[slab as usize];
        let place = Place { slab, index: records.len() as u32 };
        records.push(record);
        *live += 1;
        self.live += cost(len);
        place
    }

    pub(super) fn record(&self, place: Place) -> &SpanRecord {
        &self.slabs[place.slab as usize].records[place.index as usize]
    }

    /// The span's bytes with its columns behind them.
    pub(super) fn stored(&self, place: Place) -> &[u8] {
        let Slab { records, bytes, .. } = &self.slabs[place.slab as usize];
        let bytes = if self.open == Some(place.slab) { &self.open_bytes } else { &**bytes };
        let record = &records[place.index as usize];
        let from = record.raw_offset as usize;
        let to = if record.flags.has(SpanFlags::COLUMNS) {
            records.get(place.index as usize + 1).map_or(bytes.len(), |next| next.raw_offset as usize)
        } else {
            // The next record is far away for a cache.
            from + record.raw_len as usize
        };
        &bytes[from..to]
    }

    /// The bytes of a slab, to be shared; `None` for the open one.
    pub(super) fn shared(&self, slab: u32) -> Option<&Arc<Vec<u8>>> {
        (self.open != Some(slab)).then(|| &self.slabs[slab as usize].bytes)
    }

    /// How many slabs there ever were at a time: all indices are below.
    pub(super) fn capacity(&self) -> usize {
        self.slabs.len()
    }

    /// Copies a span to the open slab and frees the old copy.
    pub(super) fn relocate(&mut self, place: Place) -> Place {
        let len = self.stored(place).len();
        let slab = self.open_slab(len);
        let mut record = *self.record(place);
        let from = record.raw_offset as usize;
        record.raw_offset = self.open_bytes.len() as u32;
        if slab == place.slab {
            self.open_bytes.extend_from_within(from..from + len);
        } else {
            self.open_bytes.extend_from_slice(&self.slabs[place.slab as usize].bytes[from..from + len]);
        }
        let new = self.push(slab, record, len);
        self.free(place);
        new
    }

    /// Gives back a span.
    pub(super) fn free(&mut self, place: Place) {
        self.live -= cost(self.stored(place).len());
        let slab = &mut self.slabs[place.slab as usize];
        slab.live -= 1;
        if slab.live > 0 {
            return;
        }
        if self.open == Some(place.slab) {
            slab.records.clear();
            self.open_bytes.clear();
        } else {
            self.retire(place.slab);
        }
    }

    /// Bytes of the spans in it.
    pub(super) fn live_bytes(&self) -> u64 {
        self.live
    }

    /// Bytes of the slabs that hold spans.
    #[cfg(test)]
    pub(super) fn allocated_bytes(&self) -> u64 {
        self.allocated
    }

    /// Whether so much of the slabs is dead that moving what lives pays: long-waiting traces pin slabs whose other
    /// traces were decided long ago.
    pub(super) fn is_sparse(&self) -> bool {
        self.allocated > 2 * self.live + 16 * cost(BYTES)
    }

    /// Whether moving what lives has freed enough.
    pub(super) fn is_dense(&self) -> bool {
        self.allocated <= self.live + self.live / 2 + 8 * cost(BYTES)
    }

    /// The slab that has room for one more span of `len` bytes.
    fn open_slab(&mut self, len: usize) -> u32 {
        if let Some(slab) = self.open {
            let records = &self.slabs[slab as usize].records;
            if self.open_bytes.capacity() - self.open_bytes.len() >= len && records.len() < records.capacity() {
                return slab;
            }
            self.seal(slab);
        }
        self.open_bytes = self.empty_bytes(len);
        let records = self.spare_records.pop().unwrap_or_else(|| Vec::with_capacity(RECORDS));
        self.allocated += allocated(&records, &self.open_bytes);
        let new = Slab { records, bytes: Arc::default(), live: 0 };
        let index = if let Some(index) = self.vacant.pop() {
            self.slabs[index as usize] = new;
            index
        } else {
            self.slabs.push(new);
            (self.slabs.len() - 1) as u32
        };
        self.open = Some(index);
        index
    }

    fn empty_bytes(&mut self, len: usize) -> Vec<u8> {
        let free = if len > BYTES { None } else { self.spare.iter().position(|spare| Arc::strong_count(spare) == 1) };
        let spare = free.and_then(|at| self.spare.remove(at)).and_then(Arc::into_inner);
        let mut bytes = spare.unwrap_or_else(|| Vec::with_capacity(len.max(BYTES)));
        bytes.clear();
        bytes
    }

    /// Closes the open slab.
    fn seal(&mut self, slab: u32) {
        let bytes = std::mem::take(&mut self.open_bytes);
        self.open = None;
        self.slabs[slab as usize].bytes = Arc::new(bytes);
        if self.slabs[slab as usize].live == 0 {
            self.retire(slab);
        }
    }

    fn retire(&mut self, index: u32) {
        let Slab { mut records, bytes, .. } = std::mem::take(&mut self.slabs[index as usize]);
        self.allocated -= allocated(&records, &bytes);
        self.vacant.push(index);
        let keep = SPARE.max((self.slabs.len() - self.vacant.len()) / 8);
        self.spare.truncate(keep);
        self.spare_records.truncate(keep);
        if bytes.capacity() == BYTES && self.spare.len() < keep {
            self.spare.push_back(bytes);
        }
        if self.spare_records.len() < keep {
            records.clear();
            self.spare_records.push(records);
        }
    }
}

/// What a span of `len` stored bytes takes.
fn cost(len: usize) -> u64 {
    (len + size_of::<SpanRecord>()) as u64
}

fn allocated(records: &Vec<SpanRecord>, bytes: &Vec<u8>) -> u64 {
    (records.capacity() * size_of::<SpanRecord>() + bytes.capacity()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(arena: &mut Arena, body: &[u8]) -> Place {
        let flags = SpanFlags(SpanFlags::COLUMNS);
        arena.put(SpanRecord { raw_len: body.len() as u32, flags, ..SpanRecord::default() }, [body, b"col"])
    }

    #[test]
    fn an_empty_slab_is_reused_and_most_of_them_are_freed() {
        let mut arena = Arena::default();
        let body = vec![7; 1000];
        let places: Vec<Place> = (0..20_000).map(|_| put(&mut arena, &body)).collect();
        assert_eq!(arena.live_bytes(), 20_000 * cost(1003));
        assert!(arena.allocated_bytes() >= arena.live_bytes());
        for place in places {
            assert_eq!(arena.stored(place)[998..], *b"\x07\x07col");
            assert_eq!(arena.record(place).raw_len, 1000);
            arena.free(place);
        }
        assert_eq!(arena.live_bytes(), 0);
        assert!(arena.allocated_bytes() <= cost(BYTES) + (RECORDS * size_of::<SpanRecord>()) as u64);
        assert!(arena.spare.len() <= SPARE && arena.spare_records.len() <= SPARE);
    }

    #[test]
    fn an_item_larger_than_a_slab_has_one_of_its_own() {
        let mut arena = Arena::default();
        let body = vec![1; 3 * BYTES];
        let place = put(&mut arena, &body);
        let small = put(&mut arena, b"small");
        assert_ne!(place.slab, small.slab);
        assert_eq!(arena.stored(place).len(), body.len() + 3);
        arena.free(place);
        assert!(arena.allocated_bytes() < 2 * BYTES as u64);
        assert_eq!(arena.stored(small), b"smallcol");
    }

    #[test]
    fn bytes_that_somebody_reads_are_not_written_again() {
        let mut arena = Arena::default();
        let first = put(&mut arena, b"first");
        assert!(arena.shared(first.slab).is_none(), "it is still open");
        let body = vec![2; BYTES - 5];
        let second = put(&mut arena, &body);
        let shared = Arc::clone(arena.shared(first.slab).expect("it is sealed"));
        arena.free(first);
        let third = put(&mut arena, &body);
        assert_eq!(shared[..5], *b"first");
        drop(shared);
        arena.free(second);
        let fourth = put(&mut arena, &body);
        assert!(arena.stored(third).starts_with(&body) && arena.stored(fourth).starts_with(&body));
    }

    #[test]
    fn moving_what_lives_frees_slabs_that_stragglers_pin() {
        let mut arena = Arena::default();
        let body = vec![1; 1000];
        let mut stragglers = Vec::new();
        for n in 0..100_000 {
            let place = put(&mut arena, &body);
            if n % 1000 == 0 { stragglers.push(place) } else { arena.free(place) }
        }
        assert!(arena.is_sparse());
        for place in &mut stragglers {
            *place = arena.relocate(*place);
        }
        assert!(!arena.is_sparse());
        assert!(arena.allocated_bytes() <= 3 * BYTES as u64);
        assert!(stragglers.iter().all(|&place| arena.stored(place)[..1000] == body));
    }
}
