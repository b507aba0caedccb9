//! Follows Python's scopes through a tree. In doubt a name counts as bound: a false alarm costs a good patch.

use std::collections::HashSet;

use tree_sitter::Node;

use super::NameCheck;
use super::scopes::{Kind, MODULE, Scopes};
use crate::parse::Parsed;
use crate::walk::{Step, line_of, named_children, text_of, walk};

struct Reader<'t> {
    text: &'t str,
    scopes: Scopes<'t>,
    /// The scope of each open node that has one.
    stack: Vec<(usize, usize)>,
    /// Scopes of functions whose parameters are being read and whose body has not begun.
    bodies: Vec<(usize, usize)>,
    /// Identifiers that are no loads: targets, keywords, attributes.
    settled: HashSet<usize>,
    /// Open `try` statements that catch `NameError`.
    excused: Vec<usize>,
    /// Why nothing can be said, once something binds names that cannot be followed.
    blind: Option<String>,
}

pub(super) fn undefined(parsed: &Parsed) -> NameCheck {
    let root = parsed.tree().root_node();
    let mut reader = Reader {
        text: parsed.text(),
        scopes: Scopes::new(),
        stack: vec![(root.id(), MODULE)],
        bodies: Vec::new(),
        settled: HashSet::new(),
        excused: Vec::new(),
        blind: None,
    };
    walk(root, |step| match step {
        Step::Enter(node, field) => reader.blind.is_none() && reader.enter(node, field),
        Step::Leave(node) => {
            reader.leave(node);
            false
        }
    });
    match reader.blind {
        Some(reason) => NameCheck::Unknown(reason),
        None => NameCheck::Known(reader.scopes.undefined()),
    }
}

impl<'t> Reader<'t> {
    fn scope(&self) -> usize {
        self.stack.last().map_or(MODULE, |(_, scope)| *scope)
    }

    fn open(&mut self, node: Node<'t>, kind: Kind) -> usize {
        let scope = self.scopes.open(kind, self.scope());
        self.stack.push((node.id(), scope));
        scope
    }

    fn leave(&mut self, node: Node<'t>) {
        while self.stack.len() > 1 && self.stack.last().is_some_and(|(owner, _)| *owner == node.id()) {
            self.stack.pop();
        }
        if self.bodies.last().is_some_and(|(owner, _)| *owner == node.id()) {
            self.bodies.pop();
        }
        if self.excused.last() == Some(&node.id()) {
            self.excused.pop();
        }
    }

    /// Says whether to look inside.
    fn enter(&mut self, node: Node<'t>, field: Option<&'static str>) -> bool {
        if field == Some("body") {
            self.enter_body(node);
        }
        match node.kind() {
            "function_definition" | "lambda" | "class_definition" => self.definition(node),
            "list_comprehension" | "set_comprehension" | "dictionary_comprehension" | "generator_expression" => {
                self.open(node, Kind::Thin);
            }
            "for_statement" | "for_in_clause" | "assignment" | "augmented_assignment" => {
                self.bind_field(node, "left");
            }
            "named_expression" => {
                if let Some(name) = node.child_by_field_name("name") {
                    self.settled.insert(name.id());
                    self.scopes.bind_outside_comprehensions(self.scope(), text_of(name, self.text));
                }
            }
            "except_clause" | "except_group_clause" | "as_pattern" => self.alias(node),
            "type_alias_statement" => {
                if let Some(left) = node.child_by_field_name("left") {
                    self.bind_all(left, self.scope());
                }
            }
            "import_statement" | "import_from_statement" | "future_import_statement" => {
                self.import(node);
                return false;
            }
            "global_statement" => {
                for name in named_children(node) {
                    self.scopes.bind(MODULE, text_of(name, self.text));
                }
                return false;
            }
            "nonlocal_statement" => return false,
            "keyword_argument" => self.settle_field(node, "name"),
            "attribute" => self.settle_field(node, "attribute"),
            "dotted_name" => {
                self.dotted(node);
                return false;
            }
            "keyword_pattern" => {
                if let Some(name) = node.named_child(0) {
                    self.settled.insert(name.id());
                }
            }
            "splat_pattern" => self.bind_target(node),
            "try_statement" => self.excuse(node),
            "call" => self.look_for_injection(node),
            "decorator" if text_of(node, self.text).contains("global_enum") => {
                self.blind = Some(format!("line {} spills the members of an enum into the module", line_of(node)));
            }
            "identifier" => self.load(node),
            _ => {}
        }
        true
    }

    fn load(&mut self, node: Node<'t>) {
        if self.excused.is_empty() && !self.settled.contains(&node.id()) {
            self.scopes.load(self.scope(), text_of(node, self.text), line_of(node));
        }
    }

    /// Names and parameters of a definition. The body's scope opens later: defaults and annotations stand outside.
    fn definition(&mut self, node: Node<'t>) {
        if let Some(name) = node.child_by_field_name("name") {
            self.settled.insert(name.id());
            self.scopes.bind(self.scope(), text_of(name, self.text));
        }
        let thin = self.open(node, Kind::Thin);
        if let Some(generics) = node.child_by_field_name("type_parameters") {
            self.bind_all(generics, thin);
        }
        let kind = if node.kind() == "class_definition" { Kind::Class } else { Kind::Function };
        let body = self.scopes.open(kind, thin);
        self.bodies.push((node.id(), body));
        let list = node.child_by_field_name("parameters").map(named_children).unwrap_or_default();
        for parameter in list {
            let target = match parameter.kind() {
                "default_parameter" | "typed_default_parameter" => parameter.child_by_field_name("name"),
                "typed_parameter" => parameter.named_child(0),
                _ => Some(parameter),
            };
            if let Some(target) = target {
                self.bind_in(target, body);
            }
        }
    }

