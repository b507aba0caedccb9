//! What a file is for, told by its path. In doubt the answer is the kind that a policy refuses more readily.

use crate::input::FileKind;

/// Tells what a file is for by its path, with `/` between folders.
///
/// Files that govern builds come first, then dependencies, migrations, contracts, tests, configuration and source: a
/// workflow in YAML is no mere configuration, and a migration in Python no mere source.
///
/// ```
/// use backtrail_policy::{FileKind, kind_of};
/// assert_eq!(kind_of("services/payments/retry.py"), FileKind::Source);
/// assert_eq!(kind_of("services/payments/tests/test_retry.py"), FileKind::Test);
/// assert_eq!(kind_of(".github/workflows/build.yml"), FileKind::Ci);
/// ```
pub fn kind_of(path: &str) -> FileKind {
    let path = path.replace('\\', "/").to_lowercase();
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let Some(name) = parts.pop() else { return FileKind::Other };
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem, extension),
        _ => (name, ""),
    };
    let file = File { folders: &parts, name, stem, extension };
    if file.governs() {
        FileKind::Ci
    } else if file.chooses_dependencies() {
        FileKind::Dependency
    } else if file.migrates() {
        FileKind::Migration
    } else if file.promises() {
        FileKind::Contract
    } else if file.tests() {
        FileKind::Test
    } else if file.configures() {
        FileKind::Config
    } else if SOURCE.contains(&extension) {
        FileKind::Source
    } else {
        FileKind::Other
    }
}

const SOURCE: &[&str] = &[
    "py", "pyx", "pyi", "go", "java", "kt", "kts", "scala", "groovy", "rs", "ts", "tsx", "mts", "cts", "js", "jsx",
    "mjs", "cjs", "vue", "svelte", "cs", "fs", "vb", "rb", "php", "c", "h", "cc", "cpp", "cxx", "hpp", "hh", "m", "mm",
    "swift", "ex", "exs", "erl", "hs", "ml", "clj", "lua", "pl", "pm", "r", "jl", "dart", "zig", "nim", "sh", "bash",
    "ps1", "sql", "wasm", "html", "css", "scss", "rego", "j2", "tmpl",
];
const CONFIG: &[&str] = &[
    "yaml",
    "yml",
    "json",
    "json5",
    "jsonc",
    "toml",
    "ini",
    "cfg",
    "conf",
    "config",
    "properties",
    "env",
    "xml",
    "hcl",
    "tf",
    "tfvars",
];

struct File<'a> {
    folders: &'a [&'a str],
    name: &'a str,
    stem: &'a str,
    extension: &'a str,
}

