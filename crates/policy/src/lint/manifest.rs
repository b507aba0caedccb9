//! Manifests of Argo Rollouts and Istio, found among the documents of several files.

use super::yaml::{Node, documents};
use super::{At, Finding, Findings};

/// One document with the file that it stands in.
pub(super) struct Manifest {
    pub(super) path: String,
    pub(super) root: Node,
}

impl Manifest {
    pub(super) fn kind(&self) -> &str {
        self.root.get(&["kind"]).and_then(Node::text).unwrap_or_default()
    }

    pub(super) fn name(&self) -> &str {
        self.root.get(&["metadata", "name"]).and_then(Node::text).unwrap_or_default()
    }

    /// The place to name for what is not there: the key of `kind`.
    pub(super) fn at(&self) -> At {
        self.root.key("kind").unwrap_or(self.root.at)
    }

    pub(super) fn findings<'a>(&'a self, all: &'a mut Vec<Finding>) -> Findings<'a> {
        Findings { path: &self.path, all }
    }
}

/// Reads the manifests of a file that are looked at. A file that speaks of them and is no YAML is a finding.
pub(super) fn read(path: &str, text: &str, findings: &mut Findings<'_>) -> Vec<Manifest> {
    let ours = text.contains("argoproj.io/") || text.contains("istio.io/");
    if !ours {
        return Vec::new();
    }
    match documents(text) {
        Ok(documents) => {
            let manifests = documents.into_iter().map(|root| Manifest { path: path.to_owned(), root });
            manifests.filter(|manifest| !manifest.kind().is_empty()).collect()
        }
        Err((at, said)) => {
            findings.add("unreadable", at, format!("this is not YAML: {said}"));
            Vec::new()
        }
    }
}

/// Seconds of `2m`, `1h30m`, `500ms` or a plain number of seconds.
pub(super) fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return Some(number).filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_length = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        total += number
            * match &rest[..unit_length] {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                "w" => 604_800.0,
                "y" => 31_536_000.0,
                _ => return None,
            };
        rest = &rest[unit_length..];
    }
    Some(total).filter(|_| !text.is_empty())
}

/// Seconds as people write them.
pub(super) fn told(seconds: f64) -> String {
    if seconds >= 60.0 && seconds % 60.0 == 0.0 { format!("{}m", seconds / 60.0) } else { format!("{seconds}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_all_their_forms() {
        for (text, expected) in [
            ("2m", Some(120.0)),
            ("1h30m", Some(5400.0)),
            ("500ms", Some(0.5)),
            ("90", Some(90.0)),
            ("", None),
            ("5 m", None),
            ("m", None),
            ("-3", None),
        ] {
            assert_eq!(seconds(text), expected, "{text:?}");
        }
        assert_eq!((told(120.0), told(90.0)), ("2m".to_owned(), "90s".to_owned()));
    }
}
