//! Slabs that spans are appended to, and that are given back once the last of their spans has left.

/// Usual size of a slab. Large enough that the allocator returns it to the system, small enough that one straggler
/// pins little.
const SLAB: usize = 1 << 20;
/// Empty slabs that are kept for reuse: at least this many, and an eighth of those in use, because a tick empties many
/// at once that the next seconds fill again. The rest is freed.
const SPARE: usize = 4;

/// Where an item lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    slab: u32,
    offset: u32,
}

#[derive(Default)]
struct Slab {
    bytes: Vec<u8>,
    /// Items in it that are still needed.
    live: u32,
}

/// Append-only slabs with a count of what is alive in each.
#[derive(Default)]
pub(super) struct Arena {
    slabs: Vec<Slab>,
    /// The slab that is appended to.
    current: Option<u32>,
    /// Indices in `slabs` that hold no slab.
    vacant: Vec<u32>,
    spare: Vec<Vec<u8>>,
    live: u64,
    allocated: u64,
}

impl Arena {
    /// Appends an item that consists of the given parts.
    pub(super) fn put(&mut self, parts: [&[u8]; 3]) -> Place {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let index = self.slab_for(len);
        let slab = &mut self.slabs[index as usize];
        let place = Place { slab: index, offset: slab.bytes.len() as u32 };
        for part in parts {
            slab.bytes.extend_from_slice(part);
        }
        slab.live += 1;
        self.live += len as u64;
        place
    }

    /// The bytes from the item's first on; the item knows its own length.
    pub(super) fn at(&self, place: Place) -> &[u8] {
        &self.slabs[place.slab as usize].bytes[place.offset as usize..]
    }

    /// Copies an item of `len` bytes to the newest slab and frees the old copy.
    pub(super) fn relocate(&mut self, place: Place, len: usize) -> Place {
        let index = self.slab_for(len);
        let new = Place { slab: index, offset: self.slabs[index as usize].bytes.len() as u32 };
        let from = place.offset as usize;
        if index == place.slab {
            self.slabs[index as usize].bytes.extend_from_within(from..from + len);
        } else if let Ok([target, source]) = self.slabs.get_disjoint_mut([index as usize, place.slab as usize]) {
            target.bytes.extend_from_slice(&source.bytes[from..from + len]);
        }
        self.slabs[index as usize].live += 1;
        self.live += len as u64;
        self.free(place, len);
        new
    }

    /// Gives back an item of `len` bytes.
    pub(super) fn free(&mut self, place: Place, len: usize) {
        self.live -= len as u64;
        let slab = &mut self.slabs[place.slab as usize];
        slab.live -= 1;
        if slab.live > 0 {
            return;
        }
        if self.current == Some(place.slab) && slab.bytes.capacity() <= SLAB {
            slab.bytes.clear();
        } else {
            self.retire(place.slab);
        }
    }

    /// Bytes of the items in it.
    pub(super) fn live_bytes(&self) -> u64 {
        self.live
    }

    /// Bytes of the slabs that hold items.
    #[cfg(test)]
    pub(super) fn allocated_bytes(&self) -> u64 {
        self.allocated
    }

    /// Whether so much of the slabs is dead that moving what lives pays: long-waiting traces pin slabs whose other
    /// traces were decided long ago.
    pub(super) fn is_sparse(&self) -> bool {
        self.allocated > 2 * self.live + 16 * SLAB as u64
    }

    /// Whether moving what lives has freed enough.
    pub(super) fn is_dense(&self) -> bool {
        self.allocated <= self.live + self.live / 2 + 8 * SLAB as u64
    }

    /// The slab that has room for `len` more bytes.
    fn slab_for(&mut self, len: usize) -> u32 {
        if let Some(index) = self.current {
            let bytes = &self.slabs[index as usize].bytes;
            if bytes.capacity() - bytes.len() >= len {
                return index;
            }
            self.current = None;
            if self.slabs[index as usize].live == 0 {
                self.retire(index);
            }
        }
        let spare = if len <= SLAB { self.spare.pop() } else { None };
        let bytes = spare.unwrap_or_else(|| Vec::with_capacity(len.max(SLAB)));
        self.allocated += bytes.capacity() as u64;
        let slab = Slab { bytes, live: 0 };
        let index = if let Some(index) = self.vacant.pop() {
            self.slabs[index as usize] = slab;
            index
        } else {
            self.slabs.push(slab);
            (self.slabs.len() - 1) as u32
        };
        self.current = Some(index);
        index
    }

    fn retire(&mut self, index: u32) {
        let mut bytes = std::mem::take(&mut self.slabs[index as usize]).bytes;
        self.allocated -= bytes.capacity() as u64;
        self.vacant.push(index);
        if self.current == Some(index) {
            self.current = None;
        }
        let keep = SPARE.max((self.slabs.len() - self.vacant.len()) / 8);
        self.spare.truncate(keep);
        if bytes.capacity() == SLAB && self.spare.len() < keep {
            bytes.clear();
            self.spare.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_slab_is_reused_and_most_of_them_are_freed() {
        let mut arena = Arena::default();
        let body = vec![7; 1000];
        let places: Vec<Place> = (0..20_000).map(|_| arena.put([b"head", &[], &body])).collect();
        assert_eq!(arena.live_bytes(), 20_000 * 1004);
        assert!(arena.allocated_bytes() >= arena.live_bytes());
        for place in places {
            assert_eq!(&arena.at(place)[..5], b"head\x07");
            arena.free(place, 1004);
        }
        assert_eq!(arena.live_bytes(), 0);
        assert!(arena.allocated_bytes() <= SLAB as u64);
        assert!(arena.spare.len() <= SPARE);
    }

    #[test]
    fn an_item_larger_than_a_slab_has_one_of_its_own() {
        let mut arena = Arena::default();
        let body = vec![1; 3 * SLAB];
        let place = arena.put([&[], &[], &body]);
        assert_eq!(arena.at(place).len(), body.len());
        arena.free(place, body.len());
        assert_eq!((arena.live_bytes(), arena.allocated_bytes()), (0, 0));
    }

    #[test]
    fn moving_what_lives_frees_slabs_that_stragglers_pin() {
        let mut arena = Arena::default();
        let body = vec![1; 1000];
        let mut stragglers = Vec::new();
        for n in 0..100_000 {
            let place = arena.put([&[], &[], &body]);
            if n % 1000 == 0 { stragglers.push(place) } else { arena.free(place, 1000) }
        }
        assert!(arena.is_sparse());
        for place in &mut stragglers {
            *place = arena.relocate(*place, 1000);
        }
        assert!(!arena.is_sparse());
        assert!(arena.allocated_bytes() <= 2 * SLAB as u64);
        assert!(stragglers.iter().all(|&place| arena.at(place)[..1000] == body));
    }
}
