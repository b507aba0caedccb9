//! Calls resolved by name. Types are not known, so every answer says how sure it is.

use std::collections::{HashMap, HashSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::{FunctionId, Index};
use crate::function::{Call, Function};
use crate::language::Language;

/// How sure it is that a call reaches a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// Another function of this name may be meant.
    Ambiguous,
    /// The only function of this name in the index; a library may have one too.
    Unique,
    /// Named together with its type, or the only one of its name in the caller's file.
    Sure,
}

/// A function that reaches another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The calling function.
    pub function: FunctionId,
    /// The line of its call, counted from 1.
    pub line: u32,
    /// Calls on the shortest way; 1 is a direct caller.
    pub distance: u32,
    /// The weakest call on that way.
    pub certainty: Certainty,
}

/// One resolved call.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    pub(crate) caller: FunctionId,
    pub(crate) callee: FunctionId,
    pub(crate) line: u32,
    pub(crate) certainty: Certainty,
    /// How many functions the call may mean.
    pub(crate) meanings: usize,
}

/// A call that may mean more functions than this is listed but not followed: what `.get(..)` reaches is everything. An
/// interface with two implementations is three, and is followed.
const MAX_FOLLOWED: usize = 3;
/// A name with more meanings than this says nothing.
const MAX_MEANINGS: usize = 12;

impl Index {
    /// Fills the tables that need every file to be there.
    pub(super) fn connect(&mut self) {
        let mut by_name: HashMap<String, Vec<FunctionId>> = HashMap::new();
        for id in self.functions() {
            let Some(function) = self.function(id) else { continue };
            by_name.entry(function.name.clone()).or_default().push(id);
            // A call of a class runs its constructor.
            if let ("__init__" | "constructor", Some(holder)) = (function.name.as_str(), &function.holder) {
                by_name.entry(holder.clone()).or_default().push(id);
            }
        }
        self.by_name = by_name;
        let mut edges = Vec::new();
        for (file, indexed) in self.files.iter().enumerate() {
            let id = |function: usize| FunctionId { file: file as u32, function: function as u32 };
            for call in &indexed.calls {
                let Some(caller) = call.caller.map(id) else { continue };
                let meant = self.meant(caller, call);
                let (line, meanings) = (call.line, meant.len());
                let edge = |(callee, certainty)| Edge { caller, callee, line, certainty, meanings };
                edges.extend(meant.into_iter().map(edge));
            }
            // What an inner function does, the outer one does.
            for (inner, function) in indexed.functions.iter().enumerate() {
                if let Some(outer) = function.inside {
                    let (caller, callee) = (id(outer), id(inner));
                    let line = function.name_line;
                    edges.push(Edge { caller, callee, line, certainty: Certainty::Sure, meanings: 1 });
                }
            }
        }
        for (place, edge) in edges.iter().enumerate() {
            self.incoming.entry(edge.callee).or_default().push(place);
            self.outgoing.entry(edge.caller).or_default().push(place);
        }
        self.edges = edges;
    }

    /// The functions a call may mean.
    fn meant(&self, caller: FunctionId, call: &Call) -> Vec<(FunctionId, Certainty)> {
        let Some(candidates) = self.by_name.get(&call.name) else { return Vec::new() };
        let language = self.files[caller.file as usize].language;
        let same_family = |id: &&FunctionId| family(self.files[id.file as usize].language) == family(language);
        let candidates: Vec<FunctionId> = candidates.iter().filter(same_family).copied().collect();
        let receiver = receiver(&call.callee, &call.name);
        let holder_of = |id: &FunctionId| self.function(*id).and_then(|f| f.holder.as_deref());
        let own = self.function(caller).and_then(|function| self.holder_around(caller, function));
        let wanted = match receiver.as_deref() {
            Some("self" | "this" | "cls" | "Self" | "super") => own.as_deref(),
            other => other,
        };
        // Named with its type: `Ledger::book`, `Bank.charge`, `self.charge`.
        if let Some(wanted) = wanted {
            let typed: Vec<_> = candidates.iter().copied().filter(|id| holder_of(id) == Some(wanted)).collect();
            if !typed.is_empty() {
                return rate(&prefer_file(&typed, caller.file), Certainty::Sure);
            }
        } else if receiver.is_none() {
            // A bare name: the caller's own file first, as every one of the languages does.
            let bare: Vec<_> =
                candidates.iter().copied().filter(|id| self.callable_bare(*id, &call.name, language)).collect();
            let here: Vec<_> = bare.iter().copied().filter(|id| id.file == caller.file).collect();
            if !here.is_empty() {
                return rate(&here, Certainty::Sure);
            }
            return rate(&bare, Certainty::Unique);
        }
        self.of_receiver(&candidates, receiver.as_deref().unwrap_or_default(), call, language)
    }

