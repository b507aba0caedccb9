//! From text to a tree with everything that is asked of it, within limits.

use std::sync::Arc;

use tree_sitter::{Node, ParseOptions, ParseState, Parser, Tree};

use crate::function::{Call, Function, Route, SyntaxError};
use crate::language::Language;
use crate::walk::{Step, head, line_of, text_of, walk};

/// Why a text was not parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// More bytes than the limit.
    #[error("the text has {bytes} bytes, more than the limit of {limit}; leave the file out or raise the limit")]
    TooLarge {
        /// Size of the text.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The parser needed more steps than the limit, as it does on text that is not of this language.
    #[error("the {language} parser gave up after {steps} steps at byte {at}; is the file really {language}?")]
    TooSlow {
        /// The language that was tried.
        language: Language,
        /// The steps done.
        steps: u64,
        /// How far it came.
        at: usize,
    },
    /// Brackets or chains nested deeper than the limit.
    #[error("line {line} is nested more than {limit} levels deep; leave the file out or raise the limit")]
    TooDeep {
        /// Where the limit was reached.
        line: u32,
        /// The limit.
        limit: usize,
    },
    /// The grammar and the library do not fit together: a defect of this build.
    #[error("the {language} grammar does not load: {reason}")]
    Grammar {
        /// The language.
        language: Language,
        /// What the library says.
        reason: String,
    },
}

/// What a single parse may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseLimits {
    /// Bytes of text.
    pub bytes: usize,
    /// Steps of the parser. They are counted and not timed, so that the same text always gives the same answer. A text is
    /// also held to one step for every 16 of its bytes and 2000 more: real files of all the languages need at most one
    /// for every 47, while mending a text of another language takes many, and slow ones.
    pub steps: u64,
    /// Levels of nesting in the tree.
    pub depth: usize,
}

impl Default for ParseLimits {
    fn default() -> Self {
        Self { bytes: 2 << 20, steps: 200_000, depth: 2_000 }
    }
}

/// How many syntax errors are listed for one file.
const MAX_ERRORS: usize = 100;

/// A text with its tree and what was found in it.
#[derive(Debug, Clone)]
pub struct Parsed {
    language: Language,
    text: Arc<str>,
    tree: Tree,
    functions: Vec<Function>,
    calls: Vec<Call>,
    routes: Vec<Route>,
    errors: Vec<SyntaxError>,
}

/// Parses a text within the usual limits.
///
/// ```
/// use backtrail_code::{Language, parse};
/// let parsed = parse(Language::Python, "class Bank:\n    def charge(self, cents):\n        return post(cents)\n")?;
/// let charge = &parsed.functions()[0];
/// assert_eq!((charge.qualified.as_str(), charge.start_line, charge.end_line), ("Bank.charge", 2, 3));
/// assert_eq!(parsed.calls()[0].callee, "post");
/// assert!(parsed.errors().is_empty());
/// # Ok::<(), backtrail_code::ParseError>(())
/// ```
pub fn parse(language: Language, text: impl Into<Arc<str>>) -> Result<Parsed, ParseError> {
    parse_within(ParseLimits::default(), language, text)
}

/// Parses a text within the given limits.
pub fn parse_within(limits: ParseLimits, language: Language, text: impl Into<Arc<str>>) -> Result<Parsed, ParseError> {
    let text = text.into();
    if text.len() > limits.bytes {
        return Err(ParseError::TooLarge { bytes: text.len(), limit: limits.bytes });
    }
    let tree = tree_of(limits, language, &text)?;
    check_depth(&tree, limits.depth)?;
    let found = crate::extract::extract(language, &text, &tree);
    let errors = syntax_errors(&tree, &text);
    let (functions, calls, routes) = (found.functions, found.calls, found.routes);
    Ok(Parsed { language, text, tree, functions, calls, routes, errors })
}

