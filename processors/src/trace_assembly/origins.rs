//! Resources and scopes of the buffered spans: one entry each, as long as a span needs it.

use std::sync::Arc;

use backtrail_model::span::Origin;
use hashbrown::HashTable;

/// No entry yet.
pub(super) const UNSEEN: u32 = u32::MAX;

/// The origins of a shard with the number of buffered spans that have them.
#[derive(Default)]
pub(super) struct Origins {
    entries: Vec<(Option<Arc<Origin>>, u32)>,
    by_hash: HashTable<u32>,
    vacant: Vec<u32>,
}

impl Origins {
    /// The index of an origin equal to this one, used once more.
    pub(super) fn acquire(&mut self, origin: &Arc<Origin>) -> u32 {
        let Self { entries, by_hash, vacant } = self;
        let same = |&index: &u32| {
            let known = entries[index as usize].0.as_ref();
            known.is_some_and(|known| Arc::ptr_eq(known, origin) || known == origin)
        };
        if let Some(&index) = by_hash.find(mixed(origin.hash), same) {
            entries[index as usize].1 += 1;
            return index;
        }
        let entry = (Some(Arc::clone(origin)), 1);
        let index = if let Some(index) = vacant.pop() {
            entries[index as usize] = entry;
            index
        } else {
            entries.push(entry);
            (entries.len() - 1) as u32
        };
        let rehash = |&index: &u32| entries[index as usize].0.as_ref().map_or(0, |origin| mixed(origin.hash));
        by_hash.insert_unique(mixed(origin.hash), index, rehash);
        index
    }

    /// One more span has the origin at `index`.
    pub(super) fn share(&mut self, index: u32) {
        self.entries[index as usize].1 += 1;
    }

    /// A span with the origin at `index` is gone.
    pub(super) fn release(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        entry.1 -= 1;
        if entry.1 == 0 {
            if let Some(origin) = entry.0.take()
                && let Ok(found) = self.by_hash.find_entry(mixed(origin.hash), |&known| known == index)
            {
                found.remove();
            }
            self.vacant.push(index);
        }
    }

    pub(super) fn get(&self, index: u32) -> Option<&Arc<Origin>> {
        self.entries[index as usize].0.as_ref()
    }

    /// How many entries there ever were at a time: all indices are below.
    pub(super) fn capacity(&self) -> usize {
        self.entries.len()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_hash.is_empty() && self.entries.iter().all(|(origin, _)| origin.is_none())
    }
}

fn mixed(hash: u64) -> u64 {
    hash.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_origins_share_an_entry_until_the_last_span_is_gone() {
        let origin = |version: &str| Arc::new(Origin { version: version.into(), ..Origin::default() });
        let mut origins = Origins::default();
        let a = origins.acquire(&origin("1"));
        let b = origins.acquire(&origin("2"));
        assert_ne!(a, b);
        assert_eq!(origins.acquire(&origin("1")), a);
        origins.share(a);
        for _ in 0..3 {
            assert_eq!(origins.get(a).map(|o| &*o.version), Some("1"));
            origins.release(a);
        }
        origins.release(b);
        assert!(origins.is_empty());
        origins.acquire(&origin("3"));
        assert_eq!(origins.capacity(), 2);
    }
}
