//! Who owns what: the team, the repository and the folder in it of each service, and the owners of single files.
//!
//! ```yaml
//! # ownership.yaml
//! services:
//!   cart:                                  # as telemetry names it
//!     team: "@shop/cart"                   # as CODEOWNERS names it
//!     repository: github.com/shop/monorepo
//!     path_prefix: services/cart           # its folder; the whole repository if it is not set
//!     source_root: /app                    # what the folder is called where the service runs
//!     default_branch: main
//!     codeowners: .github/CODEOWNERS       # beside this file
//! ```
//!
//! It says where a patch may be made: a file of another repository, outside of the folder, or that CODEOWNERS gives to
//! others is no candidate. The collector and the consumer read the same file.

mod codeowners;
mod read;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::codeowners::{Codeowners, MOST_CODEOWNERS, WrongLine};
pub use self::read::{File, MOST_SERVICES, Problem, ServiceOwner, read};
use crate::change::Change;

/// Who owns what, as it was read.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Ownership {
    /// By service.
    services: BTreeMap<String, Owner>,
    /// The CODEOWNERS files; owners of services name them by position.
    files: Vec<Codeowners>,
    /// The one for services that are not listed, or that name none of their own.
    common: Option<usize>,
    /// Whether the list of services was given: then nobody owns what is not on it.
    listed: bool,
}

/// Who owns a service, and where its code lies.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Owner {
    /// The team, as CODEOWNERS names it.
    pub team: String,
    /// The repository: a URL, or `host/group/name`, or `group/name`.
    pub repository: String,
    /// The folder of the service in it, without slashes at its ends; "" for all of it.
    pub path_prefix: String,
    /// What that folder is called where the service runs; "" if that is not known.
    pub source_root: String,
    /// The branch that patches start from; "" for the repository's own default.
    pub default_branch: String,
    codeowners: Option<usize>,
}

impl Ownership {
    /// Only a CODEOWNERS file: the owners of files are known, and of services nothing is.
    pub fn of_codeowners(common: Codeowners) -> Self {
        Self::default().with_codeowners(common)
    }

    /// The same with a CODEOWNERS file for services that name none.
    #[must_use]
    pub fn with_codeowners(mut self, common: Codeowners) -> Self {
        self.common = Some(self.files.len());
        self.files.push(common);
        self
    }

    /// The services that are listed, by name.
    pub const fn services(&self) -> &BTreeMap<String, Owner> {
        &self.services
    }

    /// Who owns a service.
    pub fn of_service(&self, service: &str) -> Option<&Owner> {
        self.services.get(service)
    }

    /// Whether there is a list of services and this one is not on it: then nobody can be asked for a patch of it.
    pub fn is_unowned(&self, service: &str) -> bool {
        self.listed && !self.services.contains_key(service)
    }

    /// Where a source file that telemetry names lies in the repository of its service; `None` when that cannot be told,
    /// as for the files of a runtime or a library.
    pub fn place(&self, service: &str, file: &str) -> Option<String> {
        match self.services.get(service) {
            Some(owner) => owner.place(file),
            None => Owner::default().place(file),
        }
    }

    /// The owners that CODEOWNERS names for a file of a service's repository; none when it names nobody.
    pub fn owners(&self, service: &str, path: &str) -> Vec<&str> {
        self.codeowners(service).and_then(|file| file.owners(path)).unwrap_or_default()
    }

    /// The owners that CODEOWNERS names for a service's folder as a whole.
    pub fn owners_of_folder(&self, service: &str) -> Vec<&str> {
        // A file without a name that means anything: only lines about the folder, or about everything, match it.
        let folder = self.services.get(service).map_or("", |owner| &owner.path_prefix);
        self.owners(service, &format!("{folder}/\0"))
    }

    fn codeowners(&self, service: &str) -> Option<&Codeowners> {
        let own = self.services.get(service).and_then(|owner| owner.codeowners);
        own.or(self.common).and_then(|at| self.files.get(at))
    }

