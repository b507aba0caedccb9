//! Scopes of one Python module: what binds, what loads, and what is left over.

use std::collections::HashSet;

use super::UndefinedName;
use super::builtins::is_builtin;

/// How a scope takes part in a look-up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Module,
    Function,
    /// Seen from directly inside only, never from the functions in it.
    Class,
    /// Comprehensions and type parameters: they see a class that they stand directly in.
    Thin,
}

struct Scope<'t> {
    kind: Kind,
    parent: Option<usize>,
    bound: HashSet<&'t str>,
}

/// A use of a name.
struct Load<'t> {
    scope: usize,
    name: &'t str,
    line: u32,
}

/// All scopes of a module.
pub(super) struct Scopes<'t> {
    scopes: Vec<Scope<'t>>,
    loads: Vec<Load<'t>>,
}

pub(super) const MODULE: usize = 0;

impl<'t> Scopes<'t> {
    pub(super) fn new() -> Self {
        Self { scopes: vec![Scope { kind: Kind::Module, parent: None, bound: HashSet::new() }], loads: Vec::new() }
    }

    pub(super) fn open(&mut self, kind: Kind, parent: usize) -> usize {
        self.scopes.push(Scope { kind, parent: Some(parent), bound: HashSet::new() });
        self.scopes.len() - 1
    }

    pub(super) fn bind(&mut self, scope: usize, name: &'t str) {
        self.scopes[scope].bound.insert(name);
    }

    /// `:=` in a comprehension binds in the scope around it.
    pub(super) fn bind_outside_comprehensions(&mut self, mut scope: usize, name: &'t str) {
        while self.scopes[scope].kind == Kind::Thin {
            self.bind(scope, name);
            scope = self.scopes[scope].parent.unwrap_or(MODULE);
        }
        self.bind(scope, name);
    }

    pub(super) fn load(&mut self, scope: usize, name: &'t str, line: u32) {
        self.loads.push(Load { scope, name, line });
    }

    fn is_bound(&self, load: &Load<'_>) -> bool {
        let mut direct = true;
        let mut at = Some(load.scope);
        while let Some(scope) = at.and_then(|at| self.scopes.get(at)) {
            if (direct || scope.kind != Kind::Class) && scope.bound.contains(load.name) {
                return true;
            }
            direct &= scope.kind == Kind::Thin;
            at = scope.parent;
        }
        is_builtin(load.name)
    }

    /// The names no scope binds, each once.
    pub(super) fn undefined(&self) -> Vec<UndefinedName> {
        let mut seen = HashSet::new();
        let left = self.loads.iter().filter(|load| !self.is_bound(load)).filter(|load| seen.insert(load.name));
        left.map(|load| UndefinedName { name: load.name.to_owned(), line: load.line }).collect()
    }
}
