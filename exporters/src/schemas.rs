//! What leaves backtrail, described from the types themselves: JSON Schemas of documents, and the tables.

use backtrail_model::incident::Incident;
use backtrail_model::patch_request::PatchRequest;
use backtrail_model::verdict::Verdict;
use schemars::{Schema, schema_for};

/// Name and schema of every document, in alphabetical order.
pub fn documents() -> Vec<(&'static str, Schema)> {
    vec![
        ("incident.v1", schema_for!(Incident)),
        ("patch_request.v1", schema_for!(PatchRequest)),
        ("verdict.v1", schema_for!(Verdict)),
    ]
}

/// Markdown that lists every table and column of the Parquet store.
pub fn tables() -> String {
    backtrail_store::reference()
}

#[cfg(test)]
mod tests {
    #[test]
    fn documents_have_schemas_with_descriptions() {
        for (name, schema) in super::documents() {
            let schema = schema.to_value();
            assert!(schema["description"].is_string() && schema["properties"].is_object(), "{name}");
        }
    }
}