    /// Why a file is outside of what the owner of a service holds; `None` when it is inside. `repository` is where the
    /// file lies, "" for the service's own.
    pub fn outside(&self, service: &str, repository: &str, path: &str) -> Option<String> {
        let owner = self.services.get(service)?;
        if !repository.is_empty() && !same_repository(repository, &owner.repository) {
            return Some(format!("it lies in {repository}, and {service} in {}", owner.repository));
        }
        if below(&owner.path_prefix, path).is_none() {
            return Some(format!("it lies outside of {}", owner.path_prefix));
        }
        let owners = self.owners(service, path);
        if owner.team.is_empty() || owners.is_empty() || owners.iter().any(|name| same_name(name, &owner.team)) {
            return None;
        }
        Some(format!("it belongs to {}", owners.join(", ")))
    }

    /// The one service whose folder holds every file of a change; `None` when there is none, or several.
    pub fn service_of(&self, change: &Change) -> Option<&str> {
        let holds = |owner: &Owner| {
            let here = if change.repository.is_empty() {
                !owner.path_prefix.is_empty()
            } else {
                same_repository(&change.repository, &owner.repository)
            };
            here && change.files.iter().all(|file| below(&owner.path_prefix, &file.path).is_some())
        };
        let mut found = self.services.iter().filter(|(_, owner)| !change.files.is_empty() && holds(owner));
        match (found.next(), found.next()) {
            (Some((service, _)), None) => Some(service),
            _ => None,
        }
    }
}

impl Owner {
    fn place(&self, file: &str) -> Option<String> {
        let file = file.replace('\\', "/");
        let file = file.trim_start_matches("./");
        if file.split('/').any(|name| name == "..") {
            return None;
        }
        let join = |rest: &str| match (self.path_prefix.as_str(), rest) {
            ("", rest) => rest.to_owned(),
            (prefix, rest) => format!("{prefix}/{rest}"),
        };
        if !self.source_root.is_empty()
            && let Some(rest) = file.strip_prefix(&*self.source_root).and_then(|rest| rest.strip_prefix('/'))
        {
            return Some(join(rest));
        }
        let is_absolute = file.starts_with('/') || file.as_bytes().get(1) == Some(&b':');
        if !is_absolute {
            return Some(if below(&self.path_prefix, file).is_some() { file.to_owned() } else { join(file) });
        }
        // Built from a checkout somewhere: the folder's own name tells where it begins.
        let inside = format!("/{}/", self.path_prefix);
        let found = if self.path_prefix.is_empty() { None } else { file.find(&inside) };
        found.map(|at| file[at + 1..].to_owned())
    }
}

/// The rest of a path below a folder; every path is below "".
fn below<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    if folder.is_empty() {
        return Some(path);
    }
    path.strip_prefix(folder)?.strip_prefix('/')
}

/// Whether two names mean the same user or team.
fn same_name(a: &str, b: &str) -> bool {
    a.trim_start_matches('@').eq_ignore_ascii_case(b.trim_start_matches('@'))
}

/// Whether two ways to write a repository mean the same one.
///
/// ```
/// use backtrail_model::ownership::same_repository;
/// assert!(same_repository("git@github.com:shop/cart.git", "https://github.com/Shop/cart/"));
/// assert!(same_repository("shop/cart", "ssh://git@github.com/shop/cart"));
/// assert!(!same_repository("shop/cart", "github.com/shop/cart-ui"));
/// ```
pub fn same_repository(a: &str, b: &str) -> bool {
    let (a, b) = (repository_name(a), repository_name(b));
    let is_end = |whole: &str, end: &str| {
        whole.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('/')) && !end.is_empty()
    };
    is_end(&a, &b) || is_end(&b, &a)
}

