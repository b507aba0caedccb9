//! The stock service: a small HTTP server around `stock::web`.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use stock::config::Config;
use stock::levels::Levels;
use stock::warehouse::{Remote, Warehouse};
use stock::web;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::parse(&std::fs::read_to_string("config/stock.env")?)?;
    let remote = |(name, address): &(String, String)| {
        let remote = Remote {
            name: name.clone(),
            address: address.clone(),
            timeout: config.timeout,
        };
        Box::new(remote) as Box<dyn Warehouse>
    };
    let levels = Arc::new(Levels::new(
        config.warehouses.iter().map(remote).collect(),
        config.reserve,
    ));
    for stream in TcpListener::bind(&config.listen)?.incoming() {
        let (stream, levels) = (stream?, Arc::clone(&levels));
        std::thread::spawn(move || serve(stream, &levels));
    }
    Ok(())
}

fn serve(mut stream: TcpStream, levels: &Levels) -> std::io::Result<()> {
    let mut line = String::new();
    BufReader::new(stream.try_clone()?).read_line(&mut line)?;
    let target = line.split_whitespace().nth(1).unwrap_or("/");
    let answer = web::handle(levels, target);
    write!(
        stream,
        "HTTP/1.1 {} -\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{}",
        answer.status,
        answer.body.len(),
        answer.body
    )
}
