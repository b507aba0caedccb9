//! Who was meant when nobody answers: a callee that is down sends no spans, and its callers call it by a host name or an
//! address that is not its `service.name`. In quiet times somebody answered under that name.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backtrail_model::edges::{EdgeKey, EdgeKind, EdgeSlice};
use backtrail_model::spectra::{Element, ElementKind, SpectraSlice};

use crate::Slices;

/// Peer to service.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Peers(BTreeMap<Arc<str>, Arc<str>>);

/// Slices in which unanswered calls go to the services that they were meant for. What needs no change is borrowed.
#[derive(Clone, Debug)]
pub struct Named<'a> {
    edges: Vec<Cow<'a, EdgeSlice>>,
    spectra: Vec<Cow<'a, SpectraSlice>>,
    rest: Slices<'a>,
}

impl Peers {
    /// What the slices of both stretches tell of the peers that did not answer.
    ///
    /// A peer is the one service that ever answered under its name ([`EdgeSlice::peers`]); several stand behind a
    /// gateway, and then nobody knows who was meant. A peer that never answered is the service of its name in the
    /// cluster's DNS: `cart.shop.svc.cluster.local:8080` is the service `cart.shop` or `cart`, if there is one.
    pub fn of(baseline: &Slices<'_>, window: &Slices<'_>) -> Self {
        let parts = || baseline.edges.iter().chain(&window.edges);
        let mut learned: BTreeMap<&Arc<str>, BTreeSet<&Arc<str>>> = BTreeMap::new();
        let (mut services, mut silent) = (BTreeSet::<&str>::new(), BTreeSet::<&Arc<str>>::new());
        for part in parts() {
            for (peer, answered) in &part.peers {
                learned.entry(peer).or_default().extend(answered);
            }
            for key in part.edges.keys() {
                services.insert(&key.caller);
                match key.kind {
                    EdgeKind::Call | EdgeKind::Entry | EdgeKind::SelfCall => drop(services.insert(&key.callee)),
                    EdgeKind::Virtual => drop(silent.insert(&key.callee)),
                    EdgeKind::Messaging | EdgeKind::Overflow => {}
                }
            }
        }
        let names = |peer: &Arc<str>| match learned.get(peer).map(|known| known.iter().collect::<Vec<_>>()) {
            Some(known) => match known.as_slice() {
                [service] => Some(Arc::clone(service)),
                _ => None,
            },
            None => of_cluster(peer).find(|name| services.contains(name)).map(Arc::from),
        };
        let unknown = silent.into_iter().filter(|peer| !services.contains(&***peer));
        Self(unknown.filter_map(|peer| Some((Arc::clone(peer), names(peer)?))).collect())
    }

    /// Whether all silent peers keep their names.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The slices with the services' names in place of the peers'.
    pub fn name<'a>(&self, slices: &Slices<'a>) -> Named<'a> {
        Named {
            edges: slices.edges.iter().map(|part| self.edges(part)).collect(),
            spectra: slices.spectra.iter().map(|part| self.spectra(part)).collect(),
            rest: Slices { metrics: slices.metrics.clone(), logs: slices.logs.clone(), ..Slices::default() },
        }
    }

    fn edges<'a>(&self, slice: &'a EdgeSlice) -> Cow<'a, EdgeSlice> {
        let meant = |key: &EdgeKey| (key.kind == EdgeKind::Virtual).then(|| self.0.get(&key.callee)).flatten();
        if !slice.edges.keys().any(|key| meant(key).is_some()) {
            return Cow::Borrowed(slice);
        }
        let mut named = EdgeSlice { edges: BTreeMap::new(), ..slice.clone() };
        for (key, counts) in &slice.edges {
            let mut key = key.clone();
            if let Some(service) = meant(&key) {
                (key.callee, key.kind) = (Arc::clone(service), EdgeKind::Call);
            }
            named.edges.entry(key).or_default().merge(counts);
        }
        Cow::Owned(named)
    }

    /// A trace that called a service touched it, whether it answered or not.
    fn spectra<'a>(&self, slice: &'a SpectraSlice) -> Cow<'a, SpectraSlice> {
        let meant = |element: &Element| match element.kind {
            ElementKind::Edge => self.0.get(&element.name),
            _ => None,
        };
        let is_touched = |list: &[Element]| list.iter().any(|element| meant(element).is_some());
        if !slice.signatures.values().any(|list| is_touched(list)) {
            return Cow::Borrowed(slice);
        }
        let mut named = slice.clone();
        for list in named.signatures.values_mut().filter(|list| is_touched(list)) {
            let mut elements = BTreeSet::new();
            for element in list.iter() {
                let mut element = element.clone();
                if let Some(service) = meant(&element) {
                    element.name = Arc::clone(service);
                    elements.insert(Element {
                        kind: ElementKind::Service,
                        service: Arc::clone(service),
                        name: Arc::from(""),
                    });
                }
                elements.insert(element);
            }
            *list = elements.into_iter().collect();
        }
        Cow::Owned(named)
    }
}

