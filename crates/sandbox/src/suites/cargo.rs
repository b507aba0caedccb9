//! `cargo test --offline`, read by the lines of libtest.

use std::path::{Path, PathBuf};

use super::{Plan, Results, last, toolchain};
use crate::sandbox::{Command, Outcome};

pub(super) fn plan(dir: &Path, cache: &Path, only: Option<&[String]>) -> Result<Plan, String> {
    let rustc = toolchain::program("rustc")?;
    let told = toolchain::ask(&rustc, &["--print", "sysroot"])?;
    let sysroot = PathBuf::from(told.first().ok_or("rustc does not say where it is")?);
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cargo_home = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    // The toolchain's own cargo: a proxy would look for its settings in a home that is covered.
    let own = sysroot.join("bin/cargo");
    let cargo = if own.is_file() { own } else { toolchain::program("cargo")? };
    let mut argv =
        vec![cargo.into_os_string(), "test".into(), "--offline".into(), "--no-fail-fast".into(), "--".into()];
    if let Some(only) = only {
        argv.push("--exact".into());
        for test in only {
            if test.starts_with('-') {
                return Err(format!("'{test}' is no name of a test"));
            }
            argv.push(test.into());
        }
    }
    let command = Command::new(dir, argv)
        .env("PATH", toolchain::path_with(&sysroot.join("bin")))
        .env("CARGO_HOME", &cargo_home)
        .env("CARGO_TARGET_DIR", cache.join("cargo-target"))
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_NET_OFFLINE", "true")
        .env("RUST_BACKTRACE", "0");
    let mut readable = vec![sysroot];
    // Not the whole of it: a token for a registry may lie beside.
    readable.extend(
        ["registry", "git", "config.toml"].map(|name| cargo_home.join(name)).into_iter().filter(|path| path.exists()),
    );
    readable.extend(toolchain::in_path());
    Ok(Plan { command, readable, read: Box::new(read) })
}

/// Lets a command that begins with `cargo` start the toolchain's own, for the same reason.
pub(super) fn resolve(dir: &Path, cache: &Path, given: &mut Plan) -> Result<(), String> {
    if given.command.argv.first().is_none_or(|first| first != "cargo") {
        return Ok(());
    }
    let own = plan(dir, cache, None)?;
    let rest = given.command.argv.split_off(1);
    given.command = own.command;
    given.command.argv.truncate(1);
    given.command.argv.extend(rest);
    given.readable.extend(own.readable);
    Ok(())
}

fn read(outcome: &Outcome) -> Results {
    let mut results = results(&outcome.stdout.text());
    let errors = outcome.stderr.text();
    let compiles = !errors.lines().any(|line| {
        line.starts_with("error") && !line.starts_with("error: test failed") && !line.contains("target failed")
    });
    if !outcome.success() && !compiles {
        results.errors.push(("the build".into(), last(errors.trim())));
    }
    results
}

/// `test path::to::name ... ok`, and the blocks `---- path::to::name stdout ----` of what the failing ones said.
fn results(text: &str) -> Results {
    let mut results = Results::default();
    let mut block: Option<(String, String)> = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("---- ").and_then(|line| line.strip_suffix(" stdout ----")) {
            settle(&mut results, block.replace((name.to_owned(), String::new())));
            continue;
        }
        if line == "failures:" || line.starts_with("test result: ") {
            settle(&mut results, block.take());
        }
        if let Some((_, said)) = &mut block {
            said.push_str(line);
            said.push('\n');
            continue;
        }
        let Some((name, verdict)) = line.strip_prefix("test ").and_then(|line| line.rsplit_once(" ... ")) else {
            continue;
        };
        // `name - should panic`, and a measured time behind the verdict.
        let name = name.trim_end_matches(" - should panic").to_owned();
        match verdict.split([' ', ',']).next() {
            Some("ok") => results.passed.push(name),
            Some("ignored") => results.skipped.push(name),
            Some("FAILED") => results.failed.push((name, String::new())),
            _ => {}
        }
    }
    settle(&mut results, block);
    results
}

fn settle(results: &mut Results, block: Option<(String, String)>) {
    let Some((name, said)) = block else { return };
    if let Some((_, message)) =
        results.failed.iter_mut().find(|(failed, message)| *failed == name && message.is_empty())
    {
        *message = last(said.trim());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_lines_of_libtest() {
        let text = "\nrunning 4 tests\ntest a::good ... ok\ntest a::bad ... FAILED\ntest later ... ignored, not now\n\
                    test p - should panic ... ok\n\nfailures:\n\n---- a::bad stdout ----\nassertion failed\ntest fake ... ok\n\n\
                    failures:\n    a::bad\n\ntest result: FAILED. 2 passed; 1 failed\n";
        let results = results(text);
        assert_eq!(results.passed, ["a::good", "p"]);
        assert_eq!(results.failed, [("a::bad".to_owned(), "assertion failed\ntest fake ... ok".to_owned())]);
        assert_eq!(results.skipped, ["later"]);
    }
}
