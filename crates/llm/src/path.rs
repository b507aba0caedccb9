//! Which paths an edit may name.

use crate::refusal::Protected;

/// Longest path, bytes.
const LONGEST: usize = 512;

/// Whether a path is a plain relative one; what is wrong with it otherwise.
pub(crate) fn clean(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("it is empty");
    }
    if path.len() > LONGEST {
        return Err("it is too long");
    }
    if path.chars().any(char::is_control) {
        return Err("it holds a control character");
    }
    if path.contains('\\') {
        return Err("it holds a backslash");
    }
    if path.contains(':') {
        return Err("it holds a colon");
    }
    if path.starts_with('/') {
        return Err("it is absolute");
    }
    if crate::prompt::visible(path) != path {
        return Err("it holds invisible letters");
    }
    for part in path.split('/') {
        match part {
            "" => return Err("it has an empty part"),
            "." | ".." => return Err("it leaves its folder"),
            _ if part.ends_with(['.', ' ']) || part.starts_with([' ', '~', '-']) => {
                return Err("a part of it begins or ends in a way that systems read differently");
            }
            _ if is_git(part) => return Err("it is in git's own folder"),
            _ => {}
        }
    }
    Ok(())
}

/// `.git` in every case, and its short name on Windows.
fn is_git(part: &str) -> bool {
    part.eq_ignore_ascii_case(".git") || part.to_ascii_lowercase().starts_with("git~")
}

/// Whether a path lies in the owner's folder; "" is the whole repository.
pub(crate) fn is_below(prefix: &str, path: &str) -> bool {
    let prefix = prefix.trim_matches('/');
    prefix.is_empty() || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
}

/// Why an existing file is not for a model to change, if it is not.
pub(crate) fn protected(path: &str) -> Option<Protected> {
    let lower = path.to_ascii_lowercase();
    let name = lower.rsplit('/').next().unwrap_or_default();
    let folders: Vec<&str> = lower.split('/').rev().skip(1).collect();
    if name == "codeowners" {
        return Some(Protected::Owners);
    }
    if lower.split('/').any(|part| part.starts_with('.')) {
        return Some(Protected::Hidden);
    }
    let test_folders =
        ["test", "tests", "__tests__", "spec", "specs", "testdata", "fixtures", "snapshots", "__snapshots__"];
    if folders.iter().any(|folder| test_folders.contains(folder)) || is_test_name(name) || name == "conftest.py" {
        return Some(Protected::Test);
    }
    if is_dependency(name) {
        return Some(Protected::Dependency);
    }
    is_build(name, &folders).then_some(Protected::Build)
}

/// `Dockerfile.test`, `requirements-dev.txt` and the like are told by their beginnings too.
fn is_dependency(name: &str) -> bool {
    let names = [
        "pipfile",
        "pipfile.lock",
        "pyproject.toml",
        "setup.py",
        "setup.cfg",
        "poetry.lock",
        "uv.lock",
        "pdm.lock",
        "environment.yml",
        "package.json",
        "package-lock.json",
        "npm-shrinkwrap.json",
        "yarn.lock",
        "pnpm-lock.yaml",
        "bun.lockb",
        "go.mod",
        "go.sum",
        "go.work",
        "cargo.toml",
        "cargo.lock",
        "pom.xml",
        "build.gradle",
        "build.gradle.kts",
        "settings.gradle",
        "settings.gradle.kts",
        "gradle.properties",
        "gradle.lockfile",
        "gemfile",
        "gemfile.lock",
        "composer.json",
        "composer.lock",
        "packages.config",
        "packages.lock.json",
        "nuget.config",
        "directory.packages.props",
        "directory.build.props",
        "pip.conf",
        "mix.lock",
        "build.rs",
    ];
    let ends = [".csproj", ".fsproj", ".vbproj", ".gemspec", ".sln", ".lock"];
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let pip = ending == "txt" && (stem.starts_with("requirements") || stem.starts_with("constraints"));
    pip || names.contains(&name) || ends.iter().any(|end| name.ends_with(end))
}