impl Named<'_> {
    /// As the judge takes them.
    pub fn slices(&self) -> Slices<'_> {
        Slices {
            edges: self.edges.iter().map(|part| &**part).collect(),
            spectra: self.spectra.iter().map(|part| &**part).collect(),
            ..self.rest.clone()
        }
    }
}

/// The names that a host in a Kubernetes cluster may stand for, the longest first: none for other hosts, whose first
/// label says nothing (`api.example.com`).
fn of_cluster(peer: &str) -> impl Iterator<Item = &str> {
    let host = peer.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let host = host.map_or(peer, |(host, _)| host);
    let in_cluster = match host.split_once(".svc") {
        Some((name, rest)) if rest.is_empty() || rest.starts_with('.') => Some(name),
        _ if !host.contains('.') => Some(host),
        _ => None,
    };
    let short = in_cluster.and_then(|name| name.split_once('.')).map(|(first, _)| first);
    in_cluster.into_iter().chain(short)
}

#[cfg(test)]
mod tests {
    use backtrail_model::edges::EdgeCounts;
    use backtrail_model::time::Slice;

    use super::*;

    fn slice(n: u64, edges: &[(&str, &str, EdgeKind)], peers: &[(&str, &[&str])]) -> EdgeSlice {
        let mut slice = EdgeSlice::new(Slice(n));
        for &(caller, callee, kind) in edges {
            let key = EdgeKey { caller: caller.into(), callee: callee.into(), route: "GET".into(), kind };
            slice.edges.insert(key, EdgeCounts { calls: 256, errors: 256, ..EdgeCounts::default() });
        }
        for &(peer, services) in peers {
            slice.peers.insert(peer.into(), services.iter().map(|&service| service.into()).collect());
        }
        slice
    }

    fn peers(quiet: &EdgeSlice, now: &EdgeSlice) -> Vec<(String, String)> {
        let slices = |slice| Slices { edges: vec![slice], ..Slices::default() };
        let found = Peers::of(&slices(quiet), &slices(now));
        found.0.iter().map(|(peer, service)| (peer.to_string(), service.to_string())).collect()
    }

    fn pair(a: &str, b: &str) -> (String, String) {
        (a.to_owned(), b.to_owned())
    }

    #[test]
    fn who_answered_under_a_name_is_who_was_meant() {
        let quiet = slice(
            1,
            &[("web", "payments", EdgeKind::Call), ("web", "a", EdgeKind::Call), ("web", "b", EdgeKind::Call)],
            &[("10.0.0.7:80", &["payments"]), ("gateway", &["a", "b"])],
        );
        let silent = ["10.0.0.7:80", "gateway", "mysql"].map(|peer| ("web", peer, EdgeKind::Virtual));
        assert_eq!(peers(&quiet, &slice(2, &silent, &[])), [pair("10.0.0.7:80", "payments")]);
    }

    #[test]
    fn a_name_of_the_cluster_is_the_service_of_that_name_and_a_host_elsewhere_is_none() {
        let quiet = slice(
            1,
            &[("web", "cart", EdgeKind::Call), ("web", "rates.shop", EdgeKind::Call), ("web", "api", EdgeKind::Call)],
            &[],
        );
        let silent =
            ["cart:8080", "cart.shop.svc", "rates.shop.svc.cluster.local", "api.example.com", "api", "10.1.2.3"];
        let found = peers(&quiet, &slice(2, &silent.map(|peer| ("web", peer, EdgeKind::Virtual)), &[]));
        let expected = [
            pair("cart.shop.svc", "cart"),
            pair("cart:8080", "cart"),
            pair("rates.shop.svc.cluster.local", "rates.shop"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn calls_and_traces_are_named_and_the_rest_is_borrowed() {
        let edges = slice(2, &[("web", "cart:80", EdgeKind::Virtual), ("web", "cart", EdgeKind::Call)], &[]);
        let mut spectra = SpectraSlice::new(Slice(2));
        let edge = |name: &str| Element { kind: ElementKind::Edge, service: "web".into(), name: name.into() };
        spectra.signatures.insert(7, [edge("cart:80")].into());
        let slices = Slices { edges: vec![&edges], spectra: vec![&spectra], ..Slices::default() };
        let found = Peers::of(&slices, &slices);
        let named = found.name(&slices);
        let seen = named.slices();
        let counts: Vec<_> = seen.edges[0].edges.iter().map(|(key, counts)| (&*key.callee, counts.calls)).collect();
        assert_eq!(counts, [("cart", 512)]);
        let touched = Element { kind: ElementKind::Service, service: "cart".into(), name: "".into() };
        assert_eq!(*seen.spectra[0].signatures[&7], [touched, edge("cart")]);
        let quiet = slice(1, &[("web", "cart", EdgeKind::Call)], &[]);
        let quiet = Slices { edges: vec![&quiet], ..Slices::default() };
        assert!(matches!(found.name(&quiet).edges[..], [Cow::Borrowed(_)]));
    }
}
