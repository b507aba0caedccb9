use std::sync::atomic::Ordering::Relaxed;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::Code;

use super::*;

/// A call that waits for its outcome.
async fn waiting(server: &Server) -> JoinSet<Result<(), tonic::Status>> {
    *server.graph.outcome.lock() = None;
    let mut client = TraceServiceClient::connect(format!("http://{}", server.grpc)).await.expect("connects");
    let request = server.traces(3);
    let mut calls = JoinSet::new();
    calls.spawn(async move { client.export(request).await.map(drop) });
    while server.graph.unsettled.lock().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    calls
}

#[tokio::test]
async fn what_is_in_flight_is_answered_before_the_server_ends() {
    let mut server = Server::start().await;
    let mut calls = waiting(&server).await;
    server.stop.send_replace(true);
    assert!(tokio::time::timeout(Duration::from_millis(100), server.run.join_next()).await.is_err());
    assert!(TcpStream::connect(server.grpc).await.is_err(), "nothing new is accepted");
    server.graph.unsettled.lock().drain(..).for_each(backtrail_model::Ack::delivered);
    calls.join_next().await.expect("a call").expect("no panic").expect("accepted");
    server.finish().await;
}

#[tokio::test]
async fn what_cannot_be_settled_in_time_is_answered_with_come_again() {
    let mut server = Server::with(serde_json::json!({ "stop_timeout": "100ms" }), 64 * MIB).await;
    let mut calls = waiting(&server).await;
    server.stop.send_replace(true);
    let answer = calls.join_next().await.expect("a call").expect("no panic");
    assert_eq!(answer.expect_err("refused").code(), Code::Unavailable);
    server.run.join_next().await.expect("runs").expect("no panic").expect("ends");
}

#[tokio::test]
async fn no_ack_is_waited_for_beyond_max_ack_hold() {
    let server = Server::with(serde_json::json!({ "max_ack_hold": "100ms" }), 64 * MIB).await;
    let mut calls = waiting(&server).await;
    let answer = calls.join_next().await.expect("a call").expect("no panic");
    assert_eq!(answer.expect_err("refused").code(), Code::Unavailable);
    server.graph.unsettled.lock().clear();
    server.finish().await;
}

#[tokio::test]
async fn a_client_that_goes_away_loses_nothing() {
    let server = Server::start().await;
    let mut calls = waiting(&server).await;
    calls.abort_all();
    while calls.join_next().await.is_some() {}
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.cx.stats().sent.load(Relaxed), 3);
    server.graph.unsettled.lock().drain(..).for_each(backtrail_model::Ack::delivered);
    server.finish().await;
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let server = Server::start().await;
    let _silent = [TcpStream::connect(server.http).await, TcpStream::connect(server.grpc).await];
    let _client = TraceServiceClient::connect(format!("http://{}", server.grpc)).await.expect("connects");
    let stopping = tokio::time::Instant::now();
    server.finish().await;
    assert!(stopping.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let server = Server::with(serde_json::json!({ "max_connections": 1 }), 64 * MIB).await;
    let first = TcpStream::connect(server.http).await.expect("connects");
    tokio::time::sleep(Duration::from_millis(50)).await;
    let request = || Request::get("/").header("host", "x").body(Pieces::default()).expect("a request");
    let waits = tokio::time::timeout(Duration::from_millis(100), http1(server.http, request())).await;
    assert!(waits.is_err());
    drop(first);
    assert_eq!(http1(server.http, request()).await.status, 404);
    server.finish().await;
}

#[tokio::test]
async fn a_taken_port_stops_the_start() {
    let server = Server::start().await;
    let config = serde_json::json!({ "protocols": { "grpc": { "endpoint": server.grpc.to_string() } } });
    let config: Config = serde_json::from_value(config).expect("a config");
    let mut second = config.build(&server.cx).expect("builds");
    assert!(matches!(second.bind().await, Err(NodeError::Config { .. })));
    server.finish().await;
}