fn repository_name(text: &str) -> String {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let text = text.split_once('@').map_or(text, |(_, rest)| rest);
    let text = text.trim_end_matches('/');
    text.strip_suffix(".git").unwrap_or(text).replace(':', "/").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::ChangedFile;

    const FILE: &str = "
services:
  cart: { team: '@shop/cart', repository: github.com/shop/mono, path_prefix: services/cart, source_root: /app }
  pay: { team: '@shop/pay', repository: github.com/shop/mono, path_prefix: services/pay, codeowners: CODEOWNERS }
  shop: { team: web, repository: github.com/shop/web }
";

    fn ownership() -> Ownership {
        let owners = "* @shop/platform\n/services/pay/ @Shop/Pay\n/services/pay/db/ @shop/data\n/services/pay/gen/\n";
        read(FILE, |_| Ok(owners.to_owned())).expect("a file").ownership
    }

    #[test]
    fn files_of_telemetry_find_their_place_in_the_repository() {
        let ownership = ownership();
        for (service, file, place) in [
            ("cart", "/app/src/main.py", Some("services/cart/src/main.py")),
            ("cart", "src/main.py", Some("services/cart/src/main.py")),
            ("cart", "./services/cart/src/main.py", Some("services/cart/src/main.py")),
            ("cart", "/home/ci/mono/services/cart/main.go", Some("services/cart/main.go")),
            ("cart", "/usr/lib/python3/json.py", None),
            ("cart", "/apple/x.py", None),
            ("cart", "../pay/x.py", None),
            ("shop", "C:\\build\\x.cs", None),
            ("shop", "src\\x.cs", Some("src/x.cs")),
            ("nobody", "src/x.cs", Some("src/x.cs")),
        ] {
            assert_eq!(ownership.place(service, file).as_deref(), place, "{service} {file}");
        }
    }

    #[test]
    fn what_another_repository_folder_or_team_holds_is_outside() {
        let ownership = ownership();
        for (service, repository, path, why) in [
            ("pay", "", "services/pay/x.go", None),
            ("pay", "git@github.com:shop/mono.git", "services/pay/x.go", None),
            ("pay", "shop/infra", "services/pay/x.go", Some("it lies in shop/infra")),
            ("pay", "", "services/payments/x.go", Some("it lies outside of services/pay")),
            ("pay", "", "services/pay/db/x.sql", Some("it belongs to @shop/data")),
            // Nobody's: nobody else has to be asked.
            ("pay", "", "services/pay/gen/x.go", None),
            ("shop", "", "anything", None),
            ("nobody", "x", "anything", None),
        ] {
            let outside = ownership.outside(service, repository, path);
            let fits = match (&outside, why) {
                (Some(says), Some(words)) => says.contains(words),
                (says, words) => says.is_none() && words.is_none(),
            };
            assert!(fits, "{service} {path}: {outside:?}");
        }
        assert!(ownership.is_unowned("nobody") && !ownership.is_unowned("pay"));
        assert!(!Ownership::of_codeowners(Codeowners::default()).is_unowned("nobody"));
    }

    #[test]
    fn a_change_belongs_to_the_one_service_that_holds_all_its_files() {
        let ownership = ownership();
        let change = |repository: &str, paths: &[&str]| Change {
            repository: repository.to_owned(),
            files: paths
                .iter()
                .map(|path| ChangedFile { path: (*path).to_owned(), ..ChangedFile::default() })
                .collect(),
            ..Change::default()
        };
        for (change, service) in [
            (change("", &["services/cart/a.py", "services/cart/b.py"]), Some("cart")),
            (change("", &["services/cart/a.py", "services/pay/b.go"]), None),
            (change("", &["libs/x.go"]), None),
            (change("shop/web", &["libs/x.go"]), Some("shop")),
            (change("shop/other", &["services/cart/a.py"]), None),
            (change("shop/mono", &[]), None),
        ] {
            assert_eq!(ownership.service_of(&change), service, "{change:?}");
        }
    }

    #[test]
    fn services_without_codeowners_of_their_own_take_the_common_one() {
        let ownership = ownership().with_codeowners(Codeowners::read("* @common\n"));
        assert_eq!(ownership.owners("cart", "x"), ["@common"]);
        assert_eq!(ownership.owners("nobody", "x"), ["@common"]);
        assert_eq!(ownership.owners("pay", "services/pay/x"), ["@Shop/Pay"]);
        assert_eq!(ownership.owners_of_folder("pay"), ["@Shop/Pay"]);
    }
}
