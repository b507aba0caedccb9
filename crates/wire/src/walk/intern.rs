//! A worker's cache in front of the shared symbol table.

use std::hash::BuildHasher;
use std::sync::Arc;

use backtrail_model::{Symbol, SymbolKind, Symbols};
use foldhash::fast::FixedState;

/// Direct-mapped: a string has one place, and a newcomer takes it. So the size is fixed whatever is sent, and the hot
/// path is a hash, one comparison and no lock.
pub(crate) struct Interner {
    symbols: Arc<Symbols>,
    entries: Vec<Entry>,
    state: FixedState,
    /// Strings met (not only first met) that are not UTF-8.
    pub(crate) invalid_utf8: u64,
}

#[derive(Clone, Default)]
struct Entry {
    hash: u64,
    text: Box<[u8]>,
    symbol: Symbol,
    lossy: bool,
}

/// Two strings of one place push each other out for ever, so there are many more places than names of a usual system.
const ENTRIES: usize = 1 << 14;

/// Longer strings are not cached: they are rare, and the cache's memory must stay bounded.
const LONGEST: usize = 1024;

impl Interner {
    pub(crate) fn new(symbols: Arc<Symbols>) -> Self {
        Self {
            symbols,
            entries: vec![Entry::default(); ENTRIES],
            state: FixedState::with_seed(0x7769_7265),
            invalid_utf8: 0,
        }
    }

    /// The symbol of `text`; bytes that are not UTF-8 are replaced by U+FFFD and counted.
    #[inline]
    pub(crate) fn intern(&mut self, kind: SymbolKind, text: &[u8]) -> Symbol {
        if text.is_empty() {
            return Symbol::NONE;
        }
        // The kind stands in the hash, and an entry is compared by hash and bytes. Two kinds share a full 64-bit hash
        // for the same bytes never, because the kind's term differs.
        let hash = self.state.hash_one(text).wrapping_add((kind as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let entry = &self.entries[hash as usize % ENTRIES];
        if entry.hash == hash && *entry.text == *text {
            self.invalid_utf8 += u64::from(entry.lossy);
            return entry.symbol;
        }
        self.miss(kind, text, hash)
    }

    #[cold]
    fn miss(&mut self, kind: SymbolKind, text: &[u8], hash: u64) -> Symbol {
        let decoded = String::from_utf8_lossy(text);
        let lossy = matches!(decoded, std::borrow::Cow::Owned(_));
        self.invalid_utf8 += u64::from(lossy);
        let symbol = self.symbols.intern(kind, &decoded);
        // `OTHER` is not kept, so that the table goes on counting how often it was full.
        if text.len() <= LONGEST && symbol != Symbol::OTHER {
            self.entries[hash as usize % ENTRIES] = Entry { hash, text: text.into(), symbol, lossy };
        }
        symbol
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_apart_and_invalid_text_is_counted_each_time() {
        let symbols = Arc::new(Symbols::new(100));
        let mut interner = Interner::new(Arc::clone(&symbols));
        interner.intern(SymbolKind::Service, b"other");
        let service = interner.intern(SymbolKind::Service, b"cart");
        let peer = interner.intern(SymbolKind::Peer, b"cart");
        assert_eq!(interner.intern(SymbolKind::Service, b"cart"), service);
        assert_eq!(interner.intern(SymbolKind::Peer, b"cart"), peer);
        assert_ne!(service, peer);
        assert_eq!(interner.intern(SymbolKind::Peer, b""), Symbol::NONE);
        assert_eq!(interner.invalid_utf8, 0);
        let bad = interner.intern(SymbolKind::Peer, b"a\xFF");
        assert_eq!(interner.intern(SymbolKind::Peer, b"a\xFF"), bad);
        assert_eq!(interner.invalid_utf8, 2);
        assert_eq!(&*symbols.resolve(SymbolKind::Peer, bad), "a\u{FFFD}");
    }

    #[test]
    fn more_strings_than_places_still_get_the_right_symbols() {
        let symbols = Arc::new(Symbols::new(100_000));
        let mut interner = Interner::new(Arc::clone(&symbols));
        for _ in 0..2 {
            for n in 0..3 * ENTRIES {
                let text = format!("op {n}");
                let symbol = interner.intern(SymbolKind::Operation, text.as_bytes());
                assert_eq!(&*symbols.resolve(SymbolKind::Operation, symbol), text);
            }
        }
    }
}
