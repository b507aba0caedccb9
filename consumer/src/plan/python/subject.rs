//! How a test gets at the suspect: the call that an existing test makes, with what it needs.

use std::collections::BTreeSet;

use backtrail_code::tree_sitter::Node;
use backtrail_code::{Language, Parsed, undefined_names};
use backtrail_policy::{FileKind, kind_of};

use super::imports::import_lines;
use super::{Target, callee, named, own};
use crate::context::Context;

/// Names of what a test gets from elsewhere and that are an address: any will do, since nothing is sent.
const ADDRESSES: [&str; 8] = ["url", "base_url", "bank_url", "server_url", "address", "endpoint", "host", "uri"];
const ADDRESS: &str = "\"http://localhost:9\"";
/// Most steps from the call to all that it needs.
const MOST_STEPS: usize = 64;

/// The suspect as a test gets it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Subject {
    /// The test file that it is taken from.
    pub(crate) from: String,
    /// Statements that import.
    pub(crate) imports: BTreeSet<String>,
    /// Definitions that the test file has beside its tests.
    pub(crate) support: Vec<String>,
    /// Statements and, last, the object; empty for a function that stands alone.
    pub(crate) build: Vec<String>,
    /// Statements and, last, the call on `subject`.
    pub(crate) call: Vec<String>,
}

impl Subject {
    /// The first call of the suspect in an existing test that can stand alone.
    pub(crate) fn find(context: &Context, target: &Target<'_>) -> Result<Self, String> {
        let mut why = None;
        for (path, parsed) in &context.sources {
            if parsed.language() != Language::Python || kind_of(path) != FileKind::Test {
                continue;
            }
            let tests = parsed.functions().iter().enumerate().filter(|(_, function)| function.test.is_some());
            for (place, _) in tests {
                let test = Test { path, parsed, place };
                for call in test.calls(target) {
                    match test.subject(target, call) {
                        Ok(subject) => return Ok(subject),
                        Err(reason) => why = why.or(Some(reason)),
                    }
                }
            }
        }
        let none = || format!("no existing test calls {}", target.qualified());
        Err(why.map_or_else(none, |why| format!("no existing test shows how {} is built: {why}", target.qualified())))
    }
}

/// A test of the repository.
struct Test<'a> {
    path: &'a str,
    parsed: &'a Parsed,
    place: usize,
}

impl<'a> Test<'a> {
    fn nodes(&self) -> Vec<Node<'a>> {
        self.parsed.node_of(self.place).map(own).unwrap_or_default()
    }

    fn calls(&self, target: &Target<'_>) -> Vec<Node<'a>> {
        let mut nodes = self.nodes();
        nodes.retain(|node| {
            node.kind() == "call" && callee(self.parsed, *node).rsplit('.').next() == Some(target.name())
        });
        nodes
    }

    fn subject(&self, target: &Target<'_>, call: Node<'_>) -> Result<Subject, String> {
        let mut subject = Subject { from: self.path.to_owned(), ..Subject::default() };
        let function = call.child_by_field_name("function").ok_or("it is no call")?;
        let arguments = call.child_by_field_name("arguments").map_or("()", |node| self.parsed.text_of(node));
        if let Some(holder) = target.holder() {
            let object = function.child_by_field_name("object").ok_or("it is called without an object")?;
            self.add_with_locals(self.parsed.text_of(object), &mut subject, true)?;
            let text = subject.build.iter().chain(&subject.support);
            if !text.clone().any(|text| crate::context::has_word(text, holder)) {
                return Err(format!("'{}' is no {holder}", self.parsed.text_of(object)));
            }
            self.add_with_locals(&format!("subject.{}{arguments}", target.name()), &mut subject, false)?;
        } else {
            self.add_with_locals(&format!("{}{arguments}", self.parsed.text_of(function)), &mut subject, false)?;
        }
        Ok(subject)
    }

    /// Adds an expression of the test, its local names first.
    fn add_with_locals(&self, expression: &str, subject: &mut Subject, build: bool) -> Result<(), String> {
        if expression.contains('\n') {
            return Err(format!("'{}' goes over several lines", expression.lines().next().unwrap_or_default()));
        }
        let (mut lines, mut open, mut known) = (Vec::new(), vec![expression.to_owned()], BTreeSet::new());
        known.insert("subject".to_owned());
        let mut steps = 0;
        while let Some(text) = open.pop() {
            for name in free(&text)? {
                steps += 1;
                if steps > MOST_STEPS {
                    return Err("it needs too much".into());
                }
                if !known.insert(name.clone()) {
                    continue;
                }
                if let Some(value) = self.local(&name) {
                    lines.push(format!("{name} = {value}"));
                    open.push(value);
                } else if self.is_given(&name) {
                    if !ADDRESSES.contains(&name.as_str()) {
                        return Err(format!("'{name}' is given to the test"));
                    }
                    lines.push(format!("{name} = {ADDRESS}"));
                } else {
                    self.support(&name, subject, 0)?;
                }
            }
        }
        lines.reverse();
        lines.push(expression.to_owned());
        if build {
            subject.build = lines;
        } else {
            subject.call = lines;
        }
        Ok(())
    }

    /// What the test gives a name by one plain assignment.
    fn local(&self, name: &str) -> Option<String> {
        let nodes = self.nodes();
        let mut values = nodes
            .iter()
            .filter(|node| node.kind() == "assignment")
            .filter(|node| node.child_by_field_name("left").is_some_and(|left| self.parsed.text_of(left) == name));
        match (values.next(), values.next()) {
            (Some(one), None) => {
                let value = self.parsed.text_of(one.child_by_field_name("right")?);
                (!value.contains('\n')).then(|| value.to_owned())
            }
            _ => None,
        }
    }

    /// Whether the test binds a name in another way: a parameter, a `with`, a loop, several assignments.
    fn is_given(&self, name: &str) -> bool {
        let is_name = |node: &Node<'_>| node.kind() == "identifier" && self.parsed.text_of(*node) == name;
        self.nodes().into_iter().filter(is_name).any(|node| {
            let mut at = node;
            while let Some(parent) = at.parent() {
                match parent.kind() {
                    "parameters" | "as_pattern_target" => return true,
                    "assignment" | "for_statement" => return parent.child_by_field_name("left") == Some(at),
                    "tuple" | "pattern_list" | "tuple_pattern" | "list_pattern" | "typed_parameter"
                    | "default_parameter" => {
                        at = parent;
                    }
                    _ => return false,
                }
            }
            false
        })
    }

    /// Adds what the test file defines or imports by a name, and all that this needs.
    fn support(&self, name: &str, subject: &mut Subject, depth: usize) -> Result<(), String> {
        if depth > MOST_STEPS {
            return Err("it needs too much".into());
        }
        if let Some(import) = import_lines(self.path, self.parsed).into_iter().find(|import| import.name == name) {
            subject.imports.insert(import.line);
            return Ok(());
        }
        let definition = named(self.parsed.tree().root_node()).into_iter().find(|node| self.binds(*node, name));
        let text = self.parsed.text_of(definition.ok_or_else(|| format!("'{name}' is not known"))?);
        if text.contains("pytest.fixture") {
            return Err(format!("'{name}' is a fixture"));
        }
        if subject.support.iter().any(|known| known == text) {
            return Ok(());
        }
        let place = subject.support.len();
        subject.support.push(text.to_owned());
        for needed in free(text)? {
            self.support(&needed, subject, depth + 1)?;
        }
        // What it needs comes first.
        let text = subject.support.remove(place);
        subject.support.push(text);
        Ok(())
    }

    fn binds(&self, node: Node<'_>, name: &str) -> bool {
        let is = |node: Option<Node<'_>>| node.is_some_and(|node| self.parsed.text_of(node) == name);
        match node.kind() {
            "function_definition" | "class_definition" => is(node.child_by_field_name("name")),
            "decorated_definition" => {
                node.child_by_field_name("definition").is_some_and(|inner| is(inner.child_by_field_name("name")))
            }
            "expression_statement" => named(node)
                .into_iter()
                .any(|inner| inner.kind() == "assignment" && is(inner.child_by_field_name("left"))),
            _ => false,
        }
    }
}

