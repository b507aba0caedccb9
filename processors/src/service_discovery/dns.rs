//! Asking DNS for the addresses of a name.

use std::net::SocketAddr;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType as Asked};

use super::config::RecordType;

/// A host as DNS names it, and its port where DNS states one.
pub(super) type Found = (String, Option<u16>);

/// Asks these servers, or those of the system.
pub(super) fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    if servers.is_empty() {
        return TokioResolver::builder_tokio()?.build();
    }
    let server = |address: &SocketAddr| {
        let on_port = |mut connection: ConnectionConfig| {
            connection.port = address.port();
            connection
        };
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(on_port).to_vec();
        NameServerConfig::new(address.ip(), true, connections)
    };
    let config = ResolverConfig::from_name_servers(servers.iter().map(server).collect());
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build()
}

/// The addresses of a name. A name that does not exist has none; that nobody answers is an error.
pub(super) async fn ask(resolver: &TokioResolver, name: &str, record: RecordType) -> Result<Vec<Found>, String> {
    let asked = match record {
        RecordType::A => Asked::A,
        RecordType::Aaaa => Asked::AAAA,
        RecordType::Srv => Asked::SRV,
    };
    let mut found = Vec::new();
    for data in records(resolver, name, asked).await? {
        match data {
            RData::A(address) => found.push((address.0.to_string(), None)),
            RData::AAAA(address) => found.push((address.0.to_string(), None)),
            RData::SRV(service) => {
                let (host, port) = (service.target.to_utf8(), Some(service.port));
                for kind in [Asked::A, Asked::AAAA] {
                    // Spans of some libraries know the host and others its address. An answer without addresses is
                    // nothing unusual: many hosts have those of one kind only.
                    let addresses = records(resolver, &host, kind).await.unwrap_or_default();
                    found.extend(addresses.into_iter().filter_map(|data| match data {
                        RData::A(address) => Some((address.0.to_string(), port)),
                        RData::AAAA(address) => Some((address.0.to_string(), port)),
                        _ => None,
                    }));
                }
                found.push((host, port));
            }
            _ => {}
        }
    }
    // Servers answer in turns; the order says nothing.
    found.sort();
    found.dedup();
    Ok(found)
}

async fn records(resolver: &TokioResolver, name: &str, kind: Asked) -> Result<Vec<RData>, String> {
    match resolver.lookup(name, kind).await {
        Ok(lookup) => Ok(lookup.answers().iter().map(|record| record.data.clone()).collect()),
        Err(error) if error.is_nx_domain() || error.is_no_records_found() => Ok(Vec::new()),
        Err(error) => Err(error.to_string()),
    }
}

/// What is found under a DNS name is called, if nobody says otherwise.
///
/// `_postgres._tcp.db.internal` -> `db`
pub(super) fn name_of(dns: &str) -> &str {
    dns.split('.').find(|part| !part.is_empty() && !part.starts_with('_')).unwrap_or(dns)
}
