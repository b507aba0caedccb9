//! `ownership.yaml`: which service belongs to whom, and where its code is.
//!
//! ```yaml
//! services:
//!   payments:
//!     team: payments
//!     repository: git@example.org:shop.git
//!     path_prefix: services/payments
//!     default_branch: main
//!     codeowners: .github/CODEOWNERS
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use serde::Deserialize;

use crate::error::{During, Error};

/// Most bytes of the file: some ten thousand services.
const MOST_BYTES: u64 = 8 << 20;

/// The whole file.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ownership {
    /// Owners by service, as `service.name` states it.
    #[serde(default)]
    pub services: BTreeMap<String, Owner>,
}

/// Who owns a service.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// The team; may be left out.
    #[serde(default)]
    pub team: String,
    /// Where git finds the repository.
    pub repository: String,
    /// The part of the repository that is the service's, relative; left out, all of it.
    #[serde(default)]
    pub path_prefix: String,
    /// The branch that fixes go to.
    #[serde(default = "main")]
    pub default_branch: String,
    /// CODEOWNERS in the repository, relative; left out, none.
    #[serde(default)]
    pub codeowners: String,
}

fn main() -> String {
    "main".into()
}

impl Ownership {
    /// Reads the file. One that does not exist owns nothing.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let wrong = |what: String| Error::Ownership { path: path.to_owned(), what };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(wrong(error.to_string())),
        };
        let mut text = String::new();
        file.take(MOST_BYTES + 1).read_to_string(&mut text).during("read", path)?;
        if text.len() as u64 > MOST_BYTES {
            return Err(wrong(format!("more than {MOST_BYTES} bytes")));
        }
        let ownership: Self = serde_saphyr::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        for (service, owner) in &ownership.services {
            let clean = |path: &str| path.is_empty() || is_clean_path(path);
            if owner.repository.is_empty() || owner.repository.starts_with('-') {
                return Err(wrong(format!("the repository of {service} cannot be '{}'", owner.repository)));
            }
            if let Some(path) = [&owner.path_prefix, &owner.codeowners].into_iter().find(|path| !clean(path)) {
                return Err(wrong(format!("'{path}' of {service} must be a path inside the repository")));
            }
        }
        Ok(ownership)
    }
}

/// Whether a path stays inside the folder that it is relative to: no root, no `..`, nothing odd.
pub fn is_clean_path(path: &str) -> bool {
    let odd = |part: &str| part.is_empty() || part == "." || part == ".." || part == ".git";
    path.len() <= 1024 && !path.chars().any(|c| c.is_control() || c == '\\') && !path.split('/').any(odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Ownership, Error> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("ownership.yaml");
        std::fs::write(&path, text).expect("writable");
        Ownership::read(&path)
    }

    #[test]
    fn the_example_of_the_page_is_read_and_a_missing_file_owns_nothing() {
        let page = include_str!("ownership.rs").lines().filter_map(|line| line.strip_prefix("//!"));
        let example = page.skip_while(|line| *line != " ```yaml").skip(1).take_while(|line| *line != " ```");
        let owners = read(&example.collect::<Vec<_>>().join("\n")).expect("valid");
        assert_eq!(owners.services["payments"].path_prefix, "services/payments");
        let owners = read("services:\n  pay: { repository: x.git, path_prefix: services/pay }\n").expect("valid");
        assert_eq!(owners.services["pay"].default_branch, "main");
        assert_eq!(Ownership::read(Path::new("/nowhere/ownership.yaml")).expect("empty"), Ownership::default());
    }

    #[test]
    fn what_could_lead_outside_is_an_error_that_names_the_service() {
        for wrong in
            ["repository: x, path_prefix: ../..", "repository: --upload-pack=x", "repositry: x", "repository: ''"]
        {
            let error = read(&format!("services:\n  pay: {{ {wrong} }}\n")).expect_err(wrong);
            assert!(matches!(&error, Error::Ownership { .. }), "{error}");
        }
        assert!(["a/b.py", "a"].into_iter().all(is_clean_path));
        assert!(!["/a", "a/../b", "", "a//b", "./a", "a\\b", ".git/hooks/x", "a\nb"].into_iter().any(is_clean_path));
    }
}
