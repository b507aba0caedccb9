use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use backtrail_model::span::SpanRecord;
use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record};
use parking_lot::Mutex;
use tokio::net::UdpSocket;

use super::*;
use crate::testing::{Chain, documented, node};

/// A batch of one span that calls this peer, with its ports as attributes.
fn call(cx: &Context, peer: &str, kind: SpanKind, ports: &[(&str, i64)]) -> Data {
    let keys = cx.shared().attributes();
    let mut slots = vec![SlotValue::Absent; keys.len()];
    for (key, port) in ports {
        slots[keys.iter().position(|known| known == key).expect("asked for")] = SlotValue::Int(*port);
    }
    let peer = cx.symbols().intern(SymbolKind::Peer, peer);
    let records = vec![SpanRecord { peer, kind, ..SpanRecord::default() }];
    let batch = SpanBatch { records, slot_count: keys.len(), slots, ..SpanBatch::default() };
    Data::Spans(Arc::new(batch), None)
}

fn peer_of(cx: &Context, data: &[Data]) -> String {
    let [Data::Spans(spans, _)] = data else { panic!("spans") };
    cx.symbols().resolve(SymbolKind::Peer, spans.records[0].peer).to_string()
}

fn config(dir: &Path, names: &[&str]) -> Config {
    let files = names.iter().map(|name| dir.join(name)).collect();
    Config { file_sd_configs: vec![FileSd { files, ..FileSd::default() }], ..Config::default() }
}

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).expect("writable");
}

const TARGETS: &str = "
- targets: ['10.0.0.7:5432', '[2001:db8::1]:5432']
  labels: { job: postgres }
- targets: [cache-0.internal, 'http://no/']
  labels: { app: cache, job: redis }
- targets: ['10.0.0.9:80']
";

#[test]
fn the_documented_example_parses() {
    let config: Config = documented(include_str!("../service_discovery.rs"));
    assert_eq!(
        (config.dns_sd_configs[0].record_type, config.dns_sd_configs[1].record_type),
        (RecordType::Srv, RecordType::A)
    );
}

#[test]
fn peers_get_the_names_that_files_give_their_addresses() {
    let dir = tempfile::tempdir().expect("a folder");
    write(dir.path(), "a.yaml", TARGETS);
    let config = config(dir.path(), &["*.yaml"]);
    let mut chain = Chain(vec![node(&Context::for_test("x"), &config)]);
    let cx = chain.0[0].cx.clone();
    Watch::start(&config, &cx).expect("the files are there");
    assert_eq!(cx.stats().notes()["targets_without_name"], 2);
    for (peer, kind, ports, expected) in [
        ("10.0.0.7:5432", SpanKind::Client, &[][..], "postgres"),
        ("10.0.0.7", SpanKind::Client, &[("server.port", 5432)], "postgres"),
        ("10.0.0.7", SpanKind::Producer, &[], "postgres"),
        ("10.0.0.7:5433", SpanKind::Client, &[], "10.0.0.7:5433"),
        ("10.0.0.7", SpanKind::Client, &[("server.port", 1)], "10.0.0.7"),
        ("2001:db8::1:5432", SpanKind::Client, &[("network.peer.port", 5432)], "postgres"),
        ("2001:db8::1:5432", SpanKind::Client, &[], "2001:db8::1:5432"),
        ("cache-0.internal", SpanKind::Client, &[("server.port", 6379)], "cache"),
        // A server's peer is no address that it calls.
        ("10.0.0.7:5432", SpanKind::Server, &[], "10.0.0.7:5432"),
        ("10.0.0.9:80", SpanKind::Client, &[], "10.0.0.9:80"),
    ] {
        let out = chain.send(call(&cx, peer, kind, ports));
        assert_eq!(peer_of(&cx, &out), expected, "{peer} {ports:?}");
    }
}