    fn enter_body(&mut self, node: Node<'t>) {
        let Some((owner, scope)) = self.bodies.last().copied() else { return };
        // Loops and `with` have bodies too; only the one of the open definition begins its scope.
        let of_definition = self.stack.last().is_some_and(|(open, _)| *open == owner)
            && node.parent().is_some_and(|parent| parent.id() == owner);
        if of_definition {
            self.stack.push((node.id(), scope));
        }
    }

    fn bind_field(&mut self, node: Node<'t>, field: &str) {
        if let Some(target) = node.child_by_field_name(field) {
            self.bind_target(target);
        }
    }

    fn settle_field(&mut self, node: Node<'t>, field: &str) {
        if let Some(name) = node.child_by_field_name(field) {
            self.settled.insert(name.id());
        }
    }

    fn bind_target(&mut self, target: Node<'t>) {
        self.bind_in(target, self.scope());
    }

    /// Binds the names of a pattern; `a.b` and `a[b]` bind nothing, what they are made of is loaded.
    fn bind_in(&mut self, target: Node<'t>, scope: usize) {
        walk(target, |step| {
            let Step::Enter(node, _) = step else { return false };
            match node.kind() {
                "identifier" => {
                    self.settled.insert(node.id());
                    self.scopes.bind(scope, text_of(node, self.text));
                    false
                }
                "attribute" | "subscript" | "call" | "type" => false,
                _ => true,
            }
        });
    }

    fn bind_all(&mut self, node: Node<'t>, scope: usize) {
        walk(node, |step| {
            if let Step::Enter(node, _) = step
                && node.kind() == "identifier"
            {
                self.settled.insert(node.id());
                self.scopes.bind(scope, text_of(node, self.text));
            }
            true
        });
    }

    /// `except E as e`, `with f() as x`, `case P() as x`.
    fn alias(&mut self, node: Node<'t>) {
        if let Some(alias) = node.child_by_field_name("alias") {
            self.bind_target(alias);
        } else if node.kind() == "as_pattern"
            && let Some(last) = named_children(node).last().copied().filter(|last| last.kind() == "identifier")
        {
            self.bind_target(last);
        }
    }

    fn import(&mut self, node: Node<'t>) {
        let from = node.kind() != "import_statement";
        let module = node.child_by_field_name("module_name").map(|module| module.id());
        for part in named_children(node) {
            if Some(part.id()) == module {
                continue;
            }
            match part.kind() {
                "wildcard_import" => {
                    self.blind = Some(format!("line {} imports every name of a module", line_of(part)));
                }
                "aliased_import" => self.bind_field(part, "alias"),
                "dotted_name" => {
                    let name = text_of(part, self.text);
                    // `import a.b` binds `a`; `from m import b` has no dots.
                    let name = if from { name } else { name.split('.').next().unwrap_or(name).trim() };
                    self.scopes.bind(self.scope(), name);
                }
                _ => {}
            }
        }
    }

    /// Dotted names of patterns: `case Color.RED` loads, `case point` binds, `case Point(..)` loads.
    fn dotted(&mut self, node: Node<'t>) {
        let parts = named_children(node);
        let Some(first) = parts.first().copied() else { return };
        let is_class = node.parent().is_some_and(|parent| parent.kind() == "class_pattern");
        if parts.len() > 1 || is_class {
            self.load(first);
        } else {
            self.scopes.bind(self.scope(), text_of(first, self.text));
        }
    }

    fn excuse(&mut self, node: Node<'t>) {
        let catches =
            named_children(node).into_iter().filter(|clause| clause.kind().starts_with("except")).any(|clause| {
                let head = text_of(clause, self.text).lines().next().unwrap_or_default();
                head.contains("NameError") || head.trim_end() == "except:" || head.contains("except Exception")
            });
        if catches {
            self.excused.push(node.id());
        }
    }

    /// `exec(..)`, `globals()[..] = ..`, `globals().update(..)`, `g = globals()`, enums that spill their members into
    /// the module: names that no reader of the text can know.
    fn look_for_injection(&mut self, node: Node<'t>) {
        let Some(function) = node.child_by_field_name("function") else { return };
        let callee = text_of(function, self.text);
        let arguments = node.child_by_field_name("arguments");
        let hidden = match callee {
            // With a namespace of its own it binds nothing here.
            "exec" => arguments.is_some_and(|arguments| {
                arguments.named_child_count() < 2 || text_of(arguments, self.text).contains("globals()")
            }),
            "globals().update" | "vars().update" | "locals().update" => true,
            "globals" | "vars" | "locals" if arguments.is_some_and(|arguments| arguments.named_child_count() == 0) => {
                is_written_to(node)
            }
            _ => callee.ends_with("._convert_") || callee.ends_with("._convert"),
        };
        if hidden {
            self.blind = Some(format!("line {} binds names at run time by {callee}", line_of(node)));
        }
    }
}

/// Whether a namespace is kept in a variable or has an item set.
fn is_written_to(namespace: Node<'_>) -> bool {
    let Some(parent) = namespace.parent() else { return false };
    let is_side = |node: Node<'_>, of: Node<'_>, side: &str| {
        of.kind() == "assignment" && of.child_by_field_name(side).is_some_and(|found| found.id() == node.id())
    };
    match parent.kind() {
        "subscript" => parent.parent().is_some_and(|above| is_side(parent, above, "left")),
        _ => is_side(namespace, parent, "right"),
    }
}
