//! Reading `ownership.yaml`: which service belongs to whom, and where its code is. The collector reads the same file.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use backtrail_model::ownership::{MOST_CODEOWNERS, Ownership, read as parse};

use crate::error::Error;

/// Most bytes of the file: some ten thousand services.
const MOST_BYTES: u64 = 16 << 20;

/// Reads the file and the CODEOWNERS files that it names. One that does not exist owns nothing.
///
/// # Errors
/// If it cannot be read, or anything in it is wrong.
pub fn read(path: &Path) -> Result<Ownership, Error> {
    let wrong = |what: String| Error::Ownership { path: path.to_owned(), what };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Ownership::default()),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let text = text(file, MOST_BYTES).map_err(wrong)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let load = |name: &str| {
        let file = File::open(folder.join(name)).map_err(|error| error.to_string())?;
        self::text(file, MOST_CODEOWNERS)
    };
    let taken = parse(&text, load).map_err(|problems| {
        let places: Vec<String> = problems.iter().map(ToString::to_string).collect();
        wrong(places.join("; "))
    })?;
    for (service, owner) in taken.ownership.services() {
        if !owner.path_prefix.is_empty() && !is_clean_path(&owner.path_prefix) {
            return Err(wrong(format!("'{}' of {service} must be a path inside the repository", owner.path_prefix)));
        }
    }
    Ok(taken.ownership)
}

fn text(file: File, most: u64) -> Result<String, String> {
    let mut text = String::new();
    file.take(most + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > most { Err(format!("more than {most} bytes")) } else { Ok(text) }
}

/// Whether a path stays inside the folder that it is relative to: no root, no `..`, nothing odd.
pub fn is_clean_path(path: &str) -> bool {
    let odd = |part: &str| part.is_empty() || part == "." || part == ".." || part == ".git";
    path.len() <= 1024 && !path.chars().any(|c| c.is_control() || c == '\\') && !path.split('/').any(odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Result<Ownership, Error> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("ownership.yaml");
        std::fs::write(&path, text).expect("writable");
        read(&path)
    }

    #[test]
    fn owners_are_read_and_a_missing_file_owns_nothing() {
        let owners = written("services:\n  pay: { team: pay, repository: x.git, path_prefix: services/pay }\n");
        let owners = owners.expect("valid");
        assert_eq!(owners.of_service("pay").map(|owner| &*owner.path_prefix), Some("services/pay"));
        assert!(read(Path::new("/nowhere/ownership.yaml")).expect("empty").of_service("pay").is_none());
    }

    #[test]
    fn what_could_lead_outside_is_an_error_that_names_its_place() {
        for wrong in [
            "repository: x, path_prefix: ../..",
            "repository: x, path_prefix: .git/hooks",
            "repository: --upload-pack=x",
            "repositry: x",
            "repository: ''",
        ] {
            let error = written(&format!("services:\n  pay: {{ team: pay, {wrong} }}\n")).expect_err(wrong);
            assert!(matches!(&error, Error::Ownership { .. }), "{error}");
        }
        assert!(["a/b.py", "a"].into_iter().all(is_clean_path));
        assert!(!["/a", "a/../b", "", "a//b", "./a", "a\\b", ".git/hooks/x", "a\nb"].into_iter().any(is_clean_path));
    }
}
