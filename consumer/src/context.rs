//! The code around the suspect, at the commit that is deployed: read from the mirror, never from a working copy.

use std::collections::{BTreeMap, BTreeSet};

use backtrail_code::{Caller, Endpoint, FunctionId, Index, IndexLimits, Language, Parsed, Resolution, parse};
use backtrail_model::patch_request::PatchRequest;
use backtrail_policy::{FileKind, kind_of};
use backtrail_sandbox::git::{Entry, Kind, Mirror};
use backtrail_sandbox::{Error as SandboxError, TreePath};

use crate::settings::{self, Format, Setting};
use crate::step::Read;
use crate::triage::Mapping;

/// Most source files, and most bytes of one and of all.
const MOST_FILES: usize = 5000;
const MOST_FILE_BYTES: u64 = 2 << 20;
const MOST_BYTES: u64 = 64 << 20;
/// Most names of each kind in the journal.
const MOST_NAMED: usize = 20;

/// A file of configuration.
#[derive(Clone, PartialEq, Debug)]
pub struct ConfigFile {
    /// Its path in the repository.
    pub path: String,
    /// How it is written.
    pub format: Format,
    /// Its text.
    pub text: String,
    /// Its settings.
    pub settings: Vec<Setting>,
}

/// A place that is suspected.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Suspect {
    /// The file.
    pub path: String,
    /// The function in it, qualified, and its place in [`Parsed::functions`]; none when only the file is known.
    pub function: Option<(String, usize)>,
    /// Its lines, from 1, both included.
    pub lines: (u32, u32),
}

/// Everything that a recipe may look at.
pub struct Context {
    /// What is asked for.
    pub request: PatchRequest,
    /// Where the code is.
    pub mapping: Mapping,
    /// The deployed commit, whole.
    pub commit: String,
    /// The repository.
    pub mirror: Mirror,
    /// Source files of the service.
    pub sources: BTreeMap<String, Parsed>,
    /// The same, connected: who calls what.
    pub index: Index,
    /// Configuration files of the service.
    pub configs: Vec<ConfigFile>,
    /// Where the suspect is, most suspicious first.
    pub suspects: Vec<Suspect>,
    /// What was not read, and why.
    pub skipped: Vec<String>,
}

impl Context {
    /// Reads the service's part of the repository. `commit` is the whole hash.
    pub fn read(
        request: &PatchRequest,
        mapping: &Mapping,
        mirror: Mirror,
        commit: String,
    ) -> Result<Self, SandboxError> {
        let mut context = Self {
            request: request.clone(),
            mapping: mapping.clone(),
            commit,
            mirror,
            sources: BTreeMap::new(),
            index: Index::build(IndexLimits::default(), std::iter::empty::<(String, String)>()),
            configs: Vec::new(),
            suspects: Vec::new(),
            skipped: Vec::new(),
        };
        let entries = context.mirror.tree(&context.commit)?;
        let mut bytes = 0;
        for entry in &entries {
            context.take(entry, &mut bytes)?;
        }
        let texts = context.sources.iter().map(|(path, parsed)| (path.as_str(), parsed.text()));
        context.index = Index::build(IndexLimits::default(), texts);
        context.suspects = context.places();
        Ok(context)
    }

    /// Whether a path is in the owner's part of the repository.
    pub fn is_owned(&self, path: &str) -> bool {
        let prefix = self.mapping.path_prefix.trim_matches('/');
        prefix.is_empty() || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
    }

    /// A file at a commit as text; none if it is not there, too large or no text.
    pub fn text_at(&self, commit: &str, path: &str) -> Option<String> {
        let path = TreePath::checked(path.as_bytes()).ok()?;
        String::from_utf8(self.mirror.read(commit, &path, MOST_FILE_BYTES).ok()?).ok()
    }

