//! Triage: whether a suspect can be mapped to code that may be changed. What telemetry and `ownership.yaml` do not
//! state is missing; nothing is guessed.

use std::fmt;

use backtrail_model::ownership::Ownership;
use backtrail_model::patch_request::PatchRequest;
use serde::{Deserialize, Serialize};

use crate::candidate::LeftOut;
use crate::ownership::is_clean_path;

/// Most files and functions that are taken over from a request.
const MOST_PLACES: usize = 50;
/// Most characters of a wrong commit that are repeated in the reason.
const MOST_SHOWN: usize = 80;

/// Where the code of a suspect is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The repository.
    pub repository: String,
    /// The deployed commit.
    pub commit: String,
    /// The owning team; empty when `ownership.yaml` names none.
    pub team: String,
    /// The owner's part of the repository; empty for all of it.
    pub path_prefix: String,
    /// The branch that fixes go to; empty for the repository's own default.
    pub default_branch: String,
    /// Files that telemetry or recent changes name.
    pub files: Vec<String>,
    /// Functions that telemetry names.
    pub functions: Vec<String>,
}

/// What a mapping lacks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "missing", rename_all = "snake_case", deny_unknown_fields)]
pub enum Missing {
    /// No owner, hence no repository.
    Repository {
        /// The service without one.
        service: String,
    },
    /// The deployed commit.
    Commit {
        /// What the request states instead; may be empty.
        stated: String,
    },
    /// Any file or function.
    Place,
    /// The commit, in the repository.
    CommitOfRepository {
        /// The one that telemetry states.
        commit: String,
    },
    /// The file or function, in the repository at that commit.
    PlaceInRepository,
    /// Any recipe that fits.
    Recipe {
        /// What each lacks.
        left_out: Vec<LeftOut>,
    },
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository { service } => {
                write!(f, "no repository: ownership.yaml does not name service '{service}'")
            }
            Self::Commit { stated } if stated.is_empty() => write!(f, "no commit: telemetry states no deployed commit"),
            Self::Commit { stated } => write!(f, "no commit: '{stated}' is no commit"),
            Self::CommitOfRepository { commit } => write!(f, "no commit: the repository does not have {commit}"),
            Self::PlaceInRepository => {
                write!(
                    f,
                    "no place: the files and functions that telemetry names are not in the repository at that commit"
                )
            }
            Self::Recipe { left_out } => {
                let why: Vec<String> = left_out.iter().map(|one| format!("{}: {}", one.recipe, one.why)).collect();
                write!(f, "no recipe fits: {}", why.join(". "))
            }
            Self::Place => write!(f, "no place: neither telemetry nor recent changes name a file or function"),
        }
    }
}

/// Maps the suspect of a request to its code, or says all that is missing.
pub fn triage(request: &PatchRequest, ownership: &Ownership) -> Result<Mapping, Vec<Missing>> {
    let suspect = &request.suspect_ref.entity;
    let owner = ownership.of_service(&suspect.service);
    let (files, functions) = (files(request), functions(request));
    let mut missing = Vec::new();
    if owner.is_none() {
        missing.push(Missing::Repository { service: suspect.service.clone() });
    }
    if !is_commit(&suspect.commit) {
        missing.push(Missing::Commit { stated: suspect.commit.chars().take(MOST_SHOWN).collect() });
    }
    if files.is_empty() && functions.is_empty() {
        missing.push(Missing::Place);
    }
    match owner {
        Some(owner) if missing.is_empty() => Ok(Mapping {
            repository: owner.repository.clone(),
            commit: suspect.commit.clone(),
            team: owner.team.clone(),
            path_prefix: owner.path_prefix.clone(),
            default_branch: owner.default_branch.clone(),
            files,
            functions,
        }),
        _ => Err(missing),
    }
}

/// Files inside the repository, each once, in the order of the request.
fn files(request: &PatchRequest) -> Vec<String> {
    let suspect = std::iter::once(&request.suspect_ref.entity.file);
    let context = request.code_context.files.iter().map(|file| &file.path);
    let changed = request.recent_changes.iter().map(|change| &change.file);
    once_each(suspect.chain(context).chain(changed).filter(|path| is_clean_path(path)))
}

fn functions(request: &PatchRequest) -> Vec<String> {
    let suspect = std::iter::once(&request.suspect_ref.entity.function);
    once_each(suspect.chain(&request.code_context.functions).filter(|name| !name.is_empty()))
}

fn once_each<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        if found.len() < MOST_PLACES && !found.contains(name) {
            found.push(name.clone());
        }
    }
    found
}

/// Whether this is a git commit, abbreviated (7 digits, git's own least) or whole (40 for SHA-1, 64 for SHA-256). A
/// branch or a tag moves: it is no statement of what is deployed.
fn is_commit(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::tests::request;

    fn owned() -> Ownership {
        let text = "services: { pay: { repository: shop.git, team: money } }";
        let taken = backtrail_model::ownership::read(text, |_| Err("there is none".to_owned()));
        taken.expect("valid").ownership
    }

    fn mapped(change: impl FnOnce(&mut serde_json::Value)) -> Result<Mapping, Vec<Missing>> {
        let mut request = request("i", 1, "pay");
        request["suspect_ref"]["entity"]["commit"] = json!("0123abc");
        request["code_context"]["functions"] = json!(["charge"]);
        change(&mut request);
        triage(&serde_json::from_value(request).expect("a request"), &owned())
    }

    #[test]
    fn a_suspect_with_owner_commit_and_place_is_mapped() {
        let mapping = mapped(|request| {
            request["recent_changes"] =
                json!([{ "file": "src/bank.py", "lines": "1-2", "sha": "a", "author": "b", "ts": "c" }]);
        });
        let mapping = mapping.expect("mapped");
        assert_eq!((mapping.repository.as_str(), mapping.team.as_str()), ("shop.git", "money"));
        assert_eq!((mapping.files, mapping.functions), (vec!["src/bank.py".into()], vec!["charge".into()]));
    }

    #[test]
    fn each_missing_part_is_named_and_nothing_is_guessed() {
        let missing = |change: fn(&mut serde_json::Value)| mapped(change).expect_err("not mapped");
        assert_eq!(
            missing(|request| request["suspect_ref"]["entity"]["service"] = json!("cart")),
            [Missing::Repository { service: "cart".into() }]
        );
        for tag in ["", "v1.2.3", "main", "--upload-pack=x"] {
            let found =
                mapped(|request| request["suspect_ref"]["entity"]["commit"] = json!(tag)).expect_err("no commit");
            assert_eq!(found, [Missing::Commit { stated: tag.into() }]);
        }
        assert_eq!(missing(|request| request["code_context"]["functions"] = json!([])), [Missing::Place]);
    }

    #[test]
    fn a_file_outside_the_repository_is_no_place() {
        let outside = mapped(|request| {
            let file = |path: &str| json!({ "path": path, "snippet_start": 1, "snippet_end": 1, "content": "" });
            request["code_context"] = json!({ "files": [file("/etc/passwd"), file("../x.py")], "functions": [],
                "tests": [], "public_api": [] });
        });
        assert_eq!(outside, Err(vec![Missing::Place]));
    }
}
