//! Interned strings: services, operations, functions and the like as dense `u32` ids, capped by kind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use parking_lot::RwLock;

/// An interned string of one [`SymbolKind`]. Ids differ between runs, so they are resolved before anything is stored
/// or compared across processes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Symbol(pub u32);

impl Symbol {
    /// "Absent": the empty string.
    pub const NONE: Self = Self(0);
    /// What a full table answers: "(other)".
    pub const OTHER: Self = Self(1);

    /// Whether a value is present.
    pub fn is_some(self) -> bool {
        self != Self::NONE
    }
}

/// What a string names. Each kind has a table and a cap of its own, so that a flood of routes cannot push out services.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(usize)]
pub enum SymbolKind {
    /// `service.name`.
    Service,
    /// Span name or normalized route.
    Operation,
    /// The peer that a span names (virtual nodes).
    Peer,
    /// `code.function.name`.
    Function,
    /// `code.file.path`.
    File,
    /// A frame of an exception's stack trace.
    Frame,
    /// Pod or instance.
    Instance,
    /// The statement that wrote a log record.
    Template,
}

impl SymbolKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Service,
        Self::Operation,
        Self::Peer,
        Self::Function,
        Self::File,
        Self::Frame,
        Self::Instance,
        Self::Template,
    ];

    /// The name used in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Operation => "operation",
            Self::Peer => "peer",
            Self::Function => "function",
            Self::File => "file",
            Self::Frame => "frame",
            Self::Instance => "instance",
            Self::Template => "template",
        }
    }
}

struct Table {
    ids: DashMap<Arc<str>, Symbol, foldhash::fast::FixedState>,
    names: RwLock<Vec<Arc<str>>>,
    count: AtomicUsize,
    cap: usize,
    overflowed: AtomicU64,
}

/// The symbol tables of one process. Shared by all threads; look-ups in the hot path go through a cache of the walk.
pub struct Symbols {
    tables: [Table; SymbolKind::ALL.len()],
}

impl Symbols {
    /// Tables that hold at most `cap` strings of each kind; what comes later is [`Symbol::OTHER`] and counted.
    pub fn new(cap: usize) -> Self {
        Self { tables: SymbolKind::ALL.map(|_| Table::new(cap)) }
    }

    /// The id of `text`, interning it if there is room. The empty string is [`Symbol::NONE`].
    pub fn intern(&self, kind: SymbolKind, text: &str) -> Symbol {
        if text.is_empty() {
            return Symbol::NONE;
        }
        self.tables[kind as usize].intern(text)
    }

    /// The string of an id; "" for `NONE`, "(other)" for `OTHER` and for ids that were never given.
    pub fn resolve(&self, kind: SymbolKind, symbol: Symbol) -> Arc<str> {
        let names = self.tables[kind as usize].names.read();
        Arc::clone(names.get(symbol.0 as usize).unwrap_or(&names[Symbol::OTHER.0 as usize]))
    }

    /// How many strings of this kind are interned, without the two fixed ones.
    pub fn len(&self, kind: SymbolKind) -> usize {
        self.tables[kind as usize].count.load(Ordering::Relaxed)
    }

    /// Whether nothing of this kind is interned.
    pub fn is_empty(&self, kind: SymbolKind) -> bool {
        self.len(kind) == 0
    }

    /// How many look-ups met a full table.
    pub fn overflowed(&self, kind: SymbolKind) -> u64 {
        self.tables[kind as usize].overflowed.load(Ordering::Relaxed)
    }
}

impl Table {
    fn new(cap: usize) -> Self {
        Self {
            ids: DashMap::with_hasher(foldhash::fast::FixedState::with_seed(0x6261_636b)),
            names: RwLock::new(vec![Arc::from(""), Arc::from("(other)")]),
            count: AtomicUsize::new(0),
            cap,
            overflowed: AtomicU64::new(0),
        }
    }

    fn intern(&self, text: &str) -> Symbol {
        if let Some(found) = self.ids.get(text) {
            return *found;
        }
        let mut names = self.names.write();
        if let Some(found) = self.ids.get(text) {
            return *found;
        }
        if names.len() - 2 >= self.cap {
            self.overflowed.fetch_add(1, Ordering::Relaxed);
            return Symbol::OTHER;
        }
        let (name, symbol) = (Arc::<str>::from(text), Symbol(names.len() as u32));
        names.push(Arc::clone(&name));
        self.ids.insert(name, symbol);
        self.count.fetch_add(1, Ordering::Relaxed);
        symbol
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_has_one_id_and_a_full_table_says_other() {
        let symbols = Symbols::new(2);
        let a = symbols.intern(SymbolKind::Service, "a");
        assert_eq!(symbols.intern(SymbolKind::Service, "a"), a);
        assert_eq!(&*symbols.resolve(SymbolKind::Service, a), "a");
        symbols.intern(SymbolKind::Service, "b");
        assert_eq!(symbols.intern(SymbolKind::Service, "c"), Symbol::OTHER);
        assert_eq!(symbols.overflowed(SymbolKind::Service), 1);
        assert_eq!(&*symbols.resolve(SymbolKind::Service, Symbol::OTHER), "(other)");
        assert_eq!(symbols.intern(SymbolKind::Operation, ""), Symbol::NONE);
    }
}
