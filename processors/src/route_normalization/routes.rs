//! The routes of each service: shared by all copies, so that the cap holds for the service and not for a thread.

use std::sync::Arc;

use backtrail_model::symbols::{Symbol, SymbolKind, Symbols};
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use parking_lot::Mutex;

type Known = HashMap<Symbol, HashSet<Box<str>, RandomState>, RandomState>;

/// The routes that were admitted. Asked once for each route and copy; the answer is cached there.
#[derive(Clone, Debug, Default)]
pub(super) struct Routes(Arc<Mutex<Known>>);

impl Routes {
    /// The operation of this name, [`Symbol::OTHER`] once the service has `max` others.
    pub(super) fn admit(&self, service: Symbol, name: &str, max: usize, symbols: &Symbols) -> Symbol {
        let mut known = self.0.lock();
        let routes = known.entry(service).or_default();
        if !routes.contains(name) {
            if routes.len() >= max {
                return Symbol::OTHER;
            }
            routes.insert(name.into());
        }
        symbols.intern(SymbolKind::Operation, name)
    }
}
