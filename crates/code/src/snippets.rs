//! The code worth showing to a reader with little room: a person or a model.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::index::{FunctionId, Index};

/// Why a piece of code is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A function under suspicion.
    Suspect,
    /// The signature of a function that calls a suspect.
    Caller,
    /// The signature of a function that a suspect calls.
    Callee,
    /// A test that reaches a suspect.
    Test,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Suspect => "suspect",
            Self::Caller => "calls a suspect",
            Self::Callee => "called by a suspect",
            Self::Test => "tests a suspect",
        }
    }
}

/// Some whole lines of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snippet {
    /// The path in the repository.
    pub path: String,
    /// The function.
    pub function: String,
    /// Why it is here.
    pub role: Role,
    /// First line, counted from 1.
    pub start_line: u32,
    /// Last line.
    pub end_line: u32,
    /// A heading and the lines, each with its number.
    pub text: String,
    /// Whether lines at the end were left out because they did not fit.
    pub cut: bool,
}

/// What fits into a budget.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snippets {
    /// The pieces, in order of worth.
    pub pieces: Vec<Snippet>,
    /// Bytes of all texts together; never more than the budget.
    pub bytes: usize,
    /// Pieces that did not fit at all.
    pub left_out: usize,
}

impl Snippets {
    /// All texts one after the other.
    pub fn text(&self) -> String {
        self.pieces.iter().map(|piece| piece.text.as_str()).collect()
    }
}

/// How many pieces are looked at; what comes later is worth little.
const MAX_PIECES: usize = 400;

/// Picks code for a budget of bytes: suspects whole, by score; then the signatures of their callers, by the score of the
/// suspect; then the nearest tests; then the signatures of what they call. A suspect that does not fit is cut after its
/// last whole line that does; of the others only whole pieces are taken. Scores that are no numbers come last.
///
/// ```
/// use backtrail_code::{Index, IndexLimits, snippets};
/// let index = Index::build(IndexLimits::default(), [("a.py", "def f():\n    g()\n\ndef g():\n    return 1\n")]);
/// let g = index.named("g").one().expect("there is one g");
/// let chosen = snippets(&index, &[(g, 0.9)], 1_000);
/// assert_eq!(chosen.text(), "a.py:4-5 g (suspect)\n4 | def g():\n5 |     return 1\na.py:1-1 f (calls a suspect)\n1 | def f():\n");
/// ```
pub fn snippets(index: &Index, scores: &[(FunctionId, f64)], budget: usize) -> Snippets {
    let mut chosen = Snippets::default();
    // Lines shown already, so that nested functions and signatures do not come twice.
    let mut shown: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
    for (id, role) in wanted(index, scores) {
        let Some((start, end)) = span(index, id, role) else { continue };
        let lines = shown.entry(id.file).or_default();
        if lines.iter().any(|(from, to)| *from <= start && end <= *to) {
            continue;
        }
        let room = budget - chosen.bytes;
        match snippet(index, id, role, (start, end), room) {
            Some(piece) => {
                lines.push((piece.start_line, piece.end_line));
                chosen.bytes += piece.text.len();
                chosen.pieces.push(piece);
            }
            None => chosen.left_out += 1,
        }
    }
    chosen
}

/// The functions to show in order of worth, each once.
fn wanted(index: &Index, scores: &[(FunctionId, f64)]) -> Vec<(FunctionId, Role)> {
    let mut suspects: Vec<_> = scores.iter().filter(|(id, _)| index.function(*id).is_some()).copied().collect();
    let worth = |score: f64| if score.is_nan() { f64::NEG_INFINITY } else { score };
    suspects.sort_by(|(a, one), (b, other)| worth(*other).total_cmp(&worth(*one)).then(a.cmp(b)));
    suspects.truncate(MAX_PIECES);
    let mut order: Vec<(FunctionId, Role)> = suspects.iter().map(|(id, _)| (*id, Role::Suspect)).collect();
    for role in [Role::Caller, Role::Test, Role::Callee] {
        for (id, _) in &suspects {
            if order.len() >= MAX_PIECES * 2 {
                break;
            }
            let is_test = |id: FunctionId| index.function(id).is_some_and(|function| function.test.is_some());
            let related = match role {
                Role::Test => index.tests_of(*id),
                Role::Callee => index.callees(*id),
                _ => index.direct_callers(*id).into_iter().filter(|caller| !is_test(caller.function)).collect(),
            };
            order.extend(related.into_iter().map(|caller| (caller.function, role)));
        }
    }
    let mut seen = HashSet::new();
    order.retain(|(id, _)| seen.insert(*id));
    order.truncate(MAX_PIECES);
    order
}

/// The lines of a piece: the whole function, or its signature up to where the body begins.
fn span(index: &Index, id: FunctionId, role: Role) -> Option<(u32, u32)> {
    let function = index.function(id)?;
    let whole = matches!(role, Role::Suspect | Role::Test);
    let Some(body) = function.body.as_ref().filter(|_| !whole) else {
        return Some((function.start_line, function.end_line));
    };
    let text = index.text(index.path_of(id))?;
    let signature = text.get(function.bytes.start..body.start)?.trim_end();
    let last = function.start_line + signature.matches('\n').count() as u32;
    Some((function.start_line, last))
}

fn snippet(index: &Index, id: FunctionId, role: Role, (start, end): (u32, u32), room: usize) -> Option<Snippet> {
    let function = index.function(id)?;
    let path = index.path_of(id);
    let source = index.text(path)?;
    let width = end.to_string().len();
    let lines = source.lines().enumerate().skip(start as usize - 1).take((end + 1 - start) as usize);
    let heading = |last: u32| format!("{path}:{start}-{last} {} ({})\n", function.qualified, role.name());
    let (mut body, mut last, mut cut) = (String::new(), start, false);
    // The heading is longest with the last line's number.
    let heading_size = heading(end).len();
    for (number, line) in lines {
        let number = number as u32 + 1;
        let numbered = format!("{number:>width$} | {line}\n");
        if heading_size + body.len() + numbered.len() > room {
            cut = true;
            break;
        }
        body.push_str(&numbered);
        last = number;
    }
    if body.is_empty() || cut && role != Role::Suspect {
        return None;
    }
    let (path, qualified) = (path.to_owned(), function.qualified.clone());
    let text = heading(last) + &body;
    Some(Snippet { path, function: qualified, role, start_line: start, end_line: last, text, cut })
}