/// Names that a text uses and does not bind.
fn free(text: &str) -> Result<Vec<String>, String> {
    let check = undefined_names(Language::Python, text).map_err(|error| error.to_string())?;
    if let backtrail_code::NameCheck::Unknown(why) = &check {
        return Err(why.clone());
    }
    Ok(check.undefined().iter().map(|name| name.name.clone()).collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use backtrail_code::parse;

    use super::*;

    const TEST: &str = "import pytest\nfrom pay.bank import Bank, Gone\nfrom pay.fake import fake\n\nCONFIG = {\"a\": 1}\n\n\ndef bank(url, **more):\n    return Bank(url, CONFIG | more)\n\n\ndef test_it():\n    with fake() as (server, url):\n        assert bank(url).charge(\"o\", 1) == 2\n\n\ndef test_server():\n    with fake() as server:\n        order = \"o-2\"\n        one = Bank(server.url, CONFIG)\n        assert one.charge(order, 1)\n";

    fn subject(text: &str, place: usize) -> Result<Subject, String> {
        let code = "class Bank:\n    def charge(self, order, cents):\n        return 2\n";
        let code = parse(Language::Python, code).expect("parses");
        let target = Target { path: "pay/bank.py", parsed: &code, place: 0 };
        let parsed = parse(Language::Python, text).expect("parses");
        let test = Test { path: "tests/test_bank.py", parsed: &parsed, place };
        let call = *test.calls(&target).first().ok_or("no call")?;
        test.subject(&target, call)
    }

    #[test]
    fn the_call_comes_with_all_that_it_needs() {
        let found = subject(TEST, 1).expect("it stands alone");
        assert_eq!(found.build, ["url = \"http://localhost:9\"", "bank(url)"]);
        assert_eq!(found.call, ["subject.charge(\"o\", 1)"]);
        assert_eq!(found.imports.iter().collect::<Vec<_>>(), ["from pay.bank import Bank"]);
        assert_eq!(found.support.len(), 2);
        assert!(found.support[0].starts_with("CONFIG") && found.support[1].starts_with("def bank"), "{found:?}");
    }

    #[test]
    fn what_only_the_test_has_is_refused_by_name() {
        let why = subject(TEST, 2).expect_err("the server is not known");
        assert!(why.contains("'server' is given to the test"), "{why}");
        let other = TEST.replace("return Bank(url, CONFIG | more)", "return Other(url)");
        let why = subject(&other, 1).expect_err("another class");
        assert!(why.contains("'Other' is not known"), "{why}");
    }
}