    /// The parsed file and the function of a suspect.
    pub fn function_of<'a>(&'a self, suspect: &Suspect) -> Option<(&'a Parsed, usize)> {
        let (_, place) = suspect.function.as_ref()?;
        self.sources.get(&suspect.path).map(|parsed| (parsed, *place))
    }

    /// The suspect function in the index.
    pub fn id_of(&self, suspect: &Suspect) -> Option<FunctionId> {
        suspect.function.as_ref().and_then(|_| self.index.at(&suspect.path, suspect.lines.0))
    }

    /// Whether the files of the suspect name something, such as a setting.
    pub fn suspect_mentions(&self, name: &str) -> bool {
        let files: BTreeSet<&str> = self.suspects.iter().map(|suspect| suspect.path.as_str()).collect();
        files.iter().filter_map(|path| self.sources.get(*path)).any(|parsed| names(parsed.text(), name))
    }

    /// Whether any code of the service that is no test names something.
    pub fn code_mentions(&self, name: &str) -> bool {
        let mut code = self.sources.iter().filter(|(path, _)| kind_of(path) == FileKind::Source);
        code.any(|(_, parsed)| names(parsed.text(), name))
    }

    /// For the journal.
    pub fn summary(&self) -> Read {
        let name = |suspect: &Suspect| {
            let (first, last) = suspect.lines;
            let function = suspect.function.as_ref().map_or(String::new(), |(name, _)| format!(" {name}"));
            format!("{}:{first}-{last}{function}", suspect.path)
        };
        let changed: Vec<FunctionId> = self.suspects.iter().filter_map(|suspect| self.id_of(suspect)).collect();
        let impact = self.index.impact(&changed);
        let named = |callers: &[Caller]| -> Vec<String> {
            callers.iter().take(MOST_NAMED).map(|caller| self.index.label(caller.function)).collect()
        };
        let endpoint = |one: &Endpoint| format!("{} {}", one.method.as_deref().unwrap_or("any"), one.route);
        Read {
            commit: self.commit.clone(),
            suspects: self.suspects.iter().take(MOST_NAMED).map(name).collect(),
            callers: named(&impact.callers),
            endpoints: impact.endpoints.iter().take(MOST_NAMED).map(endpoint).collect(),
            tests: named(&impact.tests),
            files: (self.sources.len() + self.configs.len()) as u64,
            skipped: self.skipped.iter().take(MOST_NAMED).cloned().collect(),
        }
    }

    fn take(&mut self, entry: &Entry, bytes: &mut u64) -> Result<(), SandboxError> {
        let Ok(path) = std::str::from_utf8(entry.path.as_bytes()) else { return Ok(()) };
        let format = Format::of_path(path).filter(|_| matches!(kind_of(path), FileKind::Config));
        let language = Language::of_path(path);
        if !self.is_owned(path) || (format.is_none() && language.is_none()) {
            return Ok(());
        }
        let why = if !matches!(entry.kind, Kind::File | Kind::Executable) {
            Some("it is no plain file")
        } else if entry.size > MOST_FILE_BYTES {
            Some("it is too large")
        } else if self.sources.len() + self.configs.len() >= MOST_FILES || *bytes + entry.size > MOST_BYTES {
            Some("enough was read")
        } else {
            None
        };
        if let Some(why) = why {
            self.skip(path, why);
            return Ok(());
        }
        *bytes += entry.size;
        let Ok(text) = String::from_utf8(self.mirror.read(&self.commit, &entry.path, MOST_FILE_BYTES)?) else {
            self.skip(path, "it is no text");
            return Ok(());
        };
        if let Some(format) = format {
            match settings::read(format, &text) {
                Ok(settings) => self.configs.push(ConfigFile { path: path.to_owned(), format, text, settings }),
                Err(why) => self.skip(path, &why.to_string()),
            }
        } else if let Some(language) = language {
            match parse(language, text) {
                Ok(parsed) => drop(self.sources.insert(path.to_owned(), parsed)),
                Err(why) => self.skip(path, &why.to_string()),
            }
        }
        Ok(())
    }

    fn skip(&mut self, path: &str, why: &str) {
        if self.skipped.len() < MOST_FILES {
            self.skipped.push(format!("{path}: {why}"));
        }
    }

    /// Where telemetry says that the suspect is: a file and line, a function by its name, or a file.
    fn places(&self) -> Vec<Suspect> {
        let entity = &self.request.suspect_ref.entity;
        let mut found: Vec<Suspect> = Vec::new();
        let mut add = |suspect: Suspect| {
            if !found.contains(&suspect) && found.len() < MOST_NAMED {
                found.push(suspect);
            }
        };
        let context = &self.request.code_context.files;
        let of_entity = std::iter::once((&entity.file, entity.line.unwrap_or(0)));
        let lines = of_entity.chain(context.iter().map(|file| (&file.path, file.snippet_start)));
        let functions = self.mapping.functions.iter().flat_map(|name| self.named(name));
        // A function says more than a file, and a line within a function as much as its name.
        let at_lines = lines.clone().filter_map(|(file, line)| self.at(&self.resolve(file)?, line));
        for suspect in functions.chain(at_lines) {
            add(suspect);
        }
        for path in self.mapping.files.iter().filter_map(|file| self.resolve(file)) {
            // A test that changed with the code is no suspect.
            if kind_of(&path) != FileKind::Test && !found.iter().any(|suspect| suspect.path == path) {
                let last = self.sources.get(&path).map_or(1, |parsed| parsed.text().lines().count() as u32);
                found.push(Suspect { path, function: None, lines: (1, last.max(1)) });
            }
        }
        found
    }

    fn at(&self, path: &str, line: u32) -> Option<Suspect> {
        let parsed = self.sources.get(path)?;
        parsed.function_at(line).filter(|_| line > 0).map(|place| suspect(path, parsed, place))
    }

    /// The file that telemetry means: as it is named, or the one file whose path ends so.
    fn resolve(&self, file: &str) -> Option<String> {
        if file.is_empty() {
            return None;
        }
        if self.sources.contains_key(file) || self.configs.iter().any(|config| config.path == file) {
            return Some(file.to_owned());
        }
        let ending = |path: &&String| {
            let (long, short) = if path.len() > file.len() { (path.as_str(), file) } else { (file, path.as_str()) };
            long.strip_suffix(short).is_some_and(|head| head.ends_with('/'))
        };
        let mut ends = self.sources.keys().filter(ending);
        match (ends.next(), ends.next()) {
            (Some(one), None) => Some(one.clone()),
            _ => None,
        }
    }

    /// The function that a name from telemetry means. Of several, those in a file that telemetry names.
    fn named(&self, name: &str) -> Vec<Suspect> {
        let place = |id: FunctionId| {
            let (path, function) = (self.index.path_of(id), self.index.function(id)?);
            let parsed = self.sources.get(path)?;
            let at = parsed.functions().iter().position(|one| one.bytes == function.bytes)?;
            function.test.is_none().then(|| suspect(path, parsed, at))
        };
        match self.index.named(name) {
            Resolution::One(id) => place(id).into_iter().collect(),
            Resolution::Ambiguous(ids) => {
                let stated: Vec<String> = self.mapping.files.iter().filter_map(|file| self.resolve(file)).collect();
                ids.into_iter().filter_map(place).filter(|one| stated.contains(&one.path)).collect()
            }
            Resolution::Missing => Vec::new(),
        }
    }
}

