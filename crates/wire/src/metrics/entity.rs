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
/// The workload, where nobody says the service: the collector's receivers `kubeletstats` and `k8s_cluster` measure pods
/// from outside and know what Kubernetes knows.
const WORKLOAD: [&str; 4] = ["k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name", "k8s.cronjob.name"];
const JOB: [&str; 1] = ["k8s.job.name"];
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
    /// `service.name`, else the workload, else what the pod's name says of it, else the container; `unknown_service` if
    /// none of them is sent.
    pub service: Cow<'a, str>,
    /// Pod, else instance id, else host; "" when none is sent.
    pub instance: Cow<'a, str>,
    /// Node, else host; "" when none is sent.
    pub node: Cow<'a, str>,
    /// Container, pool, queue; "" for all of the instance.
    pub part: Cow<'a, str>,
}

impl<'a> Entity<'a> {
    /// Reads the `Resource` messages of a resource: one that is split in two is one resource.
    pub(super) fn read(messages: &[&'a [u8]]) -> Result<Self, Broken> {
        let mut list: Vec<(&[u8], Cow<'a, str>)> = Vec::new();
        for message in messages {
            read_attributes(message, &mut list)?;
        }
        let first = |keys: &[&str]| {
            // As everywhere, the last of equal keys wins.
            let value =
                |key: &&str| list.iter().rev().find(|(name, _)| *name == key.as_bytes()).map(|(_, v)| v.clone());
            keys.iter().filter_map(value).find(|value| !value.is_empty())
        };
        let (pod, container) = (first(&POD), first(&CONTAINER));
        let of_workload = || first(&WORKLOAD).or_else(|| first(&JOB).or_else(|| pod.clone()).map(after_workload));
        let service = first(&SERVICE).or_else(of_workload).or_else(|| container.clone());
        Ok(Self {
            service: service.unwrap_or_default(),
            instance: pod.or_else(|| first(&INSTANCE)).unwrap_or_default(),
            node: first(&NODE).unwrap_or_default(),
            part: container.unwrap_or_default(),
        })
    }

    /// Who a point of this resource is about. A point that names a pod was taken from that pod by somebody else, the
    /// resource: then its service is its own word or the workload that its pod is named after.
    pub(super) fn of_point(&self, family: Family, attributes: &Attributes<'a>) -> Self {
        let mut entity = self.clone();
        if let Some(pod) = attributes.first(&POINT_POD).filter(|pod| **pod != self.instance) {
            entity.service = match attributes.first(&SERVICE) {
                Some(service) => service.clone(),
                None => after_workload(pod.clone()),
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
        let container = attributes.first(&POINT_CONTAINER);
        if let Some(part) = part.or(container) {
            entity.part.clone_from(part);
        }
        if entity.service.is_empty()
            && let Some(container) = container
        {
            entity.service.clone_from(container);
        }
        if entity.service.is_empty() {
            entity.service = Cow::Borrowed(UNKNOWN_SERVICE);
        }
        entity
    }
}

fn read_attributes<'a>(message: &'a [u8], list: &mut Vec<(&'a [u8], Cow<'a, str>)>) -> Result<(), Broken> {
    let mut cursor = Cursor::new(message);
    while let Some(field) = cursor.key()? {
        if field == key(1, LEN) {
            let (name, value) = key_value(cursor.bytes()?, MAX_DEPTH - 3)?;
            list.push((name, text(value)));
        } else {
            cursor.skip(field, DEPTH)?;
        }
    }
    Ok(())
}

fn after_workload(pod: Cow<'_, str>) -> Cow<'_, str> {
    match pod {
        Cow::Borrowed(pod) => Cow::Borrowed(workload(pod)),
        Cow::Owned(pod) => Cow::Owned(workload(&pod).to_owned()),
    }
}

/// The workload that Kubernetes named a pod after: `<deployment>-<replica set>-<5>`, `<stateful set>-<number>`,
/// `<daemon set>-<5>` or `<cron job>-<minute>-<5>`; the pod's name when it is none of these. Source: Kubernetes,
/// `SafeEncodeString` (the alphabet of generated names has no vowels and no 0, 1, 3).
pub(super) fn workload(pod: &str) -> &str {
    let pod = of_pods(pod);
    match pod.rsplit_once('-') {
        // Each run of a cron job is a job of its own, named after the Unix time in minutes (once in seconds).
        Some((cron_job, at)) if matches!(at.len(), 8 | 10) && at.bytes().all(|b| b.is_ascii_digit()) => cron_job,
        _ => pod,
    }
}

/// What the pods are of, as their names say.
fn of_pods(pod: &str) -> &str {
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
            // Jobs of a cron job have the minute in their names.
            ("backup-28412340-x7k2p", "backup"),
            ("backup-28412340", "backup"),
        ] {
            assert_eq!(workload(pod), expected);
        }
    }
}