impl File<'_> {
    fn under(&self, names: &[&str]) -> bool {
        self.folders.iter().any(|folder| names.contains(folder))
    }

    /// Building, reviewing and deploying, and what git itself obeys.
    fn governs(&self) -> bool {
        let first = self.folders.first().copied().unwrap_or_default();
        matches!(first, ".github" | ".circleci" | ".buildkite" | ".gitlab" | ".tekton" | ".azure-pipelines" | ".ci")
            || self.under(&[".git", ".githooks", ".husky"])
            || matches!(
                self.name,
                ".gitlab-ci.yml"
                    | ".gitlab-ci.yaml"
                    | ".travis.yml"
                    | ".drone.yml"
                    | ".pre-commit-config.yaml"
                    | "appveyor.yml"
                    | "cloudbuild.yaml"
                    | "cloudbuild.yml"
                    | "bitbucket-pipelines.yml"
                    | "buildspec.yml"
                    | "codeowners"
                    | "owners"
                    | "makefile"
                    | "gnumakefile"
                    | "justfile"
                    | "taskfile.yml"
                    | "taskfile.yaml"
                    | "tiltfile"
                    | ".gitattributes"
                    | ".gitmodules"
                    | "renovate.json"
                    | "dependabot.yml"
            )
            || self.name.starts_with("azure-pipelines")
            || self.name.starts_with("jenkinsfile")
            || self.name.starts_with("dockerfile")
            || self.name.starts_with("containerfile")
            || self.extension == "dockerfile"
    }

    /// Manifests and lock files of package managers: what is written there runs at the next build.
    fn chooses_dependencies(&self) -> bool {
        const NAMES: &[&str] = &[
            "cargo.toml",
            "cargo.lock",
            "package.json",
            "package-lock.json",
            "npm-shrinkwrap.json",
            "yarn.lock",
            "pnpm-lock.yaml",
            "pnpm-workspace.yaml",
            "bun.lock",
            "bun.lockb",
            "deno.lock",
            ".npmrc",
            ".yarnrc",
            ".yarnrc.yml",
            "go.mod",
            "go.sum",
            "go.work",
            "go.work.sum",
            "pom.xml",
            "gradle.lockfile",
            "libs.versions.toml",
            "gradle-wrapper.properties",
            "pyproject.toml",
            "setup.py",
            "setup.cfg",
            "pipfile",
            "pipfile.lock",
            "poetry.lock",
            "uv.lock",
            "pdm.lock",
            "environment.yml",
            "conda-lock.yml",
            "gemfile",
            "gemfile.lock",
            "composer.json",
            "composer.lock",
            "mix.exs",
            "mix.lock",
            "packages.config",
            "packages.lock.json",
            "directory.packages.props",
            "nuget.config",
            "paket.dependencies",
            "paket.lock",
            "build.sbt",
            "conanfile.txt",
            "conanfile.py",
            "vcpkg.json",
            "flake.lock",
            "flake.nix",
            "package.swift",
            "package.resolved",
            "podfile",
            "podfile.lock",
            "pubspec.yaml",
            "pubspec.lock",
            "module.bazel",
            "workspace.bazel",
            "chart.lock",
            "rust-toolchain.toml",
            ".python-version",
            ".tool-versions",
            ".nvmrc",
        ];
        NAMES.contains(&self.name)
            || self.name.contains(".gradle")
            || matches!(self.extension, "csproj" | "fsproj" | "vbproj" | "gemspec")
            || (matches!(self.extension, "txt" | "in")
                && ["requirements", "constraints"].iter().any(|word| self.stem.contains(word)))
            || (self.extension == "txt" && self.folders.last() == Some(&"requirements"))
            || self.under(&["node_modules", "vendor", "third_party"])
    }

    fn migrates(&self) -> bool {
        self.under(&["migrations", "migration", "migrate", "alembic", "flyway", "liquibase"])
            || (self.under(&["db", "database"]) && self.extension == "sql")
            || self.name == "schema.sql"
            || self.name == "schema.rb"
            || self.name.starts_with("changelog.") && self.extension != "md" && self.extension != "txt"
            || (self.extension == "sql" && versioned(self.stem))
    }

    fn promises(&self) -> bool {
        let described = matches!(self.extension, "yaml" | "yml" | "json");
        matches!(self.extension, "proto" | "avsc" | "avdl" | "thrift" | "graphql" | "graphqls" | "gql" | "wsdl" | "xsd")
            || (described && ["openapi", "swagger", "asyncapi"].iter().any(|word| self.stem.contains(word)))
            || (described && self.under(&["openapi", "swagger", "asyncapi", "pact", "pacts", "contracts"]))
            || self.under(&["pacts"])
            || self.name == "buf.yaml"
            || self.name.ends_with(".schema.json")
    }

    fn tests(&self) -> bool {
        let code = SOURCE.contains(&self.extension);
        self.under(&["test", "tests", "__tests__", "spec", "specs", "testdata", "testing", "androidtest", "e2e"])
            || (code
                && (self.stem.starts_with("test_") || self.stem.ends_with("_test") || self.stem.ends_with("_spec")))
            || (code && ["test", "spec"].contains(&self.stem.rsplit_once('.').map_or("", |(_, last)| last)))
            || (matches!(self.extension, "java" | "kt" | "cs" | "scala" | "groovy")
                && (self.stem.ends_with("test") || self.stem.ends_with("tests") || self.stem.ends_with("testcase")))
            || matches!(self.name, "conftest.py" | "pytest.ini" | "tox.ini")
            || self.stem.starts_with("jest.config")
    }

    fn configures(&self) -> bool {
        CONFIG.contains(&self.extension) || self.name == ".env" || self.name.starts_with(".env.")
    }
}