    /// The functions a call on something of unknown type may mean: those of a module of that name, or else any method,
    /// or else the only function of the name, for a module under another name.
    fn of_receiver(
        &self,
        candidates: &[FunctionId],
        receiver: &str,
        call: &Call,
        language: Language,
    ) -> Vec<(FunctionId, Certainty)> {
        let is_method = |id: &FunctionId| self.function(*id).is_some_and(|function| function.holder.is_some());
        let of_module: Vec<_> =
            candidates.iter().copied().filter(|id| !is_method(id) && self.is_of_module(*id, receiver)).collect();
        if !of_module.is_empty() {
            return rate(&of_module, Certainty::Sure);
        }
        let methods: Vec<_> = candidates.iter().copied().filter(is_method).collect();
        // In Rust a dot before the name is always a method's.
        let only_methods = language == Language::Rust && call.callee.ends_with(&format!(".{}", call.name));
        match (methods.as_slice(), candidates) {
            ([], [_]) if !only_methods => rate(candidates, Certainty::Unique),
            _ => rate(&methods, Certainty::Unique),
        }
    }

    /// Whether a function stands in a file, folder, package or inline module of this name.
    fn is_of_module(&self, id: FunctionId, module: &str) -> bool {
        let path = self.path_of(id);
        let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
        let namespace = self.function(id).and_then(|function| function.namespace.as_deref()).unwrap_or_default();
        let last = |text: &str| text.rsplit(['.', ':']).next() == Some(module);
        stem.rsplit('/').take(2).any(|part| part == module) || last(namespace)
    }

    /// Whether a bare `name(..)` can mean this function: methods need an object, except where `this` is implied.
    fn callable_bare(&self, id: FunctionId, name: &str, language: Language) -> bool {
        let implied = matches!(language, Language::Java | Language::CSharp);
        self.function(id).is_some_and(|function| implied || function.holder.is_none() || function.name != name)
    }

    /// The type whose `self` a function sees, through the functions it is written inside.
    fn holder_around(&self, id: FunctionId, function: &Function) -> Option<String> {
        let mut at = Some(function);
        while let Some(function) = at {
            if let Some(holder) = &function.holder {
                return Some(holder.clone());
            }
            let functions = &self.files[id.file as usize].functions;
            at = function.inside.and_then(|outer| functions.get(outer));
        }
        None
    }

    /// The functions that call this one directly.
    pub fn direct_callers(&self, function: FunctionId) -> Vec<Caller> {
        let mut found = self.callers(function);
        found.retain(|caller| caller.distance == 1);
        found
    }

    /// Every function from which this one is reached, nearest first; the function itself is not among them. Calls that
    /// may mean more than three functions are listed and not followed further.
    pub fn callers(&self, function: FunctionId) -> Vec<Caller> {
        self.reaching(&[function])
    }

    pub(super) fn reaching(&self, targets: &[FunctionId]) -> Vec<Caller> {
        let mut found: Vec<Caller> = Vec::new();
        let mut seen: HashSet<FunctionId> = targets.iter().copied().collect();
        let mut queue: VecDeque<(FunctionId, u32, Certainty)> =
            targets.iter().map(|target| (*target, 0, Certainty::Sure)).collect();
        while let Some((callee, distance, certainty)) = queue.pop_front() {
            let mut edges: Vec<_> =
                self.incoming.get(&callee).into_iter().flatten().filter_map(|place| self.edges.get(*place)).collect();
            // Of two calls of one caller the surer one counts.
            edges.sort_by_key(|edge| (std::cmp::Reverse(edge.certainty), edge.caller, edge.line));
            for edge in edges {
                if seen.insert(edge.caller) {
                    let certainty = certainty.min(edge.certainty);
                    found.push(Caller { function: edge.caller, line: edge.line, distance: distance + 1, certainty });
                    if edge.meanings <= MAX_FOLLOWED {
                        queue.push_back((edge.caller, distance + 1, certainty));
                    }
                }
            }
        }
        found
    }

    /// The functions that this one calls, with the line of the first call.
    pub fn callees(&self, function: FunctionId) -> Vec<Caller> {
        let mut seen = HashSet::new();
        let places = self.outgoing.get(&function).into_iter().flatten();
        let own = places.filter_map(|place| self.edges.get(*place)).filter(|edge| edge.callee != function);
        own.filter(|edge| seen.insert(edge.callee))
            .map(|edge| Caller { function: edge.callee, line: edge.line, distance: 1, certainty: edge.certainty })
            .collect()
    }
}

fn rate(candidates: &[FunctionId], alone: Certainty) -> Vec<(FunctionId, Certainty)> {
    if candidates.len() > MAX_MEANINGS {
        return Vec::new();
    }
    let certainty = if candidates.len() == 1 { alone } else { Certainty::Ambiguous };
    candidates.iter().map(|id| (*id, certainty)).collect()
}

fn prefer_file(candidates: &[FunctionId], file: u32) -> Vec<FunctionId> {
    let here: Vec<_> = candidates.iter().copied().filter(|id| id.file == file).collect();
    if here.is_empty() { candidates.to_vec() } else { here }
}

/// The last name before the called one: `bank` of `self.bank.charge`.
fn receiver(callee: &str, name: &str) -> Option<String> {
    let at = callee.rfind(name)?;
    let before = callee[..at].trim_end_matches(['.', ':', '?', '!', '>', '-']);
    if before.is_empty() {
        return None;
    }
    let base = before.split('<').next().unwrap_or(before).trim_end_matches(':');
    let last = base.rsplit(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).next().unwrap_or_default();
    Some(last.to_owned())
}

/// Scripts of all kinds call each other.
fn family(language: Language) -> Language {
    if language.is_script() { Language::JavaScript } else { language }
}
