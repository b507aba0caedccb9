//! pytest and unittest, by the Python that `python3` means in the root folder.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{Plan, Results, junit, report, toolchain};
use crate::sandbox::{Command, Outcome};

#[derive(Debug, Clone)]
struct Python {
    program: PathBuf,
    readable: Vec<PathBuf>,
    pytest: bool,
    coverage: bool,
}

const ASK: &str = "import sys, importlib.util
print(sys.executable); print(importlib.util.find_spec('pytest') is not None)
print(importlib.util.find_spec('coverage') is not None)
print('\\n'.join({sys.prefix, sys.base_prefix, *(p for p in sys.path if p)}))";

/// Asked once: tools do not change while we run.
fn python() -> Result<&'static Python, String> {
    static FOUND: OnceLock<Result<Python, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let lines = toolchain::ask(&toolchain::program("python3")?, &["-I", "-c", ASK])?;
        let [program, pytest, coverage, readable @ ..] = &lines[..] else {
            return Err("python3 does not say where it is".into());
        };
        let readable = readable.iter().map(PathBuf::from).filter(|path| path.is_dir()).collect();
        Ok(Python { program: program.into(), readable, pytest: pytest == "True", coverage: coverage == "True" })
    });
    found.as_ref().map_err(Clone::clone)
}

/// Lets a command that begins with `python3` start the interpreter itself: what is in `PATH` may be a script that looks
/// for it in a folder that is covered.
pub(super) fn resolve(plan: &mut Plan) {
    let named = plan.command.argv.first().is_some_and(|first| first == "python3" || first == "python");
    if let (true, Ok(python)) = (named, python()) {
        plan.command.argv[0] = python.program.clone().into_os_string();
        plan.readable.extend(python.readable.iter().cloned());
    }
}

pub(super) fn has_pytest() -> bool {
    python().is_ok_and(|python| python.pytest)
}

fn start(dir: &Path, args: &[&str]) -> Result<(Command, Vec<PathBuf>), String> {
    let python = python()?;
    let argv = std::iter::once(python.program.clone().into_os_string()).chain(args.iter().map(Into::into));
    let command = Command::new(dir, argv).env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONHASHSEED", "0");
    let mut readable = python.readable.clone();
    readable.extend(toolchain::in_path());
    Ok((command, readable))
}

pub(super) fn pytest(dir: &Path, outbox: &Path, only: Option<&[String]>) -> Result<Plan, String> {
    let file = outbox.join("junit.xml");
    let junit = format!("--junitxml={}", file.display());
    let args = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "junit_family=xunit1", &junit];
    let (mut command, readable) = start(dir, &args)?;
    for test in only.unwrap_or_default() {
        if test.starts_with('-') {
            return Err(format!("'{test}' is no name of a test"));
        }
        command.argv.push(placed(dir, test).into());
    }
    let read = move |_: &Outcome| report(&file).map_or_else(Results::default, |xml| junit::results(&xml, node_id));
    Ok(Plan { command, readable, read: Box::new(read) })
}

/// A test by a path that holds where pytest is started: it names files from the folder of its configuration, which may lie
/// above.
fn placed(dir: &Path, test: &str) -> String {
    let (file, rest) = test.split_once("::").map_or((test, ""), |(file, rest)| (file, rest));
    let above = dir.ancestors().skip(1).take(8).find(|above| above.join(file).is_file());
    match above.filter(|_| !dir.join(file).is_file()) {
        Some(above) if rest.is_empty() => above.join(file).display().to_string(),
        Some(above) => format!("{}::{rest}", above.join(file).display()),
        None => test.to_owned(),
    }
}

/// Runs the tests under coverage.py and writes `{PATH: [[lines that could run], [lines that did not]]}`.
const COVERAGE: &str = r#"
import json, os, sys
out, kind = sys.argv[1], sys.argv[2]
sys.path.insert(0, "")
import coverage
cov = coverage.Coverage(data_file=None, config_file=False, source=["."])
cov.start()
code = 1
try:
    if kind == "pytest":
        import pytest
        code = int(pytest.main(["-q", "-p", "no:cacheprovider"]))
    else:
        import unittest
        loader = unittest.TestLoader()
        suite = unittest.TestSuite(loader.discover(".", pattern=p) for p in ("test_*.py", "*_test.py"))
        code = 0 if unittest.TextTestRunner(verbosity=0).run(suite).wasSuccessful() else 1
