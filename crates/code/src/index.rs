//! Many files at once: who calls what, which tests and routes reach it, and what a name in telemetry means.

mod calls;
mod impact;
mod resolve;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use calls::{Caller, Certainty};
pub use impact::{Endpoint, Impact};
pub use resolve::Resolution;

use crate::function::{Call, Function, Route};
use crate::language::Language;
use crate::parse::{ParseError, ParseLimits, parse_within};
use calls::Edge;

/// What an index may hold. Trees are not kept, so it costs a few times the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexLimits {
    /// Files that are parsed.
    pub files: usize,
    /// Bytes of all files together.
    pub bytes: usize,
    /// What one file may cost.
    pub parse: ParseLimits,
}

impl Default for IndexLimits {
    fn default() -> Self {
        Self { files: 20_000, bytes: 128 << 20, parse: ParseLimits::default() }
    }
}

/// Why a file is not in the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    /// No grammar for its extension.
    NoGrammar,
    /// The index has as many files as it may.
    TooManyFiles,
    /// The index has as many bytes as it may.
    TooManyBytes,
    /// A file of this path is there already.
    Repeated,
    /// It could not be parsed within the limits.
    Unparsed(ParseError),
}

impl SkipReason {
    /// A word for counting.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NoGrammar => "no_grammar",
            Self::TooManyFiles => "too_many_files",
            Self::TooManyBytes => "too_many_bytes",
            Self::Repeated => "repeated",
            Self::Unparsed(_) => "unparsed",
        }
    }
}

/// A file that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its path.
    pub path: String,
    /// Why.
    pub reason: SkipReason,
}

/// A function of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FunctionId {
    /// The file, by its place in [`Index::paths`].
    pub file: u32,
    /// The function in that file.
    pub function: u32,
}

/// One file of an index.
#[derive(Debug, Clone)]
pub(crate) struct IndexedFile {
    pub(crate) path: String,
    pub(crate) language: Language,
    pub(crate) text: Arc<str>,
    pub(crate) functions: Vec<Function>,
    pub(crate) calls: Vec<Call>,
    pub(crate) routes: Vec<Route>,
}

/// Functions, calls and routes of a set of files.
///
/// ```
/// use backtrail_code::{Index, IndexLimits, Resolution};
/// let index = Index::build(
///     IndexLimits::default(),
///     [
///         ("shop/bank.py", "class Bank:\n    def charge(self):\n        return 1\n"),
///         ("shop/api.py", "@app.post('/pay')\ndef pay():\n    return bank.charge()\n"),
///         ("tests/test_api.py", "def test_pay():\n    assert pay()\n"),
///     ],
/// );
/// let Resolution::One(charge) = index.named("shop.bank.Bank.charge") else { panic!("there is one") };
/// let impact = index.impact(&[charge]);
/// assert_eq!(impact.endpoints[0].route, "/pay");
/// assert_eq!(index.label(impact.tests[0].function), "tests/test_api.py:test_pay");
/// ```
#[derive(Debug, Clone)]
pub struct Index {
    pub(crate) files: Vec<IndexedFile>,
    pub(crate) by_path: HashMap<String, u32>,
    pub(crate) by_name: HashMap<String, Vec<FunctionId>>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) incoming: HashMap<FunctionId, Vec<usize>>,
    pub(crate) outgoing: HashMap<FunctionId, Vec<usize>>,
    skipped: Vec<Skipped>,
    skipped_counts: BTreeMap<&'static str, usize>,
}

/// How many skipped files are listed by name; all are counted.
const MAX_SKIPPED: usize = 1_000;

