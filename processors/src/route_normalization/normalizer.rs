//! One copy of `route_normalization`.

use std::any::Any;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use backtrail_model::data::{Batch, Data};
use backtrail_model::span::{Slot, SlotValue, SpanBatch, SpanFlags, SpanKind, SpanRecord};
use backtrail_model::symbols::{Symbol, SymbolKind};
use backtrail_pipeline::{Context, Emit, NodeError, Processor, Reconfigured};
use backtrail_wire::attributes::{SpanView, ValueRef};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::config::Config;
use super::database::Asked;
use super::names::{self, Name, path_of_url, rpc_call};
use super::path::{Pattern, is_template, normalize};
use super::routes::Routes;

/// A cache that reaches this many entries starts anew.
const CACHED: usize = 1 << 16;
/// No route is longer; what is behind that is cut off.
const MAX_PATH: usize = 512;

/// One copy.
pub(super) struct Normalizer {
    cx: Context,
    slots: Slots,
    templates: Vec<Known>,
    max_routes: usize,
    routes: Routes,
    hasher: RandomState,
    /// By service, name and hashes of `http.route` and method.
    by_route: HashMap<(Symbol, Symbol, u64, u64), Symbol, RandomState>,
    /// By service and name.
    by_name: HashMap<(Symbol, Symbol), Found, RandomState>,
    /// By service and hash of what is asked of a database.
    by_asked: HashMap<(Symbol, u64), Option<Symbol>, RandomState>,
    /// By service and hash of the finished route.
    finished: HashMap<(Symbol, u64), Symbol, RandomState>,
    route: String,
    changes: Vec<(u32, Symbol)>,
}

/// The attributes that are read.
struct Slots {
    route: Slot,
    methods: [Slot; 2],
    /// A path, or a path with a query.
    paths: [Slot; 2],
    urls: [Slot; 2],
}

/// A template of the configuration.
struct Known {
    service: Option<Symbol>,
    pattern: Pattern,
    path: String,
}