fn is_build(name: &str, folders: &[&str]) -> bool {
    let names = [
        "jenkinsfile",
        "makefile",
        "gnumakefile",
        "justfile",
        "rakefile",
        "azure-pipelines.yml",
        "bitbucket-pipelines.yml",
        "appveyor.yml",
        "cloudbuild.yaml",
        "buildspec.yml",
        "tox.ini",
        "noxfile.py",
        "pytest.ini",
        "webpack.config.js",
        "cmakelists.txt",
        "build.bazel",
        "workspace",
    ];
    let begins = ["dockerfile", "containerfile", "jest.config", "vite.config", "vitest.config"];
    names.contains(&name) || begins.iter().any(|begin| name.starts_with(begin)) || folders.contains(&"ci")
}

/// `test_x.py`, `x_test.go`, `x.test.ts`, `XTest.java`: the name says so by itself.
fn is_test_name(name: &str) -> bool {
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    match ending {
        "py" => stem.starts_with("test_") || stem.ends_with("_test"),
        "go" | "rs" => stem.ends_with("_test") || stem.ends_with("_tests") || stem == "tests",
        "js" | "jsx" | "mjs" | "cjs" | "ts" | "tsx" => matches!(stem.rsplit_once('.'), Some((_, "test" | "spec"))),
        "java" | "kt" | "cs" => stem.ends_with("test") || stem.ends_with("tests"),
        _ => false,
    }
}

/// Whether a new file is a test and nothing else: source code whose name a test runner picks up, in no hidden folder.
pub(crate) fn is_new_test(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let name = lower.rsplit('/').next().unwrap_or_default();
    // Rust has integration tests by their folder.
    let is_rust = matches!(name.rsplit_once('.'), Some((stem, "rs")) if stem != "build");
    let rust = is_rust && lower.split('/').rev().nth(1) == Some("tests");
    let hidden = lower.split('/').any(|part| part.starts_with('.'));
    !hidden && (is_test_name(name) || rust)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_repository_or_hide_are_not_clean() {
        let bad = [
            "",
            "/etc/passwd",
            "../x.py",
            "a/../b.py",
            "./a.py",
            "a//b.py",
            "a/",
            ".git/hooks/pre-commit",
            "a/.GIT/config",
            "git~1/config",
            "a\\b.py",
            "..\\x.py",
            "C:/x.py",
            "a\0b.py",
            "a\nb.py",
            "a/b.py.",
            "a/b.py ",
            "~/x.py",
            "-rf",
            "a/\u{202e}yp.b",
        ];
        for path in bad {
            assert!(clean(path).is_err(), "{path:?}");
        }
        for path in ["a.py", "services/payments/app/bank.py", "src/Größe.java", "a b/c.yaml"] {
            assert_eq!(clean(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn a_prefix_is_whole_folders() {
        assert!(is_below("", "a.py") && is_below("pay", "pay/a.py") && is_below("pay/", "pay/a.py"));
        assert!(!is_below("pay", "payments/a.py") && !is_below("pay", "pay") && !is_below("pay", "x/pay/a.py"));
    }

    #[test]
    fn tests_builds_and_dependencies_are_told_by_name() {
        let cases = [
            ("app/test_bank.py", Some(Protected::Test)),
            ("tests/helpers.py", Some(Protected::Test)),
            ("conftest.py", Some(Protected::Test)),
            ("src/test/java/A.java", Some(Protected::Test)),
            (".github/workflows/ci.yml", Some(Protected::Hidden)),
            ("deploy/Dockerfile", Some(Protected::Build)),
            ("requirements-dev.txt", Some(Protected::Dependency)),
            ("pay/go.mod", Some(Protected::Dependency)),
            ("CODEOWNERS", Some(Protected::Owners)),
            ("app/bank.py", None),
            ("config/payments.yaml", None),
            ("src/contest.rs", None),
        ];
        for (path, expected) in cases {
            assert_eq!(protected(path), expected, "{path}");
        }
    }

    #[test]
    fn a_new_test_has_the_name_of_one() {
        for path in ["tests/test_bank.py", "pay/bank_test.go", "tests/retry.rs", "ui/a.test.ts", "src/BankTest.java"] {
            assert!(is_new_test(path), "{path}");
        }
        for path in ["tests/conftest.py", "tests/__init__.py", "app/bank.py", ".github/test_x.py", "tests/test_x.sh"] {
            assert!(!is_new_test(path), "{path}");
        }
    }
}
