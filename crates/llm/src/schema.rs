//! The JSON schema of an answer. It is a request, not a promise: [`crate::answer`] checks everything again.

use serde_json::{Value, json};

/// The name of the schema and of the tool.
pub(crate) const NAME: &str = "propose_edits";

/// The schema. Every property is required and none is added, as the strict mode of `response_format` wants it; limits of
/// counts and lengths are told in words, because that mode does not know them everywhere.
pub(crate) fn answer() -> Value {
    let text = |says: &str| json!({ "type": "string", "description": says });
    let object = |properties: Value| {
        let required: Vec<String> =
            properties.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        json!({ "type": "object", "additionalProperties": false, "required": required, "properties": properties })
    };
    let edit = object(json!({
        "path": text("one of the files of the CODE sections"),
        "search": text("text that stands exactly once in the file, with its white space"),
        "replace": text("what stands there afterwards"),
    }));
    let test = object(json!({
        "path": text("a new test file"),
        "content": text("the whole file; it fails before the edits and passes after them"),
    }));
    let candidate = object(json!({
        "title": text("what it does, in ten words"),
        "why": text("how the facts lead to it"),
        "mechanism": text("which measurable quantity moves, and in which direction"),
        "risk": text("what can go wrong"),
        "edits": { "type": "array", "items": edit },
        "tests": { "type": "array", "items": test },
    }));
    object(json!({ "candidates": { "type": "array", "items": candidate } }))
}