impl Index {
    /// Parses and connects files, given as paths relative to the root of the repository and texts.
    pub fn build<P: Into<String>, T: Into<Arc<str>>>(
        limits: IndexLimits,
        files: impl IntoIterator<Item = (P, T)>,
    ) -> Self {
        let mut index = Self {
            files: Vec::new(),
            by_path: HashMap::new(),
            by_name: HashMap::new(),
            edges: Vec::new(),
            incoming: HashMap::new(),
            outgoing: HashMap::new(),
            skipped: Vec::new(),
            skipped_counts: BTreeMap::new(),
        };
        let mut bytes = 0;
        for (path, text) in files {
            let (path, text) = (path.into(), text.into());
            match index.read(limits, bytes, &path, &text) {
                Ok(file) => {
                    bytes += text.len();
                    index.by_path.insert(path, index.files.len() as u32);
                    index.files.push(file);
                }
                Err(reason) => index.skip(path, reason),
            }
        }
        index.connect();
        index
    }

    fn read(&self, limits: IndexLimits, bytes: usize, path: &str, text: &Arc<str>) -> Result<IndexedFile, SkipReason> {
        let language = Language::of_path(path).ok_or(SkipReason::NoGrammar)?;
        if self.by_path.contains_key(path) {
            return Err(SkipReason::Repeated);
        }
        if self.files.len() >= limits.files {
            return Err(SkipReason::TooManyFiles);
        }
        if bytes.saturating_add(text.len()) > limits.bytes {
            return Err(SkipReason::TooManyBytes);
        }
        let parsed = parse_within(limits.parse, language, Arc::clone(text)).map_err(SkipReason::Unparsed)?;
        let (functions, calls, routes) = parsed.into_found();
        Ok(IndexedFile { path: path.to_owned(), language, text: Arc::clone(text), functions, calls, routes })
    }

    fn skip(&mut self, path: String, reason: SkipReason) {
        *self.skipped_counts.entry(reason.name()).or_default() += 1;
        if self.skipped.len() < MAX_SKIPPED {
            self.skipped.push(Skipped { path, reason });
        }
    }

    /// The paths of the files in it, in the order of [`FunctionId::file`].
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.path.as_str())
    }

    /// The first thousand files that were left out.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// How many files were left out, by reason.
    pub fn skipped_counts(&self) -> &BTreeMap<&'static str, usize> {
        &self.skipped_counts
    }

    /// All functions.
    pub fn functions(&self) -> impl Iterator<Item = FunctionId> {
        self.files.iter().enumerate().flat_map(|(file, indexed)| {
            (0..indexed.functions.len())
                .map(move |function| FunctionId { file: file as u32, function: function as u32 })
        })
    }

    /// What is known of a function; `None` when the id is of another index.
    pub fn function(&self, id: FunctionId) -> Option<&Function> {
        self.files.get(id.file as usize)?.functions.get(id.function as usize)
    }

    /// The path of the file of a function, empty when the id is of another index.
    pub fn path_of(&self, id: FunctionId) -> &str {
        self.files.get(id.file as usize).map(|file| file.path.as_str()).unwrap_or_default()
    }

    /// The text of a file.
    pub fn text(&self, path: &str) -> Option<&str> {
        let file = self.by_path.get(path)?;
        self.files.get(*file as usize).map(|file| &*file.text)
    }

    /// `path:qualified`, for reports.
    pub fn label(&self, id: FunctionId) -> String {
        let name = self.function(id).map(|function| function.qualified.as_str()).unwrap_or_default();
        format!("{}:{name}", self.path_of(id))
    }

    /// The innermost function at a line, counted from 1, of a file of exactly this path.
    pub fn at(&self, path: &str, line: u32) -> Option<FunctionId> {
        let file = *self.by_path.get(path)?;
        let functions = self.files.get(file as usize)?.functions.iter().enumerate();
        let covering = functions.filter(|(_, function)| function.covers(line));
        let (function, _) = covering.min_by_key(|(place, function)| (function.bytes.len(), usize::MAX - place))?;
        Some(FunctionId { file, function: function as u32 })
    }

    /// The functions that other modules may call, tests left out.
    pub fn public_api(&self) -> Vec<FunctionId> {
        let is_public = |id: &FunctionId| self.function(*id).is_some_and(|f| f.public && f.test.is_none());
        self.functions().filter(is_public).collect()
    }
}
