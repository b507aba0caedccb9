//! Who was measured: service, instance, node and the part of the instance.

use std::borrow::Cow;

use backtrail_model::metrics::Family;

use super::DEPTH;
use super::points::{Attributes, text};
use crate::error::Broken;
use crate::proto::{Cursor, LEN, MAX_DEPTH, key};
use crate::walk::{UNKNOWN_SERVICE, key_value};

/// Attributes of a resource, best name first within each field.
const SERVICE: [&str; 1] = ["service.name"];
const POD: [&str; 1] = ["k8s.pod.name"];
const INSTANCE: [&str; 2] = ["service.instance.id", "host.name"];
const NODE: [&str; 2] = ["k8s.node.name", "host.name"];
const CONTAINER: [&str; 2] = ["k8s.container.name", "container.name"];

/// The same on points that a scraper took from many at once (cadvisor, kube-state-metrics).
const POINT_POD: [&str; 3] = ["k8s.pod.name", "pod", "pod_name"];
const POINT_NODE: [&str; 3] = ["k8s.node.name", "node", "kubernetes_io_hostname"];
const POINT_CONTAINER: [&str; 4] = ["k8s.container.name", "container.name", "container", "container_name"];

/// What tells the pools of an instance apart.
const POOL: [&str; 5] =
    ["db.client.connection.pool.name", "db.client.connections.pool.name", "pool.name", "pool", "name"];
/// What tells the queues of an instance apart.
const QUEUE: [&str; 6] =
    ["messaging.destination.name", "queue", "queue_name", "topic", "messaging.destination", "data_type"];
/// A runtime counts its heap and the rest apart.
const MEMORY: [&str; 2] = ["jvm.memory.type", "area"];

/// Who was measured.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Entity<'a> {
    /// `service.name`.
    pub service: Cow<'a, str>,
    /// Pod, else instance id, else host; "" when none is sent.
    pub instance: Cow<'a, str>,
    /// Node, else host; "" when none is sent.
    pub node: Cow<'a, str>,
    /// Container, pool, queue; "" for all of the instance.
    pub part: Cow<'a, str>,
}

impl<'a> Entity<'a> {
    /// Reads a `Resource` message; a resource that is split in two is one resource.
    pub(super) fn read(&mut self, message: &'a [u8]) -> Result<(), Broken> {
        let mut list: Vec<(&[u8], Cow<'a, str>)> = Vec::new();
        let mut cursor = Cursor::new(message);
        while let Some(field) = cursor.key()? {
            if field == key(1, LEN) {
                let (name, value) = key_value(cursor.bytes()?, MAX_DEPTH - 3)?;
                list.push((name, text(value)));
            } else {
                cursor.skip(field, DEPTH)?;
            }
        }
        let first = |keys: &[&str]| {
            // As everywhere, the last of equal keys wins.
            let value =
                |key: &&str| list.iter().rev().find(|(name, _)| *name == key.as_bytes()).map(|(_, v)| v.clone());
            keys.iter().filter_map(value).find(|value| !value.is_empty())
        };
        let set = |into: &mut Cow<'a, str>, value: Option<Cow<'a, str>>| {
            if let Some(value) = value {
                *into = value;
            }
        };
        set(&mut self.service, first(&SERVICE));
        set(&mut self.instance, first(&POD).or_else(|| first(&INSTANCE)));
        set(&mut self.node, first(&NODE));
        set(&mut self.part, first(&CONTAINER));
        Ok(())
    }

    /// Who a point of this resource is about. A point that names a pod was taken from that pod by somebody else, the
    /// resource: then its service is its own word or the workload that its pod is named after.
    pub(super) fn of_point(&self, family: Family, attributes: &Attributes<'a>) -> Self {
        let mut entity = self.clone();
        if let Some(pod) = attributes.first(&POINT_POD).filter(|pod| **pod != self.instance) {
            entity.service = match attributes.first(&SERVICE) {
                Some(service) => service.clone(),
                None => Cow::Owned(workload(pod).to_owned()),
            };
            entity.instance.clone_from(pod);
            entity.node = attributes.first(&POINT_NODE).cloned().unwrap_or_default();
        }
        let part = match family {
            Family::Pools => attributes.first(&POOL),
            Family::Queues => attributes.first(&QUEUE),
            Family::Memory => attributes.first(&MEMORY),
            _ => None,
        };
        if let Some(part) = part.or_else(|| attributes.first(&POINT_CONTAINER)) {
            entity.part.clone_from(part);
        }
        if entity.service.is_empty() {
            entity.service = Cow::Borrowed(UNKNOWN_SERVICE);
        }
        entity
    }
}

/// The workload that Kubernetes named a pod after: `<deployment>-<replica set>-<5>`, `<stateful set>-<number>` or
/// `<daemon set>-<5>`; the pod's name when it is none of these. Source: Kubernetes, `SafeEncodeString` (the alphabet of
/// generated names has no vowels and no 0, 1, 3).
pub(super) fn workload(pod: &str) -> &str {
    let generated = |text: &str| text.bytes().all(|b| b"bcdfghjklmnpqrstvwxz2456789".contains(&b));
    let Some((rest, last)) = pod.rsplit_once('-') else { return pod };
    if !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()) && last.len() < 5 {
        return rest;
    }
    if last.len() != 5 || !generated(last) {
        return pod;
    }
    match rest.rsplit_once('-') {
        Some((name, set))
            if (6..=10).contains(&set.len()) && generated(set) && set.bytes().any(|b| b.is_ascii_digit()) =>
        {
            name
        }
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_named_after_its_workload() {
        for (pod, expected) in [
            ("cart-579f59597d-wc2lz", "cart"),
            ("ledger-db-0", "ledger-db"),
            ("node-agent-x7k2p", "node-agent"),
            ("a-name", "a-name"),
            ("plain", "plain"),
        ] {
            assert_eq!(workload(pod), expected);
        }
    }
}
