//! A bounded memory of trace ids: what was decided about them.

use backtrail_model::ids::TraceId;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Remembers at least the `size` ids used last, and at most twice as many: two generations, of which the older is
/// forgotten at once when the younger is full. That is a list-free LRU: no links to keep, 17 bytes and a value an id.
pub(crate) struct Remembered<V> {
    size: usize,
    young: HashMap<TraceId, V, RandomState>,
    old: HashMap<TraceId, V, RandomState>,
}

impl<V: Clone> Remembered<V> {
    /// A memory of `size` ids; 0 remembers nothing.
    pub(crate) fn new(size: usize) -> Self {
        Self { size, young: HashMap::default(), old: HashMap::default() }
    }

    /// Changes how many are remembered; what is there stays until it is pushed out.
    pub(crate) fn resize(&mut self, size: usize) {
        self.size = size;
        if size == 0 {
            self.young.clear();
            self.old.clear();
        }
    }

    pub(crate) fn insert(&mut self, id: TraceId, value: V) {
        if self.size == 0 {
            return;
        }
        if self.young.len() >= self.size {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(id, value);
    }

    /// What is remembered of `id`, which thereby counts as used.
    pub(crate) fn get(&mut self, id: TraceId) -> Option<V> {
        if let Some(value) = self.young.get(&id) {
            return Some(value.clone());
        }
        let value = self.old.get(&id)?.clone();
        self.insert(id, value.clone());
        Some(value)
    }

    pub(crate) fn forget(&mut self, id: TraceId) {
        self.young.remove(&id);
        self.old.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> TraceId {
        TraceId([n; 16])
    }

    #[test]
    fn the_ids_used_last_are_remembered_and_the_number_is_bounded() {
        let mut memory = Remembered::new(10);
        for n in 1..=100 {
            memory.insert(id(n), n);
            assert_eq!(memory.get(id(1)), Some(1), "it is used all the time");
        }
        assert!((91..=100).all(|n| memory.get(id(n)) == Some(n)));
        assert!((2..=70).all(|n| memory.get(id(n)).is_none()));
        assert!(memory.young.len() + memory.old.len() <= 20);
    }

    #[test]
    fn a_memory_of_size_zero_remembers_nothing() {
        let mut memory = Remembered::new(0);
        memory.insert(id(1), ());
        assert_eq!(memory.get(id(1)), None);
    }
}
