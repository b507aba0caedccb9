//! The digest of a configuration, for provenance: equal digests mean equal results on equal input.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::graph::Graph;
use crate::service::Service;

/// The first 16 hex digits of SHA-256 over the pipelines, the service and every node of the graph, defaults filled in. Secrets print as `***` and
/// so change nothing; paths and the number of shards are left out.
pub(super) fn digest(service: &Service, graph: &Graph) -> String {
    let mut service = json!(service);
    if let Value::Object(map) = &mut service {
        // Like paths, these change no result.
        map.remove("shards");
        map.remove("admin");
    }
    let nodes: Map<String, Value> = graph.nodes.iter().map(|node| (node.name.clone(), node.part.json())).collect();
    let mut canonical = String::new();
    write(&json!({ "service": service, "nodes": nodes }), &mut canonical);
    let hash = Sha256::digest(canonical.as_bytes());
    let first: [u8; 8] = std::array::from_fn(|index| hash[index]);
    format!("{:016x}", u64::from_be_bytes(first))
}

/// Whether a key holds a place on disk.
fn is_path(key: &str) -> bool {
    matches!(key, "path" | "dir" | "directory" | "file")
        || ["_path", "_dir", "_directory", "_file"].iter().any(|end| key.ends_with(end))
}

/// Compact JSON with sorted keys, whatever order the maps have.
fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().filter(|key| !is_path(key)).collect();
            keys.sort();
            out.push('{');
            for key in keys {
                out.push_str(&json!(key).to_string());
                out.push(':');
                write(&map[key], out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write(item, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}
