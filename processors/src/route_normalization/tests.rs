//! Which name a span gets, and what bounds the names.

use std::collections::VecDeque;
use std::sync::Arc;

use backtrail_model::Ack;
use backtrail_model::data::{Batch, Data};
use backtrail_model::span::{SpanFlags, SpanKind};
use backtrail_model::symbols::SymbolKind;
use backtrail_model::time::UnixNano;
use backtrail_pipeline::{Component, Context, Emit, Processor};
use serde_json::json;

use super::Config;
use super::normalizer::Normalizer;
use crate::encoded::{Encoded, batch, text};
use crate::testing::documented;

struct Bench {
    cx: Context,
    node: Normalizer,
}

impl Bench {
    fn new(config: &Config) -> Self {
        let cx = Context::for_test("route_normalization");
        Self { node: Normalizer::new(config, &cx), cx }
    }

    fn with(settings: serde_json::Value) -> Self {
        Self::new(&serde_json::from_value(settings).expect("parses"))
    }

    /// The operation of each span, with "!" behind those that are flagged as routes.
    fn names(&mut self, spans: &[Encoded]) -> Vec<String> {
        let (mut queue, mut hold, stats) = (VecDeque::new(), UnixNano::MAX, Arc::clone(self.cx.stats()));
        let data = Data::Spans(Arc::new(batch(&self.cx, spans)), None);
        let mut out = Emit::new(&mut queue, &stats, UnixNano(0), &mut hold);
        self.node.process(Batch { data, arrival: UnixNano(0), ack: Ack::none() }, &mut out).expect("processes");
        let Some(Data::Spans(spans, None)) = queue.pop_front().map(|batch| batch.data) else {
            panic!("it sends spans")
        };
        let name = |record: &backtrail_model::span::SpanRecord| {
            let name = self.cx.symbols().resolve(SymbolKind::Operation, record.operation);
            format!("{name}{}", if record.flags.has(SpanFlags::ROUTE) { "!" } else { "" })
        };
        spans.records.iter().map(name).collect()
    }

    fn name(&mut self, span: Encoded) -> String {
        self.names(&[span]).remove(0)
    }
}

fn span(name: &str, attributes: &[(&'static str, &str)]) -> Encoded {
    let attributes = attributes.iter().map(|&(key, value)| (key, text(value))).collect();
    Encoded { name: name.into(), attributes, ..Encoded::default() }
}

#[test]
fn the_example_in_the_docs_parses() {
    let config: Config = documented(include_str!("mod.rs"));
    assert_eq!(config.templates[1].service(), Some("storefront"));
    assert_eq!(Config::default().check(), []);
}

#[test]
fn http_route_comes_first() {
    let mut bench = Bench::new(&Config::default());
    let route = ("http.route", "/users/{id}");
    assert_eq!(bench.name(span("GET /users/{id}", &[route, ("http.request.method", "GET")])), "GET /users/{id}!");
    assert_eq!(bench.name(span("UsersController#show", &[route, ("http.method", "PUT")])), "PUT /users/{id}!");
    assert_eq!(bench.name(span("GET", &[route, ("url.path", "/users/7")])), "GET /users/{id}!");
    assert_eq!(bench.name(span("show", &[route])), "/users/{id}!");
    assert_eq!(bench.name(span("HTTP", &[route, ("http.request.method", "_OTHER")])), "HTTP /users/{id}!");
}

#[test]
fn templates_come_before_patterns() {
    let mut bench = Bench::with(json!({ "templates": [
        { "path": "/users/{id}/{tab}", "service": "other" }, "/users/{name}", "/shop/{category}" ] }));
    assert_eq!(
        bench.name(span("GET", &[("http.request.method", "GET"), ("url.path", "/users/ada")])),
        "GET /users/{name}!"
    );
    assert_eq!(bench.name(span("GET /shop/shoes?page=2", &[])), "GET /shop/{category}!");
    assert_eq!(bench.name(span("GET /users/ada/cart", &[])), "GET /users/ada/cart!");
    let other = Encoded { service: "other".into(), ..span("GET /users/ada/cart", &[]) };
    assert_eq!(bench.name(other), "GET /users/{id}/{tab}!");
}

#[test]
fn ids_in_the_path_of_a_name_are_replaced() {
    let mut bench = Bench::new(&Config::default());
    assert_eq!(bench.name(span("GET /users/17", &[])), "GET /users/{id}!");
    assert_eq!(bench.name(span("/users/17?full=1", &[])), "/users/{id}!");
    assert_eq!(bench.name(span("HTTP GET https://shop/users/17", &[])), "GET /users/{id}!");
    assert_eq!(bench.name(span("GET /users/:id", &[("url.path", "/users/17")])), "GET /users/:id!");
    let inner = Encoded { kind: SpanKind::Internal, ..span("/users/17", &[]) };
    assert_eq!(bench.name(inner), "/users/{id}!");
}

#[test]
fn a_span_named_by_its_method_is_named_by_the_path_of_its_attributes() {
    let mut bench = Bench::new(&Config::default());
    let method = ("http.request.method", "GET");
    for attribute in [
        ("url.path", "/users/17"),
        ("http.target", "/users/17?full=1"),
        ("url.full", "https://shop:8443/users/17?full=1"),
        ("http.url", "http://shop/users/17"),
    ] {
        assert_eq!(bench.name(span("GET", &[method, attribute])), "GET /users/{id}!");
    }
    assert_eq!(bench.name(span("GET", &[method])), "GET");
}

#[test]
fn attributes_count_on_server_and_client_spans_only() {
    let mut bench = Bench::new(&Config::default());
    let inner = Encoded { kind: SpanKind::Internal, ..span("GET", &[("http.route", "/a"), ("url.path", "/b")]) };
    assert_eq!(bench.name(inner), "GET");
    let client =
        Encoded { kind: SpanKind::Client, ..span("POST", &[("http.method", "POST"), ("http.url", "http://x/b/1")]) };
    assert_eq!(bench.name(client), "POST /b/{id}!");
}

#[test]
fn names_that_are_no_url_stay() {
    let mut bench = Bench::new(&Config::default());
    for name in
        ["oteldemo.CartService/GetCart", "/oteldemo.CartService/GetCart", "SELECT users", "orders 17 process", ""]
    {
        assert_eq!(bench.name(span(name, &[("url.path", "/users/17")])), name);
    }
}

#[test]
fn a_service_has_a_bounded_number_of_routes_over_all_copies() {
    let config: Config = serde_json::from_value(json!({ "max_routes": 2 })).expect("parses");
    let mut first = Bench::new(&config);
    let mut second = Normalizer::new(&config, &first.cx);
    assert_eq!(
        first.names(&[span("/a", &[]), span("/b", &[]), span("/c", &[]), span("/a", &[])]),
        ["/a!", "/b!", "(other)!", "/a!"]
    );
    std::mem::swap(&mut first.node, &mut second);
    let other = Encoded { service: "other".into(), ..span("/d", &[]) };
    assert_eq!(first.names(&[span("/b", &[]), span("/d", &[]), other]), ["/b!", "(other)!", "/d!"]);
    assert_eq!(first.cx.stats().notes().get("route_overflow"), Some(&2));
}

#[test]
fn a_name_is_bounded_in_length() {
    let mut bench = Bench::new(&Config::default());
    let long = format!("/{}", "long-".repeat(1000));
    let span = Encoded { attributes: vec![("http.route", text(&long))], ..span("GET", &[]) };
    assert!(bench.name(span).len() <= 520);
}