#[test]
fn a_target_names_its_host_at_other_ports_only_when_that_is_wanted_and_clear() {
    let dir = tempfile::tempdir().expect("a folder");
    write(
        dir.path(),
        "t.json",
        r#"[{"targets": ["h:9187"], "labels": {"job": "pg"}}, {"targets": ["two:1"], "labels": {"job": "a"}}, {"targets": ["two:2"], "labels": {"job": "b"}}]"#,
    );
    for any_port in [false, true] {
        let config = Config { any_port, ..config(dir.path(), &["t.json"]) };
        let cx = Context::for_test("x");
        Watch::start(&config, &cx).expect("the file is there");
        let names = cx.shared().names.of("x");
        assert_eq!(names.find("h", Some(5432)).map(|name| &**name), any_port.then_some("pg"));
        assert_eq!((names.find("two", Some(3)), names.find("two", None)), (None, None));
    }
}

#[test]
fn a_missing_or_wrong_file_stops_the_start_and_names_its_place() {
    let dir = tempfile::tempdir().expect("a folder");
    write(dir.path(), "wrong.yaml", "- targets: [a:1]\n  lables: {}\n");
    write(dir.path(), "wrong.json", "[{\"targets\": [\"a:1\"]},\n 7]");
    for (name, words) in
        [("gone.yaml", "gone.yaml: No such file"), ("wrong.yaml", "wrong.yaml:2:"), ("wrong.json", "wrong.json:2:")]
    {
        let error = Watch::start(&config(dir.path(), &[name]), &Context::for_test("x")).err().expect("no names");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn past_the_bound_addresses_are_counted_and_have_no_name() {
    let dir = tempfile::tempdir().expect("a folder");
    write(
        dir.path(),
        "t.yaml",
        "- { targets: ['a:1', 'a:2', 'a:3'], labels: { job: x } }\n- { targets: ['a:1'], labels: { job: y } }",
    );
    let cx = Context::for_test("x");
    Watch::start(&Config { max_addresses: 2, ..config(dir.path(), &["t.yaml"]) }, &cx).expect("starts");
    let notes = cx.stats().notes();
    assert_eq!(
        (notes["addresses_past_max"], notes["addresses_with_two_names"], cx.shared().names.of("x").len()),
        (1, 1, 2)
    );
}

/// Waits until `until` holds, for at most half a minute.
async fn eventually(what: &str, until: impl Fn() -> bool) {
    for _ in 0..600 {
        if until() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} did not happen");
}

#[tokio::test]
async fn a_changed_file_is_read_again_and_one_that_breaks_keeps_its_names() {
    let dir = tempfile::tempdir().expect("a folder");
    let one = |name: &str| format!("- {{ targets: ['h:1'], labels: {{ job: {name} }} }}\n");
    write(dir.path(), "a.yaml", &one("first"));
    write(dir.path(), "b.yaml", "- { targets: ['other:1'], labels: { job: other } }\n");
    let config = config(dir.path(), &["*.yaml"]);
    let cx = Context::for_test("x");
    let watch = Watch::start(&config, &cx).expect("starts");
    let find = |host: &str| cx.shared().names.of("x").find(host, Some(1)).map(ToString::to_string);
    let story = async {
        assert_eq!(find("h").as_deref(), Some("first"));
        write(dir.path(), "a.yaml", &one("another"));
        eventually("the new name", || find("h").as_deref() == Some("another")).await;
        write(dir.path(), "a.yaml", "no list");
        eventually("the failure", || cx.stats().notes().get("file_failures") == Some(&1)).await;
        // What is read later still counts, and the failure is counted once.
        write(dir.path(), "b.yaml", "- { targets: ['other:1'], labels: { job: renamed } }\n");
        eventually("the other file", || find("other").as_deref() == Some("renamed")).await;
        assert_eq!((find("h").as_deref(), cx.stats().notes()["file_failures"]), (Some("another"), 1));
        std::fs::remove_file(dir.path().join("a.yaml")).expect("removed");
        eventually("the file to be forgotten", || find("h").is_none()).await;
    };
    tokio::select! {
        () = Box::new(watch).run() => panic!("it ended"),
        () = story => {}
    }
}

/// A DNS server that knows what is in `zone`, and answers SERVFAIL for what begins with `broken`.
async fn serve(socket: UdpSocket, zone: Arc<Mutex<Vec<Record>>>) {
    let mut buf = [0; 2048];
    loop {
        let (len, from) = socket.recv_from(&mut buf).await.expect("a query");
        let Ok(mut message) = Message::from_vec(&buf[..len]) else { continue };
        let query = message.queries[0].clone();
        message.metadata.message_type = MessageType::Response;
        message.edns = None;
        let zone = zone.lock().clone();
        let of_name: Vec<&Record> = zone.iter().filter(|record| record.name == *query.name()).collect();
        if query.name().to_utf8().starts_with("broken") {
            message.metadata.response_code = ResponseCode::ServFail;
        } else if of_name.is_empty() {
            message.metadata.response_code = ResponseCode::NXDomain;
        }
        let fitting = of_name.into_iter().filter(|record| record.record_type() == query.query_type());
        message.add_answers(fitting.cloned());
        socket.send_to(&message.to_vec().expect("encodes"), from).await.expect("sent");
    }
}

fn record(name: &str, data: RData) -> Record {
    Record::from_rdata(Name::from_utf8(name).expect("a name"), 0, data)
}

fn address(name: &str, last: u8) -> Record {
    record(name, RData::A(A(Ipv4Addr::new(10, 0, 0, last))))
}

async fn server(zone: Vec<Record>) -> (SocketAddr, Arc<Mutex<Vec<Record>>>, impl Future<Output = ()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let at = socket.local_addr().expect("bound");
    let zone = Arc::new(Mutex::new(zone));
    (at, Arc::clone(&zone), serve(socket, zone))
}

#[tokio::test]
async fn dns_names_addresses_and_follows_them_and_what_it_cannot_answer_stays() {
    let srv = RData::SRV(SRV::new(0, 0, 5432, Name::from_utf8("db-0.shop.test.").expect("a name")));
    let zone = vec![
        address("cache.shop.test.", 3),
        record("_postgres._tcp.db.shop.test.", srv),
        address("db-0.shop.test.", 7),
    ];
    let (at, zone, serving) = server(zone).await;
    let dns = |name: &str, record_type| DnsSd {
        names: vec![name.to_owned()],
        record_type,
        refresh_interval: backtrail_pipeline::Duration::from_secs(1),
        ..DnsSd::default()
    };
    let config = Config {
        dns_sd_configs: vec![
            DnsSd { port: Some(6379), service: "redis".into(), ..dns("cache.shop.test.", RecordType::A) },
            dns("_postgres._tcp.db.shop.test.", RecordType::Srv),
            dns("broken.shop.test.", RecordType::A),
        ],
        nameservers: vec![at],
        ..Config::default()
    };
    let cx = Context::for_test("x");
    let watch = Watch::start(&config, &cx).expect("starts");
    let find = |host: &str, port| cx.shared().names.of("x").find(host, Some(port)).map(ToString::to_string);
    let story = async {
        eventually("the answers", || find("10.0.0.3", 6379).is_some() && find("10.0.0.7", 5432).is_some()).await;
        assert_eq!(find("10.0.0.3", 6379).as_deref(), Some("redis"));
        for host in ["10.0.0.7", "db-0.shop.test"] {
            assert_eq!((find(host, 5432).as_deref(), find(host, 1)), (Some("db"), None), "{host}");
        }
        // The name itself is an address that spans may state.
        assert_eq!(find("cache.shop.test", 6379).as_deref(), Some("redis"));
        eventually("a failure", || cx.stats().notes().contains_key("dns_failures")).await;
        zone.lock()[0] = address("cache.shop.test.", 4);
        eventually("the move", || find("10.0.0.4", 6379).is_some() && find("10.0.0.3", 6379).is_none()).await;
        zone.lock().remove(0);
        eventually("the end of the name", || find("10.0.0.4", 6379).is_none()).await;
    };
    tokio::select! {
        () = Box::new(watch).run() => panic!("it ended"),
        () = serving => {}
        () = story => {}
    }
}