/// Flyway's `V12__name`, `U12__name` and `R__name`, and names that begin with a number.
fn versioned(stem: &str) -> bool {
    let mut chars = stem.chars();
    match chars.next() {
        Some('v' | 'u' | 'r' | 'b') => stem.contains("__"),
        Some(first) => first.is_ascii_digit(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn all(kind: FileKind, paths: &[&str]) {
        for path in paths {
            assert_eq!(kind_of(path), kind, "{path}");
        }
    }

    #[test]
    fn files_that_govern_builds_and_reviews_are_ci() {
        all(
            FileKind::Ci,
            &[
                ".github/workflows/build.yml",
                ".github/CODEOWNERS",
                "CODEOWNERS",
                "docs/CODEOWNERS",
                ".gitlab-ci.yml",
                "Jenkinsfile",
                "services/payments/Dockerfile",
                "Dockerfile.prod",
                "Makefile",
                ".gitmodules",
                ".gitattributes",
                ".husky/pre-commit",
                "azure-pipelines-release.yml",
            ],
        );
    }

    #[test]
    fn manifests_and_lock_files_are_dependencies() {
        all(
            FileKind::Dependency,
            &[
                "Cargo.toml",
                "a/b/Cargo.lock",
                "package.json",
                "yarn.lock",
                "go.mod",
                "go.sum",
                "pom.xml",
                "build.gradle",
                "settings.gradle.kts",
                "requirements.txt",
                "requirements-dev.txt",
                "requirements/base.txt",
                "dev-requirements.in",
                "pyproject.toml",
                "setup.py",
                "src/Bank/Bank.csproj",
                "vendor/github.com/x/y/z.go",
            ],
        );
    }

    #[test]
    fn steps_of_a_schema_are_migrations() {
        all(
            FileKind::Migration,
            &[
                "shop/migrations/0002_add_column.py",
                "db/migrate/20240101_add.rb",
                "src/main/resources/db/migration/V12__add.sql",
                "sql/V12__add_column.sql",
                "db/schema.sql",
                "alembic/versions/a1b2.py",
                "003_index.sql",
            ],
        );
    }

    #[test]
    fn descriptions_that_others_rely_on_are_contracts() {
        all(
            FileKind::Contract,
            &[
                "api/payments.proto",
                "openapi.yaml",
                "docs/payments-openapi.v2.json",
                "pacts/orders-payments.json",
                "schema.graphql",
                "events/order.avsc",
                "config/order.schema.json",
            ],
        );
    }

    #[test]
    fn tests_are_told_by_folder_and_by_name() {
        all(
            FileKind::Test,
            &[
                "tests/test_retry.py",
                "services/payments/test_retry.py",
                "payments/retry_test.go",
                "src/test/java/RetryTest.java",
                "src/RetryTest.java",
                "web/retry.spec.ts",
                "web/__tests__/retry.js",
                "tests/fixtures/settings.yaml",
                "conftest.py",
            ],
        );
    }

    #[test]
    fn configuration_is_told_by_extension() {
        all(
            FileKind::Config,
            &["services/payments/settings.yaml", "app.toml", ".env", ".env.production", "application.properties"],
        );
    }

    #[test]
    fn code_is_source_and_the_rest_is_other() {
        all(FileKind::Source, &["services/payments/retry.py", "main.go", "src/lib.rs", "contest.py", "latest.java.go"]);
        all(FileKind::Other, &["README.md", "logo.png", "LICENSE", "", "changelog.md"]);
    }

    #[test]
    fn case_and_backslashes_hide_nothing() {
        assert_eq!(kind_of(".GitHub\\Workflows\\build.yml"), FileKind::Ci);
        assert_eq!(kind_of("./MIGRATIONS/0001.py"), FileKind::Migration);
    }
}
