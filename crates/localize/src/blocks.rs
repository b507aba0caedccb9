//! A stretch of time as slices, and its cuts into blocks of nearly equal trace counts.

use std::collections::BTreeMap;

use backtrail_model::Slice;
use backtrail_model::spectra::SpectraSlice;

/// How often the baseline is cut, and into how many blocks. One cut is a matter of luck, so scores are means over the
/// cuts. Source: FUSION.md, "Notation".
pub const CUTS: [usize; 3] = [5, 8, 12];

/// One slice with the parts that shards (or sources) sent for it.
#[derive(Clone, Debug)]
pub struct Cell<'a> {
    /// Which slice.
    pub slice: Slice,
    /// Its parts. Their order carries no meaning: everything read from them is an integer sum.
    pub parts: Vec<&'a SpectraSlice>,
    /// Traces, weighted in 1/256.
    pub traces: u64,
}

/// Slices in order of time, empty ones left out.
#[derive(Clone, Debug)]
pub struct Stretch<'a> {
    /// The slices.
    pub cells: Vec<Cell<'a>>,
    /// Traces of all slices, weighted in 1/256.
    pub traces: u64,
}

impl<'a> Stretch<'a> {
    /// Orders the parts by slice; parts of the same slice come together, whatever order they arrive in.
    pub fn new(parts: &[&'a SpectraSlice]) -> Self {
        let mut by_slice: BTreeMap<Slice, Vec<&'a SpectraSlice>> = BTreeMap::new();
        for part in parts {
            by_slice.entry(part.slice).or_default().push(part);
        }
        let cells: Vec<Cell<'a>> = by_slice
            .into_iter()
            .map(|(slice, parts)| Cell { slice, traces: parts.iter().map(|part| part.traces()).sum(), parts })
            .filter(|cell| cell.traces > 0 || cell.parts.iter().any(|part| !part.tests.is_empty()))
            .collect();
        let traces = cells.iter().map(|cell| cell.traces).sum();
        Self { cells, traces }
    }

    /// The parts with the index of their cell.
    pub fn parts(&self) -> impl Iterator<Item = (usize, &'a SpectraSlice)> {
        self.cells.iter().enumerate().flat_map(|(at, cell)| cell.parts.iter().map(move |part| (at, *part)))
    }

    /// This stretch with the cells of another behind it.
    #[must_use]
    pub fn followed_by(&self, other: &Self) -> Self {
        let cells = self.cells.iter().chain(&other.cells).cloned().collect();
        Self { cells, traces: self.traces + other.traces }
    }

    /// Cuts into at most `k` blocks of consecutive slices with nearly equal trace counts; returns the block of each
    /// cell. With fewer cells than `k`, every cell is a block.
    pub fn cut(&self, k: usize) -> Vec<usize> {
        cut(&self.cells.iter().map(|cell| cell.traces).collect::<Vec<_>>(), k)
    }

    /// Takes some cells as a window, and cuts the others into blocks, once for each of `cuts`.
    pub fn split(&self, is_window: impl Fn(usize) -> bool, cuts: &[usize]) -> Split {
        let is_window: Vec<bool> = (0..self.cells.len()).map(is_window).collect();
        let quiet = || (0..is_window.len()).filter(|&cell| !is_window[cell]);
        let traces: Vec<u64> = quiet().map(|cell| self.cells[cell].traces).collect();
        let scattered = |&k: &usize| {
            let mut block_of = vec![0; is_window.len()];
            for (cell, block) in quiet().zip(cut(&traces, k)) {
                block_of[cell] = block;
            }
            block_of
        };
        let cuts = cuts.iter().map(scattered).collect();
        Split { is_window, cuts }
    }
}

/// Which cells of a stretch are the window, and how the others, its baseline, are cut into blocks.
#[derive(Debug)]
pub struct Split {
    is_window: Vec<bool>,
    /// For each cut the block of each cell; what stands at a cell of the window means nothing.
    pub cuts: Vec<Vec<usize>>,
}

impl Split {
    /// Whether a cell belongs to the window.
    pub fn is_window(&self, cell: usize) -> bool {
        self.is_window[cell]
    }

    /// The same window with another cut of the baseline.
    #[must_use]
    pub fn with(&self, cut: Vec<usize>) -> Self {
        Self { is_window: self.is_window.clone(), cuts: vec![cut] }
    }
}

/// The block of each cell, by the traces of each.
fn cut(traces: &[u64], k: usize) -> Vec<usize> {
    let k = k.min(traces.len()).max(1);
    if k == traces.len() {
        return (0..k).collect();
    }
    let (mut before, total) = (0_u128, traces.iter().map(|&n| u128::from(n)).sum::<u128>().max(1));
    let block_of = |&n: &u64| {
        // The block that holds the middle of the slice, in exact arithmetic.
        let middle = 2 * before + u128::from(n);
        before += u128::from(n);
        ((middle * k as u128 / (2 * total)) as usize).min(k - 1)
    };
    traces.iter().map(block_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtrail_model::spectra::{Entry, TraceGroup};

    fn slice(at: u64, traces: u64) -> SpectraSlice {
        let mut slice = SpectraSlice::new(Slice(at));
        let entry = Entry { service: "a".into(), route: "r".into() };
        slice.groups.insert(TraceGroup { entry, signature: 1, error: false, latency: 3 }, traces * 256);
        slice
    }

    #[test]
    fn blocks_are_consecutive_and_nearly_equal() {
        let slices: Vec<_> = (0..40).map(|at| slice(at, 1 + at % 3)).collect();
        let stretch = Stretch::new(&slices.iter().rev().collect::<Vec<_>>());
        for k in CUTS {
            let blocks = stretch.cut(k);
            assert!(blocks.is_sorted());
            let mut sizes = vec![0; k];
            for (cell, &block) in stretch.cells.iter().zip(&blocks) {
                sizes[block] += cell.traces / 256;
            }
            let (least, most) = (sizes.iter().min(), sizes.iter().max());
            assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 4), "{sizes:?}");
        }
    }

    #[test]
    fn few_slices_are_a_block_each_and_empty_ones_vanish() {
        let slices = [slice(3, 9), slice(1, 1), SpectraSlice::new(Slice(2))];
        let stretch = Stretch::new(&slices.iter().collect::<Vec<_>>());
        assert_eq!(stretch.cut(5), [0, 1]);
        assert_eq!(stretch.cells[0].slice, Slice(1));
    }

    #[test]
    fn what_is_left_of_a_window_is_cut_as_if_the_window_had_never_been() {
        let slices: Vec<_> = (0..20).map(|at| slice(at, 1 + at % 3)).collect();
        let within = |at: usize| (6..9).contains(&at);
        let all = Stretch::new(&slices.iter().collect::<Vec<_>>());
        let rest: Vec<_> = slices.iter().enumerate().filter(|(at, _)| !within(*at)).map(|(_, slice)| slice).collect();
        let split = all.split(within, &[5]);
        assert_eq!((split.is_window(5), split.is_window(6), split.is_window(9)), (false, true, false));
        let blocks: Vec<usize> = (0..20).filter(|&at| !within(at)).map(|at| split.cuts[0][at]).collect();
        assert_eq!(blocks, Stretch::new(&rest).cut(5));
    }
}
