//! The elements that a trace touches, as dense ids, and its signature.

use std::sync::Arc;

use backtrail_model::spectra::{Element, ElementKind, SignatureHash, TraceGroup};
use backtrail_model::symbols::{Symbol, SymbolKind, Symbols};
use hashbrown::HashMap;

use crate::hash::{mix, stable_hash};

/// What decides which elements a span touches. Few distinct ones occur, so one look-up a span finds them all.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Shape {
    pub(super) service: Symbol,
    pub(super) operation: Symbol,
    pub(super) function: Symbol,
    pub(super) file: Symbol,
    /// The calling service, if it is another one.
    pub(super) caller: Symbol,
    /// Whom it calls, if only the span itself says so.
    pub(super) peer: Symbol,
}

impl Shape {
    /// Its place among the shapes met lately. The operation tells most shapes apart, caller and peer the rest.
    fn place(self) -> usize {
        let far = self.caller.0 ^ self.peer.0.rotate_left(16) ^ self.function.0.rotate_left(8);
        let mixed = (u64::from(far) << 32 | u64::from(self.operation.0)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 52) as usize % LATELY
    }
}

/// Elements known to this shard. Ids are dense and live until the table is retired; they never leave a trace, so nothing
/// that is counted depends on them.
pub(super) struct Elements {
    symbols: Arc<Symbols>,
    shapes: HashMap<Shape, u32, foldhash::fast::FixedState>,
    /// Shapes met lately, each at the one place that it can have: found without a hash of all its parts.
    lately: Vec<(Shape, u32)>,
    /// Where the elements of each shape end in `members`.
    ends: Vec<u32>,
    members: Vec<u32>,
    frames: HashMap<(Symbol, Symbol), u32, foldhash::fast::FixedState>,
    ids: HashMap<Element, u32, foldhash::fast::FixedState>,
    known: Vec<(Element, u64)>,
    /// The trace that touched each shape and element last.
    shape_seen: Vec<u32>,
    seen: Vec<u32>,
    trace: u32,
    touched: Vec<u32>,
    /// Element lists by signature, so that slices share them.
    signatures: HashMap<SignatureHash, Arc<[Element]>, foldhash::fast::FixedState>,
    generation: u32,
}

/// Dense number of a shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ShapeId(pub(super) u32);

/// How many shapes and elements are kept before the tables start anew.
const MOST: usize = 200_000;
/// Places for shapes met lately.
const LATELY: usize = 1 << 12;
const NO_SHAPE: u32 = u32::MAX;

impl Elements {
    pub(super) fn new(symbols: Arc<Symbols>) -> Self {
        Self {
            symbols,
            shapes: HashMap::default(),
            lately: vec![(Shape::default(), NO_SHAPE); LATELY],
            ends: Vec::new(),
            members: Vec::new(),
            frames: HashMap::default(),
            ids: HashMap::default(),
            known: Vec::new(),
            shape_seen: Vec::new(),
            seen: Vec::new(),
            trace: 0,
            touched: Vec::new(),
            signatures: HashMap::default(),
            generation: 0,
        }
    }

    /// Forgets what the last trace touched.
    pub(super) fn begin_trace(&mut self) {
        if self.shapes.len() + self.frames.len() > MOST || self.trace == u32::MAX {
            *self = Self { generation: self.generation + 1, ..Self::new(Arc::clone(&self.symbols)) };
        }
        self.trace += 1;
        self.touched.clear();
    }

    /// Marks the elements of a span. Answers the number of its shape, which stays the same for a
    /// [`generation`](Self::generation).
    #[inline]
    pub(super) fn touch(&mut self, shape: Shape) -> ShapeId {
        let id = self.find(shape) as usize;
        if std::mem::replace(&mut self.shape_seen[id], self.trace) == self.trace {
            return ShapeId(id as u32);
        }
        let start = if id == 0 { 0 } else { self.ends[id - 1] as usize };
        for at in start..self.ends[id] as usize {
            self.mark(self.members[at]);
        }
        ShapeId(id as u32)
    }

    #[inline]
    fn find(&mut self, shape: Shape) -> u32 {
        let place = shape.place();
        let (lately, id) = self.lately[place];
        if lately == shape && id != NO_SHAPE {
            return id;
        }
        let id = match self.shapes.get(&shape) {
            Some(&id) => id,
            None => self.add_shape(shape),
        };
        self.lately[place] = (shape, id);
        id
    }

