//! What the slices of a stretch say, by what says it. Slices are keyed by long strings; they are compared here once, and
//! every window that is cut out of the stretch is judged by numbers.

use std::sync::Arc;

use backtrail_model::spectra::{TestKey, TestSums};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::blocks::Stretch;

/// Service and operation.
pub(crate) type Place<'a> = (&'a Arc<str>, &'a Arc<str>);

/// Counts of one place by cell, in order of cell.
pub(crate) type ByCell = Vec<(usize, u64)>;

/// The latency tests, executions and error origins of a stretch, each in order of its key.
pub(crate) struct Table<'a> {
    /// Latency tests: sums by cell, in order of cell; of a cell there may be several.
    pub(crate) tests: Vec<(&'a TestKey, Vec<(usize, &'a TestSums)>)>,
    /// How often each operation was executed.
    pub(crate) executions: Vec<(Place<'a>, ByCell)>,
    /// How many errors began in each operation, weighted.
    pub(crate) origins: Vec<(Place<'a>, ByCell)>,
    /// Traces by cell, weighted.
    pub(crate) traces: Vec<u64>,
}

impl<'a> Table<'a> {
    /// Collects from every cell.
    pub(crate) fn new(stretch: &Stretch<'a>) -> Self {
        let parts = || stretch.parts();
        let tests =
            collected(parts().flat_map(|(cell, part)| part.tests.iter().map(move |(key, sums)| (key, (cell, sums)))));
        let origins = parts().flat_map(|(cell, part)| {
            part.error_origins.iter().map(move |((service, operation), &count)| ((service, operation), (cell, count)))
        });
        Self {
            executions: executions(&tests),
            tests,
            origins: collected(origins),
            traces: stretch.cells.iter().map(|cell| cell.traces).collect(),
        }
    }

    /// The executions of an operation.
    pub(crate) fn executions_of(&self, place: Place<'_>) -> &[(usize, u64)] {
        let at = self.executions.binary_search_by(|(known, _)| known.cmp(&place));
        at.map_or(&[], |at| &self.executions[at].1)
    }
}

/// Values by key, in order of key. Hashing every key and sorting each once is several times as fast as keeping them in
/// order.
pub(crate) fn collected<K: Copy + Ord + std::hash::Hash, V>(all: impl Iterator<Item = (K, V)>) -> Vec<(K, Vec<V>)> {
    let mut places: HashMap<K, usize, FixedState> = HashMap::default();
    let mut lists: Vec<(K, Vec<V>)> = Vec::new();
    for (key, value) in all {
        let at = *places.entry(key).or_insert_with(|| {
            lists.push((key, Vec::new()));
            lists.len() - 1
        });
        lists[at].1.push(value);
    }
    lists.sort_unstable_by_key(|(key, _)| *key);
    lists
}

/// Every execution gives either a self time or at least one gap, so the self times plus the most frequent gap count it.
fn executions<'a>(tests: &[(&'a TestKey, Vec<(usize, &'a TestSums)>)]) -> Vec<(Place<'a>, ByCell)> {
    let place = |key: &'a TestKey| (&key.service, &key.operation);
    // The tests of an operation stand together, its self time before its gaps.
    let of_operation = |tests: &[(&'a TestKey, Vec<(usize, &'a TestSums)>)]| {
        let (mut own, mut gaps) = (ByCell::new(), ByCell::new());
        for (key, sums) in tests {
            let counts = summed(sums.iter().map(|&(cell, sums)| (cell, sums.n)));
            match key.callee {
                None => own = counts,
                Some(_) => gaps = greatest(gaps, counts),
            }
        }
        own.extend(gaps);
        own.sort_unstable_by_key(|&(cell, _)| cell);
        (place(tests[0].0), summed(own.into_iter()))
    };
    tests.chunk_by(|a, b| place(a.0) == place(b.0)).map(of_operation).collect()
}

/// Adds up what stands together.
fn summed(counts: impl Iterator<Item = (usize, u64)>) -> ByCell {
    let mut sums = ByCell::new();
    for (cell, n) in counts {
        match sums.last_mut() {
            Some(last) if last.0 == cell => last.1 += n,
            _ => sums.push((cell, n)),
        }
    }
    sums
}

/// The greater count of each cell.
fn greatest(mut a: ByCell, b: ByCell) -> ByCell {
    a.extend(b);
    a.sort_unstable();
    // The last of a cell is its greatest.
    a.reverse();
    a.dedup_by_key(|&mut (cell, _)| cell);
    a.reverse();
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtrail_model::Slice;
    use backtrail_model::spectra::SpectraSlice;

    #[test]
    fn executions_are_self_times_and_the_most_frequent_gap_of_each_cell_in_however_many_parts() {
        let part = |slice: u64, tests: &[(Option<&str>, u64)]| {
            let mut part = SpectraSlice::new(Slice(slice));
            for &(callee, n) in tests {
                let key = TestKey { service: "a".into(), operation: "b".into(), callee: callee.map(Into::into) };
                part.tests.insert(key, TestSums { n, ..TestSums::default() });
            }
            part
        };
        let parts = [
            part(1, &[(None, 2), (Some("x"), 5), (Some("y"), 4)]),
            part(1, &[(Some("y"), 3)]),
            part(2, &[(Some("x"), 1)]),
        ];
        let table = Table::new(&Stretch::new(&parts.iter().collect::<Vec<_>>()));
        let (service, operation) = (Arc::from("a"), Arc::from("b"));
        assert_eq!(table.executions_of((&service, &operation)), [(0, 2 + 4 + 3), (1, 1)]);
        assert_eq!(table.executions_of((&operation, &service)), []);
    }
}
