//! Reading `ownership.yaml`: every problem with its place.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::{Codeowners, Owner, Ownership, WrongLine};

/// Most services in a file.
pub const MOST_SERVICES: usize = 10_000;

/// `ownership.yaml`: who owns which service, and where its code lies.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// By service, as telemetry names it.
    pub services: BTreeMap<String, ServiceOwner>,
}

/// Who owns a service, and where its code lies.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceOwner {
    /// The team, as CODEOWNERS names it: `@group/team`.
    #[schemars(with = "String")]
    pub team: Spanned<String>,
    /// The repository: a URL, or `host/group/name`, or `group/name`.
    #[schemars(with = "String")]
    pub repository: Spanned<String>,
    /// The folder of the service in the repository; all of it if it is not set.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub path_prefix: Option<Spanned<String>>,
    /// What that folder is called where the service runs, such as `/app`: source files in telemetry begin with it.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub source_root: Option<Spanned<String>>,
    /// The branch that patches start from; the repository's own default if it is not set.
    #[serde(default)]
    pub default_branch: Option<String>,
    /// The CODEOWNERS file of the repository, by its path beside this file.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub codeowners: Option<Spanned<String>>,
}

/// Something that is wrong in `ownership.yaml`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Line, from 1; 0 when it is about the whole file.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// What is wrong: lower case, no full stop.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, " {}", self.message)
        } else {
            write!(f, "{}:{}: {}", self.line, self.column, self.message)
        }
    }
}

/// What was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// Who owns what.
    pub ownership: Ownership,
    /// Lines of CODEOWNERS files that were not understood, with the file as it is named.
    pub wrong: Vec<(String, WrongLine)>,
}

/// Reads the file. `load` gives the text of a CODEOWNERS file by its path as it is written, or says why not.
///
/// # Errors
/// Everything that is wrong, in the order of the file; then nothing was taken.
pub fn read(text: &str, load: impl FnMut(&str) -> Result<String, String>) -> Result<Taken, Vec<Problem>> {
    let file: File = serde_saphyr::from_str(text).map_err(|error| vec![syntax(&error)])?;
    if file.services.len() > MOST_SERVICES {
        let message = format!("{} services, at most {MOST_SERVICES} are read", file.services.len());
        return Err(vec![Problem { line: 0, column: 0, message }]);
    }
    let mut reader =
        Reader { load, known: BTreeMap::new(), files: Vec::new(), wrong: Vec::new(), problems: Vec::new() };
    let services = file.services.iter().map(|(service, owner)| (service.clone(), reader.owner(owner))).collect();
    reader.problems.sort_by_key(|problem| (problem.line, problem.column));
    if reader.problems.is_empty() {
        let ownership = Ownership { services, files: reader.files, common: None, listed: true };
        Ok(Taken { ownership, wrong: reader.wrong })
    } else {
        Err(reader.problems)
    }
}

fn syntax(error: &serde_saphyr::Error) -> Problem {
    let at = error.location();
    // The text of the error goes on with a picture of the place.
    let says = error.to_string();
    let first = says.lines().next().unwrap_or_default();
    let message = first.trim_start_matches("error: ").to_owned();
    Problem { line: at.map_or(0, |at| at.line()), column: at.map_or(0, |at| at.column()), message }
}

struct Reader<L> {
    load: L,
    /// Which of the files a path as it is written means; none if that one could not be read.
    known: BTreeMap<String, Option<usize>>,
    files: Vec<Codeowners>,
    wrong: Vec<(String, WrongLine)>,
    problems: Vec<Problem>,
}