    /// How often the ids of shapes were given anew: what is remembered by id holds only within one generation.
    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    /// Marks a frame of an exception that a span of the service recorded.
    pub(super) fn touch_frame(&mut self, service: Symbol, frame: Symbol) {
        let id = if let Some(&id) = self.frames.get(&(service, frame)) {
            id
        } else {
            let id = self.add(ElementKind::Frame, service, self.symbols.resolve(SymbolKind::Frame, frame));
            self.frames.insert((service, frame), id);
            id
        };
        self.mark(id);
    }

    /// How many elements the trace touches.
    pub(super) fn touched(&self) -> usize {
        self.touched.len()
    }

    /// The trace's signature: a hash over the set of its elements as strings. The sum does not depend on their order, so
    /// no trace needs a sort.
    pub(super) fn signature(&self) -> SignatureHash {
        let sum = self.touched.iter().fold(0_u64, |sum, &id| sum.wrapping_add(self.known[id as usize].1));
        let hash = mix(sum.wrapping_add(self.touched.len() as u64));
        if hash == TraceGroup::OVERFLOW { 1 } else { hash }
    }

    /// The elements of the trace, sorted.
    pub(super) fn list(&mut self, signature: SignatureHash) -> Arc<[Element]> {
        let list = self.signatures.entry(signature).or_insert_with(|| {
            let mut elements: Vec<Element> = self.touched.iter().map(|&id| self.known[id as usize].0.clone()).collect();
            elements.sort_unstable();
            elements.into()
        });
        Arc::clone(list)
    }

    /// Bounds the memory of lists that closed slices do not need any more.
    pub(super) fn forget_signatures_past(&mut self, most: usize) {
        if self.signatures.len() > most {
            self.signatures.clear();
        }
    }

    #[inline]
    fn mark(&mut self, id: u32) {
        if std::mem::replace(&mut self.seen[id as usize], self.trace) != self.trace {
            self.touched.push(id);
        }
    }

    fn add_shape(&mut self, shape: Shape) -> u32 {
        let symbols = Arc::clone(&self.symbols);
        let name = |kind, symbol| symbols.resolve(kind, symbol);
        let service = shape.service;
        let mut parts = vec![(ElementKind::Service, service, Arc::from(""))];
        let optional = [
            (ElementKind::Route, SymbolKind::Operation, shape.operation),
            (ElementKind::Function, SymbolKind::Function, shape.function),
            (ElementKind::File, SymbolKind::File, shape.file),
            (ElementKind::Edge, SymbolKind::Peer, shape.peer),
        ];
        let stated = optional.into_iter().filter(|(.., symbol)| symbol.is_some());
        parts.extend(stated.map(|(kind, table, symbol)| (kind, service, name(table, symbol))));
        if shape.caller.is_some() {
            parts.push((ElementKind::Edge, shape.caller, name(SymbolKind::Service, service)));
        }
        for (kind, owner, name) in parts {
            let id = self.add(kind, owner, name);
            self.members.push(id);
        }
        let id = self.ends.len() as u32;
        self.ends.push(self.members.len() as u32);
        self.shape_seen.push(0);
        self.shapes.insert(shape, id);
        id
    }

    /// The id of an element by its strings: a peer and a service of one name are the same callee.
    fn add(&mut self, kind: ElementKind, service: Symbol, name: Arc<str>) -> u32 {
        let element = Element { kind, service: self.symbols.resolve(SymbolKind::Service, service), name };
        if let Some(&id) = self.ids.get(&element) {
            return id;
        }
        let hash = stable_hash(&[kind.name(), &element.service, &element.name]);
        let id = self.known.len() as u32;
        self.ids.insert(element.clone(), id);
        self.known.push((element, hash));
        self.seen.push(0);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_shapes_than_places_still_have_one_number_each() {
        let mut elements = Elements::new(Arc::new(Symbols::new(10)));
        elements.begin_trace();
        let shape = |n: usize| Shape { operation: Symbol(n as u32), ..Shape::default() };
        for _ in 0..2 {
            for n in 0..3 * LATELY {
                assert_eq!(elements.touch(shape(n)), ShapeId(n as u32));
            }
        }
    }
}
