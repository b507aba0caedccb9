//! Names of addresses, as something outside of the telemetry knows them: `10.0.0.7:5432` is `postgres`.
//!
//! A node's watcher publishes a whole set at a time, and the node's copies look it up. Nothing is locked while they do.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use parking_lot::RwLock;

/// A set of named addresses.
#[derive(Default, Debug)]
pub struct Names {
    hosts: HashMap<Box<str>, Host, FixedState>,
    /// Addresses in it.
    len: usize,
}

/// What is known of a host, an IP address or a host name.
#[derive(Default, Debug)]
struct Host {
    /// Names by port.
    ports: BTreeMap<u16, Arc<str>>,
    /// The name for every other port.
    any: Option<Arc<str>>,
}

/// Why an address was not added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotAdded {
    /// It has another name already, which it keeps.
    Named,
    /// The set is full.
    Full,
}

impl Names {
    /// Names an address; without a port every port of the host that has no name of its own. Of two names for the same the
    /// first stays. No more than `most` addresses are held.
    ///
    /// # Errors
    /// When there is no room, or the address has another name.
    pub fn add(&mut self, host: &str, port: Option<u16>, name: &Arc<str>, most: usize) -> Result<(), NotAdded> {
        let host = canonical(host);
        let known = self.hosts.get(&*host).and_then(|known| match port {
            Some(port) => known.ports.get(&port),
            None => known.any.as_ref(),
        });
        match known {
            Some(known) if known == name => return Ok(()),
            Some(_) => return Err(NotAdded::Named),
            None if self.len >= most => return Err(NotAdded::Full),
            None => self.len += 1,
        }
        let of_host = self.hosts.entry(host).or_default();
        match port {
            Some(port) => _ = of_host.ports.insert(port, Arc::clone(name)),
            None => of_host.any = Some(Arc::clone(name)),
        }
        Ok(())
    }

    /// The name of an address. Where no port is known, the host's name if all its ports have the same.
    pub fn find(&self, host: &str, port: Option<u16>) -> Option<&Arc<str>> {
        let of_host = self.hosts.get(&*canonical(host))?;
        if let Some(port) = port {
            return of_host.ports.get(&port).or(of_host.any.as_ref());
        }
        let mut all = of_host.ports.values().chain(&of_host.any);
        let first = all.next()?;
        all.all(|name| name == first).then_some(first)
    }

    /// How many addresses it names.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it names none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// One spelling for each host: IP addresses as the standard library writes them, an IPv4 address inside an IPv6 one as
/// itself, names in lower case without the dot of the root.
fn canonical(host: &str) -> Box<str> {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string().into(),
        Err(_) => host.trim_end_matches('.').to_ascii_lowercase().into(),
    }
}

/// The sets of all nodes that publish some.
#[derive(Default)]
pub struct NameBoard {
    version: AtomicU64,
    by_node: RwLock<BTreeMap<String, Arc<Names>>>,
}

impl NameBoard {
    /// Replaces the set of a node.
    pub fn publish(&self, node: &str, names: Names) {
        self.by_node.write().insert(node.to_owned(), Arc::new(names));
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Grows with every set that is published.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The set of a node; an empty one before it has published any.
    pub fn of(&self, node: &str) -> Arc<Names> {
        self.by_node.read().get(node).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Arc<str> {
        text.into()
    }

    #[test]
    fn an_address_has_the_name_of_its_port_and_a_host_one_only_if_all_agree() {
        let mut names = Names::default();
        let mut add = |host, port, text| names.add(host, port, &name(text), 10);
        assert_eq!(add("10.0.0.7", Some(5432), "postgres"), Ok(()));
        assert_eq!(add("10.0.0.7", Some(5432), "mysql"), Err(NotAdded::Named));
        assert_eq!(add("10.0.0.7", Some(5432), "postgres"), Ok(()));
        assert_eq!(add("10.0.0.8", None, "cache"), Ok(()));
        assert_eq!(add("10.0.0.8", Some(80), "web"), Ok(()));
        assert_eq!(add("DB.shop.", Some(1), "db"), Ok(()));
        assert_eq!(add("[2001:DB8::1]", Some(1), "six"), Ok(()));
        let find = |host, port| names.find(host, port).map(|name| &**name);
        for (host, port, expected) in [
            ("10.0.0.7", Some(5432), Some("postgres")),
            ("::ffff:10.0.0.7", Some(5432), Some("postgres")),
            ("10.0.0.7", Some(5433), None),
            ("10.0.0.7", None, Some("postgres")),
            ("10.0.0.8", Some(80), Some("web")),
            ("10.0.0.8", Some(81), Some("cache")),
            ("10.0.0.8", None, None),
            ("db.SHOP", Some(1), Some("db")),
            ("2001:db8:0::1", Some(1), Some("six")),
            ("10.0.0.9", None, None),
        ] {
            assert_eq!(find(host, port), expected, "{host} {port:?}");
        }
        assert_eq!(names.len(), 5);
    }

    #[test]
    fn a_full_set_takes_no_more() {
        let mut names = Names::default();
        for n in 0..5 {
            let added = names.add("h", Some(n), &name("x"), 3);
            assert_eq!(added.is_ok(), n < 3);
        }
        assert_eq!((names.len(), names.add("h", Some(9), &name("x"), 3)), (3, Err(NotAdded::Full)));
    }

    #[test]
    fn each_node_has_its_own_set() {
        let board = NameBoard::default();
        let mut names = Names::default();
        names.add("h", None, &name("x"), 9).expect("room");
        board.publish("a", names);
        assert_eq!((board.version(), board.of("a").len(), board.of("b").is_empty()), (1, 1, true));
    }
}
