//! Contracts with other services, before and after a patch: what it breaks, and what it only adds.
//!
//! A difference that is in doubt breaks. Compared are `OpenAPI` (2 and 3), protobuf and Pact; any other kind of contract is
//! refused when it changes, because nothing here can tell.

mod openapi;
mod pact;
mod protobuf;

use backtrail_policy as policy;
use backtrail_policy::FileKind;
use serde_json::Value;

use crate::facts::Changed;

/// Most findings of one file.
const MOST: usize = 50;

/// What a change does to a contract.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Findings {
    breaking: Vec<String>,
    additions: Vec<String>,
}

impl Findings {
    fn breaks(&mut self, what: impl Into<String>) {
        if self.breaking.len() < MOST {
            self.breaking.push(what.into());
        }
    }

    fn adds(&mut self, what: impl Into<String>) {
        if self.additions.len() < MOST {
            self.additions.push(what.into());
        }
    }
}

/// The contracts among changed files. `service` is whose patch it is.
pub(crate) fn compared(changed: &[Changed<'_>], service: &str) -> Vec<policy::Contract> {
    let contracts = changed.iter().filter(|file| file.kind() == FileKind::Contract || file.was_contract());
    contracts.map(|file| of(&file.path, file.before.as_deref(), file.after.as_deref(), service)).collect()
}

fn of(path: &str, before: Option<&str>, after: Option<&str>, service: &str) -> policy::Contract {
    let mut findings = Findings::default();
    let format = match (before, after) {
        (_, None) => {
            findings.breaks("it is removed, or is no text any more");
            "removed"
        }
        (None, Some(_)) => {
            findings.adds("the whole contract");
            "new"
        }
        (Some(before), Some(after)) => match compare(path, before, after, service, &mut findings) {
            Ok(format) => format,
            Err(why) => {
                findings.breaks(format!("it cannot be compared: {why}"));
                "unknown"
            }
        },
    };
    let Findings { breaking, additions } = findings;
    policy::Contract { path: path.to_owned(), format: format.to_owned(), breaking, additions }
}

fn compare(
    path: &str,
    before: &str,
    after: &str,
    service: &str,
    findings: &mut Findings,
) -> Result<&'static str, String> {
    if path.to_lowercase().ends_with(".proto") {
        protobuf::compare(before, after, findings)?;
        return Ok("protobuf");
    }
    let (before, after) = (document(before)?, document(after)?);
    let is = |key: &str| before.get(key).is_some() && after.get(key).is_some();
    if is("openapi") || is("swagger") {
        openapi::compare(&before, &after, findings);
        return Ok("openapi");
    }
    if is("consumer") && is("provider") {
        pact::compare(&before, &after, service, findings);
        return Ok("pact");
    }
    Err("no comparison is known for its kind".into())
}

/// A document of JSON or YAML.
fn document(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(_) => {
            serde_saphyr::from_str(text).map_err(|error| error.to_string().lines().next().unwrap_or_default().into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_compared_breaks_and_a_new_contract_only_adds() {
        let graph = of("api.graphql", Some("type A { a: Int }"), Some("type A { b: Int }"), "pay");
        assert!(graph.breaking[0].contains("cannot be compared"), "{graph:?}");
        assert_eq!(of("api.proto", Some("syntax = \"proto3\";"), None, "pay").breaking.len(), 1);
        let new = of("openapi.yaml", None, Some("openapi: 3.0.0\n"), "pay");
        assert_eq!((new.breaking.len(), new.additions.len()), (0, 1));
        let other = of("contracts/x.json", Some("{\"a\": 1}"), Some("{\"a\": 2}"), "pay");
        assert!(other.breaking[0].contains("no comparison is known"), "{other:?}");
    }
}
