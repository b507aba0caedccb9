//! What is found in a file: functions, calls, routes and syntax errors.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::walk::head;

/// How a test function finds its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TestKind {
    /// The inputs are written down.
    Unit,
    /// The inputs are generated: hypothesis, proptest, jqwik, fast-check, `testing/quick`, Go fuzzing, `FsCheck`.
    Property,
}

/// One parameter of a function, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// The name; a pattern is given as its text.
    pub name: String,
    /// The type as written, white space folded.
    pub kind: Option<String>,
    /// Whether a caller may leave it out.
    pub optional: bool,
    /// Whether it takes any number of arguments.
    pub variadic: bool,
    /// Whether it can only be given by name (Python, after `*`).
    pub keyword_only: bool,
}

/// A decorator, annotation or attribute: `@app.get("/x")`, `@GetMapping("/x")`, `[HttpGet("x")]`, `#[test]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// The dotted name before the arguments.
    pub path: String,
    /// The text between the brackets of the arguments; empty without any.
    pub arguments: String,
}

/// Bytes of an attribute that are kept: every method of a class looks at the attributes of the class.
const MAX_ATTRIBUTE: usize = 2_000;

impl Attribute {
    fn new(path: &str, arguments: &str) -> Self {
        let kept = |text| head(text, MAX_ATTRIBUTE).to_owned();
        Self { path: kept(path.trim()), arguments: kept(arguments) }
    }

    /// Reads an attribute from its text, in the spelling of any of the languages.
    pub(crate) fn of_text(text: &str) -> Self {
        let inner = text.trim().trim_start_matches("#!").trim_start_matches('#').trim_start_matches('@');
        let inner = match inner.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').unwrap_or(rest),
            None => inner,
        };
        match inner.split_once('(') {
            Some((path, rest)) => {
                let arguments = rest.trim_end().strip_suffix(')').unwrap_or(rest);
                Self::new(path, arguments)
            }
            None => Self::new(inner, ""),
        }
    }

    /// The last part of the path: `get` of `app.get`.
    pub fn name(&self) -> &str {
        self.path.rsplit(['.', ':']).next().unwrap_or_default()
    }

    /// The string literals among the arguments, in order.
    pub fn literals(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut rest = self.arguments.as_str();
        while let Some(start) = rest.find(['"', '\'', '`']) {
            let quote = rest[start..].chars().next().unwrap_or('"');
            let after = &rest[start + 1..];
            let Some(end) = after.find(quote) else { break };
            found.push(after[..end].to_owned());
            rest = &after[end + 1..];
        }
        found
    }
}

/// One function, method, constructor, or named piece of code that a test or a route runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    /// The bare name.
    pub name: String,
    /// The name with what holds it: `Class.method`, `Type::method`, `(*T).Method`, `outer.inner`.
    pub qualified: String,
    /// The type that holds it, without pointer and generics.
    pub holder: Option<String>,
    /// Package, namespace or inline module written in the file: `com.x.orders`, `main`, `Shop.Api`.
    pub namespace: Option<String>,
    /// First line, decorators and attributes included, counted from 1.
    pub start_line: u32,
    /// Line of the name: where stack traces and `code.line.number` begin to point.
    pub name_line: u32,
    /// Last line.
    pub end_line: u32,
    /// The whole text, decorators and attributes included.
    pub bytes: Range<usize>,
    /// The body; `None` for a declaration without one.
    pub body: Option<Range<usize>>,
    /// The parameters as written, `self` included.
    pub parameters: Vec<Parameter>,
    /// Whether the language's own rule lets other modules call it.
    pub public: bool,
    /// Whether a test runner would run it.
    pub test: Option<TestKind>,
    /// Decorators, annotations, attributes.
    pub attributes: Vec<Attribute>,
    /// The function that this one is written inside, by its place in [`crate::Parsed::functions`].
    pub inside: Option<usize>,
}

impl Function {
    /// Whether a line, counted from 1, belongs to it.
    pub fn covers(&self, line: u32) -> bool {
        (self.start_line..=self.end_line).contains(&line)
    }
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The calling function by its place in [`crate::Parsed::functions`]; `None` at the top of a file.
    pub caller: Option<usize>,
    /// What is called, as written: `self.bank.charge`; the last 160 bytes of a long chain.
    pub callee: String,
    /// The last name of it: `charge`.
    pub name: String,
    /// Line, counted from 1.
    pub line: u32,
}

/// A place where a request comes in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The handling function by its place in [`crate::Parsed::functions`], when it is in the same file.
    pub function: Option<usize>,
    /// The handler as written, for one that stands in another file.
    pub handler: String,
    /// The HTTP method in capitals; `None` when the registration takes any.
    pub method: Option<String>,
    /// The route as written, with the prefix of its class when that has one.
    pub route: String,
    /// Line of the registration, counted from 1.
    pub line: u32,
}

/// A place where the text does not follow the grammar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyntaxError {
    /// Line, counted from 1.
    pub line: u32,
    /// Column in bytes, counted from 1.
    pub column: u32,
    /// What is wrong, as far as the grammar tells: a missing token by name, or the text that fits nowhere.
    pub message: String,
}