finally:
    cov.stop()
    found = {}
    for file in cov.get_data().measured_files():
        try:
            _, could, _, missed, _ = cov.analysis2(file)
        except coverage.CoverageException:
            continue
        found[os.path.relpath(file)] = [could, missed]
    with open(out, "w") as file:
        json.dump(found, file)
sys.exit(code)
"#;

/// The same tests, with the lines that they ran written to `file`.
pub(super) fn coverage(dir: &Path, file: &Path, pytest: bool) -> Result<Plan, String> {
    if !python()?.coverage {
        return Err("coverage.py is not installed for python3".into());
    }
    let kind = if pytest { "pytest" } else { "unittest" };
    let (mut command, readable) = start(dir, &["-c", COVERAGE])?;
    command.argv.extend([file.into(), kind.into()]);
    Ok(Plan { command, readable, read: Box::new(|_| Results::default()) })
}

/// The name by which pytest runs the test again: `tests/test_a.py::Class::test[1]`.
fn node_id(case: &junit::Case) -> String {
    if case.file.is_empty() {
        return if case.class.is_empty() { case.name.clone() } else { format!("{}::{}", case.class, case.name) };
    }
    let module = case.file.trim_end_matches(".py").replace('/', ".");
    let class = case.class.strip_prefix(&module).unwrap_or_default().trim_start_matches('.');
    let mut id = case.file.clone();
    for part in class.split('.').filter(|part| !part.is_empty()).chain([case.name.as_str()]) {
        id.push_str("::");
        id.push_str(part);
    }
    id
}

/// Runs unittest and writes one JSON document a test. Its own text output cannot be read back for sure: the line of a
/// test changes with its documentation.
const UNITTEST: &str = r#"
import json, sys, unittest
out = open(sys.argv[1], "w")
def tell(kind, test, text=""):
    out.write(json.dumps([kind, test.id() if hasattr(test, "id") else str(test), text]) + "\n"); out.flush()
class Told(unittest.TextTestResult):
    def addSuccess(self, test): super().addSuccess(test); tell("passed", test)
    def addFailure(self, test, err): super().addFailure(test, err); tell("failed", test, self._exc_info_to_string(err, test))
    def addError(self, test, err): super().addError(test, err); tell("error", test, self._exc_info_to_string(err, test))
    def addSkip(self, test, why): super().addSkip(test, why); tell("skipped", test, why)
    def addExpectedFailure(self, test, err): super().addExpectedFailure(test, err); tell("passed", test)
    def addUnexpectedSuccess(self, test): super().addUnexpectedSuccess(test); tell("failed", test, "an unexpected success")
    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None: tell("failed", subtest, self._exc_info_to_string(err, test))
sys.path.insert(0, "")
loader = unittest.TestLoader()
names = sys.argv[2:]
if names:
    suite = loader.loadTestsFromNames(names)
else:
    suite = unittest.TestSuite(loader.discover(".", pattern=p) for p in ("test_*.py", "*_test.py"))
result = unittest.TextTestRunner(resultclass=Told, verbosity=0).run(suite)
sys.exit(0 if result.wasSuccessful() else 1)
"#;

pub(super) fn unittest(dir: &Path, outbox: &Path, only: Option<&[String]>) -> Result<Plan, String> {
    let file = outbox.join("results.jsonl");
    let (mut command, readable) = start(dir, &["-c", UNITTEST])?;
    command.argv.push(file.clone().into());
    command.argv.extend(only.unwrap_or_default().iter().map(Into::into));
    let read = move |_: &Outcome| {
        let mut results = Results::default();
        for line in String::from_utf8_lossy(&report(&file).unwrap_or_default()).lines() {
            match serde_json::from_str::<(String, String, String)>(line) {
                Ok((kind, test, text)) => match kind.as_str() {
                    "passed" => results.passed.push(test),
                    "failed" => results.failed.push((test, super::last(&text))),
                    "error" => results.errors.push((test, super::last(&text))),
                    _ => results.skipped.push(test),
                },
                Err(error) => results.errors.push(("the results".into(), format!("cannot be read: {error}"))),
            }
        }
        results
    };
    Ok(Plan { command, readable, read: Box::new(read) })
}