fn suspect(path: &str, parsed: &Parsed, place: usize) -> Suspect {
    let function = &parsed.functions()[place];
    Suspect {
        path: path.to_owned(),
        function: Some((function.qualified.clone(), place)),
        lines: (function.start_line, function.end_line),
    }
}

/// Whether a name occurs as a whole word.
pub(crate) fn has_word(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    !name.is_empty()
        && text.match_indices(name).any(|(at, found)| {
            let before = text[..at].chars().next_back().is_some_and(is_part);
            let after = text[at + found.len()..].chars().next().is_some_and(is_part);
            !before && !after
        })
}

/// Whether a text has a name in any of the usual cases: `maxPoolSize` for `max-pool-size`. Of a long name in capitals the
/// first word may be missing, which is how libraries for environment variables take a prefix.
pub(crate) fn names(text: &str, name: &str) -> bool {
    if has_word(text, name) {
        return true;
    }
    let plain = |text: &str| -> String { text.chars().filter(char::is_ascii_alphanumeric).collect::<String>() };
    let wanted = plain(name).to_lowercase();
    let without_prefix = name
        .split_once('_')
        .filter(|(_, rest)| rest.contains('_') && name.chars().all(|c| !c.is_lowercase()))
        .map(|(_, rest)| plain(rest).to_lowercase());
    // One word says too little to be looked for in other cases.
    let compound = name.chars().any(|c| !c.is_alphanumeric()) || name.chars().skip(1).any(char::is_uppercase);
    compound
        && text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).any(|token| {
            let token = plain(token).to_lowercase();
            token == wanted || without_prefix.as_ref().is_some_and(|rest| token == *rest)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_the_cases_of_other_languages() {
        assert!(names("int maximumPoolSize;", "maximum-pool-size") && names("pool_size: int = 5", "SHOP_POOL_SIZE"));
        assert!(names("env.PRICES_TIMEOUT_MS", "PRICES_TIMEOUT_MS") && names("MaxRetries int", "max_retries"));
        assert!(!names("int poolSize;", "size") && !names("timeout", "TAX_TIMEOUT") && !names("my_pool", "pool"));
    }

    #[test]
    fn a_word_is_found_whole() {
        assert!(has_word("cfg[\"max_retries\"]", "max_retries") && has_word("max_retries", "max_retries"));
        assert!(!has_word("my_max_retries = 1", "max_retries") && !has_word("x", ""));
    }
}