impl<L: FnMut(&str) -> Result<String, String>> Reader<L> {
    fn owner(&mut self, owner: &ServiceOwner) -> Owner {
        for (name, value) in [("team", &owner.team), ("repository", &owner.repository)] {
            if value.value.trim().is_empty() {
                self.problem(value, format!("{name} is empty"));
            }
        }
        if owner.repository.value.trim().starts_with('-') {
            // git would take it for an option.
            self.problem(&owner.repository, format!("repository '{}' begins with '-'", owner.repository.value));
        }
        let path_prefix = owner.path_prefix.as_ref().map_or_else(String::new, |prefix| self.folder(prefix));
        let source_root = owner
            .source_root
            .as_ref()
            .map_or_else(String::new, |root| root.value.replace('\\', "/").trim_end_matches('/').to_owned());
        Owner {
            team: owner.team.value.trim().to_owned(),
            repository: owner.repository.value.trim().to_owned(),
            path_prefix,
            source_root,
            default_branch: owner.default_branch.clone().unwrap_or_default(),
            codeowners: owner.codeowners.as_ref().and_then(|path| self.codeowners(path)),
        }
    }

    /// A folder of the repository, without slashes at its ends.
    fn folder(&mut self, path: &Spanned<String>) -> String {
        let folder = path.value.trim_start_matches("./").trim_matches('/');
        if folder == "." {
            return String::new();
        }
        if folder.split('/').any(|name| name == ".." || name == ".") || folder.contains(['\\', '*']) {
            self.problem(path, format!("path_prefix '{}' is no folder of a repository", path.value));
        }
        folder.to_owned()
    }

    fn codeowners(&mut self, path: &Spanned<String>) -> Option<usize> {
        if let Some(&known) = self.known.get(&path.value) {
            return known;
        }
        let at = match (self.load)(&path.value) {
            Ok(text) => {
                let file = Codeowners::read(&text);
                self.wrong.extend(file.wrong().iter().map(|wrong| (path.value.clone(), wrong.clone())));
                self.files.push(file);
                Some(self.files.len() - 1)
            }
            Err(why) => {
                self.problem(path, format!("codeowners {}: {why}", path.value));
                None
            }
        };
        self.known.insert(path.value.clone(), at);
        at
    }

    fn problem(&mut self, at: &Spanned<String>, message: String) {
        let at = at.referenced;
        self.problems.push(Problem { line: at.line(), column: at.column(), message });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let load = |path: &str| if path == "there" { Ok("!x\n".to_owned()) } else { Err("not found".to_owned()) };
        read(text, load).expect_err("problems").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn everything_that_is_wrong_is_named_with_its_line_and_column() {
        let text = "services:
  cart: { team: '', repository: shop/cart, path_prefix: ../x }
  pay:
    team: '@shop/pay'
    repository: shop/pay
    codeowners: gone
";
        assert_eq!(
            problems(text),
            [
                "2:17: team is empty",
                "2:57: path_prefix '../x' is no folder of a repository",
                "6:17: codeowners gone: not found"
            ]
        );
    }

    #[test]
    fn a_misspelled_or_missing_key_is_an_error_with_its_line() {
        for (text, line, words) in [
            ("services:\n  cart:\n    tema: x\n    repository: y\n", "3:", "tema"),
            ("services:\n  cart: { team: x }\n", "2:", "repository"),
            ("services: [\n", "", ""),
            ("owners: {}\n", "1:", "owners"),
        ] {
            let found = problems(text);
            assert!(found.len() == 1 && found[0].starts_with(line) && found[0].contains(words), "{text}: {found:?}");
        }
    }

    #[test]
    fn a_codeowners_file_is_read_once_and_its_wrong_lines_are_told() {
        let text = "services:\n  a: { team: x, repository: y, codeowners: C }\n  b: { team: x, repository: y, codeowners: C }\n";
        let mut loads = 0;
        let load = |_: &str| {
            loads += 1;
            Ok("* @x\n!y\n".to_owned())
        };
        let taken = read(text, load).expect("a file");
        assert_eq!((loads, taken.wrong.len(), taken.wrong[0].1.line), (1, 1, 2));
        assert_eq!(taken.ownership.owners("b", "z"), ["@x"]);
    }
}