/// What a name alone says.
#[derive(Clone, Copy)]
enum Found {
    /// It is no URL.
    Nothing,
    /// It is no more than a method ("" if not even that), and the path has to come from the attributes.
    Silent(&'static str),
    /// It is a word that all spans of a database share. Some are methods too.
    Query(&'static str),
    /// It has a path.
    Route(Symbol),
}

impl Normalizer {
    pub(super) fn new(config: &Config, cx: &Context) -> Self {
        let slots = Slots {
            route: cx.attribute_of_spans("http.route"),
            methods: [cx.attribute_of_spans("http.request.method"), cx.attribute_of_spans("http.method")],
            paths: [cx.attribute_of_spans("url.path"), cx.attribute_of_spans("http.target")],
            urls: [cx.attribute_of_spans("url.full"), cx.attribute_of_spans("http.url")],
        };
        Self {
            cx: cx.clone(),
            slots,
            templates: known(config, cx),
            max_routes: config.max_routes,
            routes: config.routes.clone(),
            hasher: RandomState::default(),
            by_route: HashMap::default(),
            by_name: HashMap::default(),
            by_asked: HashMap::default(),
            finished: HashMap::default(),
            route: String::new(),
            changes: Vec::new(),
        }
    }

    /// The route of a span, `None` if its name stays.
    fn route_of(&mut self, batch: &SpanBatch, index: usize) -> Option<Symbol> {
        let record = &batch.records[index];
        let span = Attributes { batch, index };
        // Old clients state no kind.
        let http = matches!(record.kind, SpanKind::Server | SpanKind::Client | SpanKind::Unspecified);
        if http && batch.slot_count > 0 {
            if let Some(route) = span.text(self.slots.route).filter(|route| !route.is_empty()) {
                return Some(self.stated(record, route, span.method(&self.slots)));
            }
            if record.kind != SpanKind::Unspecified
                && !self.templates.is_empty()
                && let Some(path) = span.path(&self.slots)
                && let Some(route) = self.by_template(record, path, span.method(&self.slots).unwrap_or_default())
            {
                return Some(route);
            }
        }
        match self.named(record) {
            Found::Nothing => None,
            Found::Route(route) => Some(route),
            // Of any kind: a name that says nothing is no better for it, and what calls and what serves are told apart by
            // their services.
            Found::Silent(method) => self.by_url(record, &span, method).or_else(|| self.by_rpc(record, &span)),
            Found::Query("") => self.by_query(record, &span),
            Found::Query(method) => self.by_url(record, &span, method).or_else(|| self.by_query(record, &span)),
        }
    }

    /// The route of a span whose attributes have to say it all. `of_name` is the method that the name states, if any.
    fn by_url(&mut self, record: &SpanRecord, span: &Attributes<'_>, of_name: &str) -> Option<Symbol> {
        let path = span.path(&self.slots)?;
        let stated = span.method(&self.slots).unwrap_or(of_name);
        let method = if stated.is_empty() { "HTTP" } else { stated };
        if let Some(route) = self.by_template(record, path, method) {
            return Some(route);
        }
        // gRPC posts everything.
        if let Some(call) = rpc_call(path).filter(|_| matches!(method, "POST" | "HTTP")) {
            write_route(&mut self.route, "", |route| route.push_str(cut(call)));
        } else {
            write_route(&mut self.route, method, |route| {
                normalize(cut(path), route);
            });
        }
        Some(self.finish(record.service))
    }

    fn by_template(&mut self, record: &SpanRecord, path: &str, method: &str) -> Option<Symbol> {
        let template = fitting(&self.templates, record.service, path)?;
        write_route(&mut self.route, method, |route| route.push_str(template));
        Some(self.finish(record.service))
    }

    /// `package.Service/Method` of a span whose attributes name a call.
    fn by_rpc(&mut self, record: &SpanRecord, span: &Attributes<'_>) -> Option<Symbol> {
        let (mut service, mut method) = (None, None);
        for (key, value) in span.all() {
            let field = match &*key {
                "rpc.service" => &mut service,
                "rpc.method" => &mut method,
                _ => continue,
            };
            if let ValueRef::Str(text) = value {
                *field = Some(text);
            }
        }
        let method = method.filter(|method| !method.is_empty())?;
        // Since semantic conventions 1.39 the method states its service.
        let service = service.filter(|service| !service.is_empty() && !method.contains('/'));
        write_route(&mut self.route, "", |route| {
            if let Some(service) = service {
                route.push_str(cut(&service));
                route.push('/');
            }
            route.push_str(cut(&method));
        });
        Some(self.finish(record.service))
    }

    /// What a span asks of a database. Its attributes are read where they lie, not as columns: most spans are none of a
    /// database, and each column would cost them all.
    fn by_query(&mut self, record: &SpanRecord, span: &Attributes<'_>) -> Option<Symbol> {
        let asked = Asked::read(span.all());
        // The walk through a statement costs more than its hash, and the same few come again and again.
        let key = (record.service, self.hash(&asked));
        if let Some(&known) = self.by_asked.get(&key) {
            return known;
        }
        self.route.clear();
        let found = asked.write(&mut self.route).then(|| self.finish(record.service));
        remember(&mut self.by_asked, key, found);
        found
    }

    /// The route that `http.route` states.
    fn stated(&mut self, record: &SpanRecord, route: &[u8], method: Option<&str>) -> Symbol {
        let key = (record.service, record.operation, self.hash(route), self.hash(method));
        if let Some(&known) = self.by_route.get(&key) {
            return known;
        }
        let route = String::from_utf8_lossy(route);
        let name = self.cx.symbols().resolve(SymbolKind::Operation, record.operation);
        let of_name = match Name::of(&name) {
            Name::Method(method) | Name::Host(method) | Name::Path { method, .. } => method,
            Name::Query => names::method(&name).unwrap_or_default(),
            Name::Other => "",
        };
        write_route(&mut self.route, method.unwrap_or(of_name), |to| to.push_str(cut(&route)));
        let found = self.finish(record.service);
        remember(&mut self.by_route, key, found);
        found
    }

    /// What the span's name says.
    fn named(&mut self, record: &SpanRecord) -> Found {
        let key = (record.service, record.operation);
        if let Some(&known) = self.by_name.get(&key) {
            return known;
        }
        let name = self.cx.symbols().resolve(SymbolKind::Operation, record.operation);
        let found = match Name::of(&name) {
            Name::Other => Found::Nothing,
            Name::Method(method) | Name::Host(method) => Found::Silent(method),
            Name::Query => Found::Query(names::method(&name).unwrap_or_default()),
            Name::Path { method, path } => {
                let template = fitting(&self.templates, record.service, path);
                write_route(&mut self.route, method, |route| match template {
                    Some(template) => route.push_str(template),
                    None if is_template(path) => route.push_str(cut(path)),
                    None => {
                        normalize(cut(path), route);
                    }
                });
                Found::Route(self.finish(record.service))
            }
        };
        remember(&mut self.by_name, key, found);
        found
    }

    /// The symbol of the route that was just written, if the service may have one more.
    fn finish(&mut self, service: Symbol) -> Symbol {
        let key = (service, self.hash(self.route.as_str()));
        if let Some(&known) = self.finished.get(&key) {
            return known;
        }
        let symbol = self.routes.admit(service, &self.route, self.max_routes, self.cx.symbols());
        remember(&mut self.finished, key, symbol);
        symbol
    }

    fn hash(&self, value: impl Hash) -> u64 {
        self.hasher.hash_one(value)
    }
}

impl Processor for Normalizer {
    fn process(&mut self, mut batch: Batch, out: &mut Emit<'_>) -> Result<(), NodeError> {
        if let Data::Spans(spans, selected) = &mut batch.data {
            self.changes.clear();
            let mut overflow = 0;
            let mut look = |index: u32| {
                if let Some(route) = self.route_of(spans, index as usize) {
                    overflow += u64::from(route == Symbol::OTHER);
                    self.changes.push((index, route));
                }
            };
            match selected {
                Some(selected) => selected.iter().for_each(|&index| look(index)),
                None => (0..spans.records.len() as u32).for_each(look),
            }
            out.note("route_overflow", overflow);
            if !self.changes.is_empty() {
                // Copies the records (never the bytes) if somebody else holds the batch too.
                let spans = Arc::make_mut(spans);
                for &(index, route) in &self.changes {
                    let record = &mut spans.records[index as usize];
                    record.operation = route;
                    record.flags.set(SpanFlags::ROUTE);
                }
            }
        }
        out.pass(batch);
        Ok(())
    }

    fn reconfigure(&mut self, new: &dyn Any) -> Reconfigured {
        let Some(new) = new.downcast_ref::<Config>() else { return Reconfigured::Rebuild };
        *self = Self::new(new, &self.cx);
        Reconfigured::Live
    }
}

fn known(config: &Config, cx: &Context) -> Vec<Known> {
    let template = |template: &super::config::Template| Known {
        service: template.service().map(|service| cx.symbols().intern(SymbolKind::Service, service)),
        pattern: Pattern::new(template.path()),
        path: template.path().to_owned(),
    };
    config.templates.iter().map(template).collect()
}

/// The first template that fits the path.
fn fitting<'a>(templates: &'a [Known], service: Symbol, path: &str) -> Option<&'a str> {
    let fits = |known: &&Known| known.service.is_none_or(|of| of == service) && known.pattern.fits(path);
    templates.iter().find(fits).map(|known| known.path.as_str())
}

