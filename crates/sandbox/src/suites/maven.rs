//! `mvn -o -q test`, read from the XML that surefire leaves in `target/surefire-reports`.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Plan, Results, junit, report, toolchain};
use crate::sandbox::{Command, Outcome};

/// Most modules and files of results that are looked at.
const MOST: usize = 5000;

pub(super) fn plan(dir: &Path, cache: &Path, only: Option<&[String]>) -> Result<Plan, String> {
    let maven = toolchain::program("mvn")?;
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let repository = home.join(".m2/repository");
    let mut argv = vec![maven.into_os_string(), "-o".into(), "-q".into(), "-B".into()];
    argv.push("-Dmaven.test.failure.ignore=false".into());
    // Java takes its home from the list of users and not from `HOME`; "nobody" has none.
    let local = if repository.is_dir() { repository.clone() } else { cache.join("m2") };
    argv.push(format!("-Dmaven.repo.local={}", local.display()).into());
    if let Some(only) = only {
        let chosen: Vec<String> =
            only.iter().map(|test| surefire(test)).collect::<Option<_>>().ok_or("a name is no name of a test")?;
        argv.push(format!("-Dtest={}", chosen.join(",")).into());
        argv.push("-Dsurefire.failIfNoSpecifiedTests=false".into());
    }
    argv.push("test".into());
    // Results of an earlier run would count for this one.
    for file in reports(dir) {
        fs::remove_file(&file).map_err(|error| format!("could not remove {}: {error}", file.display()))?;
    }
    let folder = dir.to_owned();
    let read = move |_: &Outcome| {
        let mut results = Results::default();
        for xml in reports(&folder).iter().filter_map(|file| report(file)) {
            let one = junit::results(&xml, |case| format!("{}.{}", case.class, case.name));
            results.passed.extend(one.passed);
            results.failed.extend(one.failed);
            results.errors.extend(one.errors);
            results.skipped.extend(one.skipped);
        }
        results
    };
    let mut readable = toolchain::in_path();
    readable.extend([repository].into_iter().filter(|path| path.is_dir()));
    let command = Command::new(dir, argv).env("MAVEN_OPTS", format!("-Duser.home={}", cache.display()));
    Ok(Plan { command, readable, read: Box::new(read) })
}

/// `package.Class.method` as `-Dtest` takes it: `package.Class#method`.
fn surefire(test: &str) -> Option<String> {
    let (class, method) = test.rsplit_once('.')?;
    let plain = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_$.".contains(c));
    (plain(class) && plain(method)).then(|| format!("{class}#{method}"))
}

/// `TEST-*.xml` of this module and the modules below; folders that are links are not entered.
fn reports(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![(dir.to_owned(), 0)];
    let mut seen = 0;
    while let Some((folder, depth)) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            seen += 1;
            if seen > MOST * 20 || found.len() > MOST {
                return found;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let in_reports = folder.ends_with("target/surefire-reports");
            if is_folder
                && depth < 8
                && !name.starts_with('.')
                && !matches!(name.as_str(), "src" | "classes" | "node_modules")
            {
                open.push((entry.path(), depth + 1));
            } else if in_reports
                && name.starts_with("TEST-")
                && Path::new(&name).extension().is_some_and(|end| end == "xml")
            {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_all_modules_are_found_and_links_are_not_entered() {
        let place = tempfile::tempdir().expect("a temporary folder");
        for module in ["target", "a/target", "b/c/target"] {
            let folder = place.path().join(module).join("surefire-reports");
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join("TEST-x.xml"), "<testsuite/>").expect("a file");
            fs::write(folder.join("x.txt"), "").expect("a file");
        }
        std::os::unix::fs::symlink(place.path(), place.path().join("a/again")).expect("a link");
        assert_eq!(reports(place.path()).len(), 3);
    }

    #[test]
    fn a_test_is_named_as_surefire_takes_it() {
        assert_eq!(surefire("org.x.ATest.works").as_deref(), Some("org.x.ATest#works"));
        assert_eq!(surefire("org.x.ATest.works -Dexec=id"), None);
    }
}