impl Parsed {
    /// The language it was parsed as.
    pub fn language(&self) -> Language {
        self.language
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The concrete syntax tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The text of a node of this tree.
    pub fn text_of(&self, node: Node<'_>) -> &str {
        text_of(node, &self.text)
    }

    /// The functions in the order of the text.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The calls in the order of the text.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// The routes registered in this file.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Where the text does not follow the grammar, the first hundred places. A grammar is younger or older than a
    /// compiler (8 of 4336 real files that compile have one), so a patch is judged by the errors it adds.
    pub fn errors(&self) -> &[SyntaxError] {
        &self.errors
    }

    pub(crate) fn into_found(self) -> (Vec<Function>, Vec<Call>, Vec<Route>) {
        (self.functions, self.calls, self.routes)
    }

    /// The innermost function that covers a line, counted from 1.
    pub fn function_at(&self, line: u32) -> Option<usize> {
        let covering = self.functions.iter().enumerate().filter(|(_, function)| function.covers(line));
        covering.min_by_key(|(place, function)| (function.bytes.len(), usize::MAX - place)).map(|(place, _)| place)
    }

    /// The text of a function, decorators and attributes included.
    pub fn text_of_function(&self, place: usize) -> &str {
        let bytes = self.functions.get(place).map(|function| function.bytes.clone());
        bytes.and_then(|bytes| self.text.get(bytes)).unwrap_or_default()
    }

    /// The smallest node that holds the whole text of a function, without decorators and attributes.
    pub fn node_of(&self, place: usize) -> Option<Node<'_>> {
        let function = self.functions.get(place)?;
        let end = function.bytes.end;
        let start = function.body.as_ref().map_or(function.bytes.start, |body| body.start.min(end));
        let mut node = self.tree.root_node().descendant_for_byte_range(start, start)?;
        while !(node.end_byte() == end && node.start_byte() < start) {
            node = node.parent()?;
        }
        Some(node)
    }
}

fn tree_of(limits: ParseLimits, language: Language, text: &str) -> Result<Tree, ParseError> {
    let mut parser = Parser::new();
    parser
        .set_language(&language.grammar())
        .map_err(|error| ParseError::Grammar { language, reason: error.to_string() })?;
    let mut steps = 0u64;
    let mut at = 0;
    let limit = limits.steps.min(2_000 + text.len() as u64 / 16);
    let mut too_many = |state: &ParseState| {
        steps += 1;
        at = state.current_byte_offset();
        steps > limit
    };
    let options = ParseOptions::new().progress_callback(&mut too_many);
    let bytes = text.as_bytes();
    let tree = parser.parse_with_options(&mut |from, _| bytes.get(from..).unwrap_or_default(), None, Some(options));
    tree.ok_or(ParseError::TooSlow { language, steps, at })
}

fn check_depth(tree: &Tree, limit: usize) -> Result<(), ParseError> {
    let mut depth = 0usize;
    let mut too_deep = None;
    walk(tree.root_node(), |step| {
        match step {
            Step::Enter(node, _) => {
                depth += 1;
                if depth > limit {
                    too_deep.get_or_insert(line_of(node));
                }
            }
            Step::Leave(_) => depth -= 1,
        }
        too_deep.is_none()
    });
    too_deep.map_or(Ok(()), |line| Err(ParseError::TooDeep { line, limit }))
}

fn syntax_errors(tree: &Tree, text: &str) -> Vec<SyntaxError> {
    let mut errors = Vec::new();
    walk(tree.root_node(), |step| {
        let Step::Enter(node, _) = step else { return false };
        if errors.len() >= MAX_ERRORS || !node.has_error() {
            return false;
        }
        if node.is_missing() || node.is_error() {
            let start = node.start_position();
            let message = if node.is_missing() {
                format!("'{}' is missing", node.kind())
            } else {
                let line = text_of(node, text).lines().next().unwrap_or_default();
                format!("'{}' does not fit here", head(line.trim(), 60))
            };
            errors.push(SyntaxError { line: start.row as u32 + 1, column: start.column as u32 + 1, message });
        }
        !node.is_error()
    });
    errors
}