fn write_route(to: &mut String, method: &str, path: impl FnOnce(&mut String)) {
    to.clear();
    if !method.is_empty() {
        // What `_OTHER` stands for is written "HTTP" in span names.
        to.push_str(if method == "_OTHER" { "HTTP" } else { method });
        to.push(' ');
    }
    path(to);
}

fn cut(path: &str) -> &str {
    &path[..path.floor_char_boundary(MAX_PATH)]
}

fn remember<K: Hash + Eq, V>(cache: &mut HashMap<K, V, RandomState>, key: K, value: V) {
    if cache.len() >= CACHED {
        cache.clear();
    }
    cache.insert(key, value);
}

/// The attributes of one span.
struct Attributes<'a> {
    batch: &'a SpanBatch,
    index: usize,
}

impl<'a> Attributes<'a> {
    /// All of them, read where they lie.
    fn all(&self) -> backtrail_wire::attributes::Attributes<'a> {
        SpanView::of_record(self.batch.raw(&self.batch.records[self.index])).attributes()
    }

    fn text(&self, slot: Slot) -> Option<&'a [u8]> {
        let Some(SlotValue::Str { offset, len }) = self.batch.slots_of(self.index).get(usize::from(slot.0)) else {
            return None;
        };
        let raw = self.batch.raw(&self.batch.records[self.index]);
        raw.get(*offset as usize..(*offset + *len) as usize)
    }

    fn string(&self, slot: Slot) -> Option<&'a str> {
        std::str::from_utf8(self.text(slot)?).ok()
    }

    fn method(&self, slots: &Slots) -> Option<&'a str> {
        slots.methods.iter().find_map(|&slot| self.string(slot))
    }

    /// The path that the attributes state.
    fn path(&self, slots: &Slots) -> Option<&'a str> {
        let stated = slots.paths.iter().find_map(|&slot| self.string(slot)).filter(|path| !path.is_empty());
        stated.or_else(|| slots.urls.iter().find_map(|&slot| self.string(slot))).map(path_of_url)
    }
}
