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
fn http_route_counts_on_server_and_client_spans_only() {
    let mut bench = Bench::new(&Config::default());
    let inner = Encoded { kind: SpanKind::Internal, ..span("render", &[("http.route", "/a"), ("url.path", "/b")]) };
    assert_eq!(bench.name(inner), "render");
    let client =
        Encoded { kind: SpanKind::Client, ..span("POST", &[("http.method", "POST"), ("http.url", "http://x/b/1")]) };
    assert_eq!(bench.name(client), "POST /b/{id}!");
}

#[test]
fn a_span_without_a_kind_that_is_named_by_its_method_is_named_by_its_url() {
    let mut bench = Bench::new(&Config::default());
    for kind in [SpanKind::Unspecified, SpanKind::Internal] {
        let of = |name: &str, attributes: &[_]| Encoded { kind, ..span(name, attributes) };
        let url = ("http.url", "http://shop:8080/orders/12345?x=1");
        assert_eq!(bench.name(of("GET", &[url, ("http.method", "GET")])), "GET /orders/{id}!");
        // The method stands in the name too.
        assert_eq!(bench.name(of("HTTP POST", &[url])), "POST /orders/{id}!");
        // A name that says what was done stays, and so does one without a URL.
        assert_eq!(bench.name(of("renderOrder", &[url])), "renderOrder");
        assert_eq!(bench.name(of("GET", &[])), "GET");
    }
    // No kind is no reason to doubt the route.
    let route = [("http.route", "/orders/{order}"), ("http.method", "GET")];
    assert_eq!(bench.name(Encoded { kind: SpanKind::Unspecified, ..span("GET", &route) }), "GET /orders/{order}!");
}

#[test]
fn a_proxy_names_host_and_port_so_its_url_says_more() {
    let mut bench = Bench::new(&Config::default());
    let get = ("http.method", "GET");
    for name in ["stock.default.svc.cluster.local:9080/*", "stock:9080/*", "shop.example.com/*", "10.1.2.3:80/*"] {
        for kind in [SpanKind::Server, SpanKind::Client] {
            let of = |attributes: &[_]| Encoded { kind, ..span(name, attributes) };
            assert_eq!(bench.name(of(&[get, ("http.url", "http://stock:9080/stock/7")])), "GET /stock/{id}!");
            assert_eq!(bench.name(of(&[get, ("http.url", "http://stock:9080/prices")])), "GET /prices!");
            assert_eq!(bench.name(of(&[get])), name);
        }
    }
    let call = [("http.method", "POST"), ("http.url", "http://cart:7070/oteldemo.CartService/GetCart")];
    assert_eq!(bench.name(span("cart:7070/*", &call)), "oteldemo.CartService/GetCart!");
    assert_eq!(bench.name(span("POST", &call)), "oteldemo.CartService/GetCart!");
    let stated = [("rpc.service", "oteldemo.CartService"), ("rpc.method", "GetCart")];
    assert_eq!(bench.name(span("cart:7070/*", &stated)), "oteldemo.CartService/GetCart!");
    // Since semantic conventions 1.39 the method says the service too.
    assert_eq!(bench.name(span("POST", &[("rpc.method", "a.B/Get")])), "a.B/Get!");
}

#[test]
fn the_same_url_is_one_operation_with_and_without_its_host() {
    let mut bench = Bench::new(&Config::default());
    let path = "/api/v1/orders/order/5ad7750b-a68b-49c0-a8c0-32776b067703";
    for before in ["", "http://orders:8080", "https://u@shop.example.com", "orders:8080", "10.0.0.1:80"] {
        for after in ["", "?x=1", "#top", ";jsessionid=1A2B"] {
            let name = bench.name(span(&format!("GET {before}{path}{after}"), &[]));
            assert_eq!(name, "GET /api/v1/orders/order/{uuid}!", "{before} {after}");
        }
    }
    assert_eq!(bench.name(span("/orders/12345?x=1", &[])), "/orders/{id}!");
    assert_eq!(bench.name(span("orders:8080/orders/12345", &[])), "/orders/{id}!");
    assert_eq!(bench.name(span("get /B4711/2023-01-29", &[])), "GET /{id}/{date}!");
}

fn database(name: &str, attributes: &[(&'static str, &str)]) -> Encoded {
    Encoded { kind: SpanKind::Client, ..span(name, attributes) }
}

#[test]
fn a_database_span_with_a_bare_name_is_named_by_what_it_asks() {
    let mut bench = Bench::new(&Config::default());
    let statement = ("db.statement", "select o.id from orders o where o.id = '17'");
    for name in ["Query", "query", "QUERY", "SELECT", "mysql.query", "redis.command", "jdbc:query", "executeQuery"] {
        assert_eq!(bench.name(database(name, &[("db.type", "sql"), statement])), "SELECT orders!", "{name}");
    }
    // Without a kind, as old clients send it.
    let inner = Encoded { kind: SpanKind::Unspecified, ..span("Query", &[statement]) };
    assert_eq!(bench.name(inner), "SELECT orders!");
    for (attributes, expected) in [
        (&[("db.query.summary", "SELECT orders lines"), statement][..], "SELECT orders lines!"),
        (&[("db.operation.name", "INSERT"), ("db.collection.name", "lines"), statement], "INSERT lines!"),
        (&[("db.operation", "update"), ("db.sql.table", "shop.lines"), statement], "UPDATE shop.lines!"),
        (&[("db.operation", "SELECT"), statement], "SELECT orders!"),
        (&[("db.operation", "SELECT"), ("db.system", "x")], "SELECT!"),
        (&[("db.system", "redis"), ("db.statement", "hget cart:17 x")], "HGET!"),
        (&[("db.system", "x"), ("db.statement", "17 apples")], "Query"),
        (&[("db.query.text", "INSERT INTO \"a\".`b` VALUES (1)")], "INSERT a.b!"),
        (&[("db.system", "mysql")], "Query"),
        (&[], "Query"),
    ] {
        assert_eq!(bench.name(database("Query", attributes)), expected, "{attributes:?}");
    }
    // Its name says enough.
    assert_eq!(bench.name(database("OrderRepository.find", &[statement])), "OrderRepository.find");
    let long = format!("SELECT * FROM {}", "t".repeat(1000));
    assert!(bench.name(database("Query", &[("db.statement", &long)])).len() < 150);
}

#[test]
fn query_is_a_method_too() {
    let mut bench = Bench::new(&Config::default());
    let url = [("http.request.method", "QUERY"), ("url.path", "/orders/17")];
    assert_eq!(bench.name(span("QUERY", &url)), "QUERY /orders/{id}!");
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
