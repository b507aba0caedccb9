//! The suites of real tools on small repositories: what passes, what fails with which words, and what cannot run.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use backtrail_sandbox::suites::{Kind, Results, Suite};
use backtrail_sandbox::{Limit, Limits, Outcome};

use crate::support::sandbox;

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (path, content) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("below")).expect("folders");
        fs::write(path, content).expect("a file");
    }
    dir
}

fn limits() -> Limits {
    Limits { wall: Duration::from_mins(5), cpu: Duration::from_mins(5), ..Limits::default() }
}

fn run(suite: &Suite, dir: &Path, only: Option<&[String]>) -> (Results, Option<Outcome>) {
    suite.run(&sandbox(), dir, only, limits()).expect("the sandbox works")
}

fn kinds(dir: &Path) -> Vec<Kind> {
    Suite::detect(dir).into_iter().map(|suite| suite.kind).collect()
}

/// The one suite of a tree, if the tool is there; a tool that is not is told.
fn suite(dir: &Path, kind: Kind, tool: &[&str]) -> Option<Suite> {
    let there = Command::new(tool[0]).args(&tool[1..]).current_dir("/").output().is_ok_and(|out| out.status.success());
    if !there {
        assert!(std::env::var_os("CI").is_none(), "{tool:?} is needed");
        return None;
    }
    let suites = Suite::detect(dir);
    assert_eq!(suites.iter().map(|suite| suite.kind).collect::<Vec<_>>(), [kind]);
    suites.into_iter().next()
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

/// Message of the failure of this test.
fn failure<'r>(results: &'r Results, name: &str) -> &'r str {
    let found = results.failed.iter().find(|(failed, _)| failed == name);
    &found.unwrap_or_else(|| panic!("{name} must have failed: {results:?}")).1
}

const PYTHON: &str = "
import unittest
class Shop(unittest.TestCase):
    def test_pays(self):
        'Has words of its own ... FAIL'
        self.assertEqual(1 + 1, 2)
    def test_refunds(self):
        self.assertEqual('refund', 'nothing')
    def test_breaks(self):
        raise RuntimeError('broken <inside> & out')
    @unittest.skip('later')
    def test_later(self): pass
";

#[test]
fn pytest_tells_test_by_test_and_runs_one_again() {
    let dir = tree(&[
        ("shop/__init__.py", ""),
        ("shop/test_shop.py", PYTHON),
        (
            "test_plain.py",
            "import pytest\n@pytest.mark.parametrize('n', [1, 2])\ndef test_small(n):\n    assert n < 2, 'too large'\n",
        ),
    ]);
    let Some(suite) = suite(dir.path(), Kind::Pytest, &["python3", "-I", "-c", "import pytest"]) else { return };
    let (results, outcome) = run(&suite, dir.path(), None);
    assert_eq!(
        sorted(results.passed.clone()),
        ["shop/test_shop.py::Shop::test_pays", "test_plain.py::test_small[1]"],
        "{results:?} {outcome:?}"
    );
    assert!(failure(&results, "test_plain.py::test_small[2]").contains("too large"));
    assert!(failure(&results, "shop/test_shop.py::Shop::test_refunds").contains("refund"));
    assert!(failure(&results, "shop/test_shop.py::Shop::test_breaks").contains("broken <inside> & out"));
    assert_eq!(results.skipped, ["shop/test_shop.py::Shop::test_later"]);
    assert!(!results.green());
    let only = ["test_plain.py::test_small[1]".to_owned(), "shop/test_shop.py::Shop::test_pays".to_owned()];
    let (results, _) = run(&suite, dir.path(), Some(&only));
    assert_eq!((sorted(results.passed.clone()), results.green()), (sorted(only.to_vec()), true), "{results:?}");
    let (results, _) = run(&suite, dir.path(), Some(&["test_plain.py::test_none".to_owned()]));
    assert!(results.could_not_run.as_deref().is_some_and(|why| why.contains("test_none")), "{results:?}");
    let (results, _) = run(&suite, dir.path(), Some(&["--collect-only".to_owned()]));
    assert!(results.could_not_run.is_some());
}

#[test]
fn unittest_tells_test_by_test() {
    let dir = tree(&[("test_shop.py", PYTHON), ("test_broken.py", "import no_such_module\n")]);
    let suite = Suite { kind: Kind::Unittest, folder: "".into(), argv: Vec::new() };
    let (results, outcome) = run(&suite, dir.path(), None);
    assert_eq!(results.passed, ["test_shop.Shop.test_pays"], "{results:?} {outcome:?}");
    assert!(failure(&results, "test_shop.Shop.test_refunds").contains("refund"));
    let errors: Vec<&str> = results.errors.iter().map(|(name, _)| name.as_str()).collect();
    assert!(
        errors.contains(&"test_shop.Shop.test_breaks") && errors.iter().any(|name| name.contains("test_broken")),
        "{errors:?}"
    );
    let (results, _) = run(&suite, dir.path(), Some(&["test_shop.Shop.test_pays".to_owned()]));
    assert!(results.green());
}

#[test]
fn a_test_that_exits_in_the_middle_is_no_success() {
    let dir = tree(&[("test_exit.py", "import os\ndef test_a(): pass\ndef test_b(): os._exit(0)\n")]);
    let Some(suite) = suite(dir.path(), Kind::Pytest, &["python3", "-I", "-c", "import pytest"]) else { return };
    let (results, _) = run(&suite, dir.path(), None);
    assert!(results.could_not_run.is_some() && !results.green(), "{results:?}");
    // One that writes its own results and fails.
    let dir = tree(&[(
        "test_forged.py",
        "import sys, os\ndef test_a():\n    out = [a for a in sys.argv if a.startswith('--junitxml=')][0].split('=')[1]\n    \
         open(out, 'w').write('<testsuite><testcase name=\"fine\"/></testsuite>')\n    os._exit(3)\n",
    )]);
    let (results, _) = run(&suite, dir.path(), None);
    assert!(!results.green() && !results.errors.is_empty(), "{results:?}");
    // One that puts a link to a file of ours in the place of the results.
    let dir = tree(&[(
        "test_link.py",
        "import sys, os\ndef test_a():\n    out = [a for a in sys.argv if a.startswith('--junitxml=')][0].split('=')[1]\n    \
         os.symlink('/etc/passwd', out)\n    os._exit(0)\n",
    )]);
    let (results, _) = run(&suite, dir.path(), None);
    assert!(results.could_not_run.is_some(), "{results:?}");
}

#[test]
fn a_suite_that_never_ends_is_told_by_its_limit() {
    let dir = tree(&[("test_slow.py", "import time\ndef test_a(): time.sleep(3600)\n")]);
    let Some(suite) = suite(dir.path(), Kind::Pytest, &["python3", "-I", "-c", "import pytest"]) else { return };
    let limits = Limits { wall: Duration::from_secs(4), ..limits() };
    let (results, outcome) = suite.run(&sandbox(), dir.path(), None, limits).expect("the sandbox works");
    assert_eq!(outcome.expect("it ran").limit, Some(Limit::Wall));
    assert!(results.errors[0].1.contains("limit of time"), "{results:?}");
}

#[test]
fn go_tells_test_by_test_and_what_does_not_compile() {
    let test = "package shop\nimport \"testing\"\nfunc TestPays(t *testing.T) {}\n\
                func TestRefunds(t *testing.T) { t.Run(\"part\", func(t *testing.T) { t.Fatal(\"no refund\") }) }\n\
                func TestLater(t *testing.T) { t.Skip() }\n";
    let dir = tree(&[
        ("go.mod", "module example.org/shop.v1\n\ngo 1.20\n"),
        ("shop_test.go", test),
        ("broken/broken_test.go", "package broken\nimport \"testing\"\nfunc TestX(t *testing.T) { undefined() }\n"),
    ]);
    let Some(suite) = suite(dir.path(), Kind::Go, &["go", "version"]) else { return };
    let cache = tempfile::tempdir().expect("a temporary folder");
    let mut sandbox = sandbox();
    sandbox.cache = Some(cache.path().to_owned());
    let (results, outcome) = suite.run(&sandbox, dir.path(), None, limits()).expect("the sandbox works");
    assert_eq!(results.passed, ["example.org/shop.v1.TestPays"], "{results:?} {}", outcome.expect("ran").stderr.text());
    assert!(failure(&results, "example.org/shop.v1.TestRefunds/part").contains("no refund"));
    assert_eq!(results.skipped, ["example.org/shop.v1.TestLater"]);
    assert!(
        results.errors.iter().any(|(name, said)| name.contains("broken") && said.contains("undefined")),
        "{results:?}"
    );
    let only = ["example.org/shop.v1.TestPays".to_owned()];
    let (results, _) = suite.run(&sandbox, dir.path(), Some(&only), limits()).expect("the sandbox works");
    assert!(results.green() && results.passed == only, "{results:?}");
}

#[test]
fn cargo_tells_test_by_test_and_what_does_not_compile() {
    let manifest = "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\ncfg-if = \"1\"\n[workspace]\n";
    let lib = "#[test] fn pays() {}\n#[test] fn refunds() { panic!(\"no refund\") }\n#[test] #[ignore] fn later() {}\n";
    let dir = tree(&[("Cargo.toml", manifest), ("src/lib.rs", lib)]);
    let Some(suite) = suite(dir.path(), Kind::Cargo, &["cargo", "--version"]) else { return };
    let (results, outcome) = run(&suite, dir.path(), None);
    assert_eq!(results.passed, ["pays"], "{results:?} {}", outcome.expect("ran").stderr.text());
    assert!(failure(&results, "refunds").contains("no refund"));
    assert_eq!((results.skipped.as_slice(), results.errors.len()), (&["later".to_owned()][..], 0));
    let (results, _) = run(&suite, dir.path(), Some(&["pays".to_owned()]));
    assert!(results.green(), "{results:?}");
    fs::write(dir.path().join("src/lib.rs"), "fn broken() { undefined() }").expect("a file");
    let (results, _) = run(&suite, dir.path(), None);
    assert!(results.errors.iter().any(|(_, said)| said.contains("undefined")), "{results:?}");
}

#[test]
fn node_tells_test_by_test() {
    let test = "const test = require('node:test'); const assert = require('node:assert');\n\
                test('pays (once)', () => {});\ntest('refunds', () => { assert.equal('refund', 'nothing') });\ntest('later', { skip: true }, () => {});\n";
    let dir = tree(&[("package.json", r#"{"scripts": {"test": "node --test"}}"#), ("test/shop.test.js", test)]);
    let Some(suite) = suite(dir.path(), Kind::Node, &["node", "--test", "--help"]) else { return };
    let (results, outcome) = run(&suite, dir.path(), None);
    assert_eq!(results.passed, ["pays (once)"], "{results:?} {outcome:?}");
    assert!(failure(&results, "refunds").contains("refund"));
    assert_eq!(results.skipped, ["later"]);
    let (results, _) = run(&suite, dir.path(), Some(&["pays (once)".to_owned()]));
    assert!(results.passed.contains(&"pays (once)".to_owned()) && results.failed.is_empty(), "{results:?}");
}

#[test]
fn npm_is_run_as_its_script_says() {
    let dir = tree(&[("package.json", r#"{"scripts": {"test": "node --test --test-reporter=tap | cat"}}"#)]);
    fs::write(dir.path().join("a.test.js"), "require('node:test')('pays', () => {});\n").expect("a file");
    let Some(suite) = suite(dir.path(), Kind::Npm, &["npm", "--version"]) else { return };
    let (results, outcome) = run(&suite, dir.path(), None);
    assert!(results.green(), "{results:?} {outcome:?}");
    fs::write(dir.path().join("package.json"), r#"{"scripts": {"test": "echo no good; exit 4"}}"#).expect("a file");
    let (results, _) = run(&suite, dir.path(), None);
    assert!(failure(&results, "npm test").contains("no good"));
}

#[test]
fn maven_that_lacks_its_packages_could_not_run_and_says_why() {
    let pom = "<project><modelVersion>4.0.0</modelVersion><groupId>o</groupId><artifactId>a</artifactId><version>1</version>\
               <dependencies><dependency><groupId>no.such.group</groupId><artifactId>none</artifactId><version>9</version></dependency></dependencies></project>";
    let dir = tree(&[
        ("pom.xml", pom),
        ("target/surefire-reports/TEST-old.xml", "<testsuite><testcase classname='a.B' name='old'/></testsuite>"),
    ]);
    let Some(suite) = suite(dir.path(), Kind::Maven, &["mvn", "--version"]) else { return };
    let (results, _) = run(&suite, dir.path(), None);
    assert!(results.could_not_run.as_deref().is_some_and(|why| why.contains("offline")), "{results:?}");
    assert!(results.passed.is_empty(), "results of an earlier run are not those of this one");
}

#[test]
fn make_is_the_last_resort_and_a_given_command_is_taken() {
    let dir = tree(&[("Makefile", "all:\n\tfalse\ntest: all-is-well\nall-is-well:\n\t@echo fine\n")]);
    let Some(suite) = suite(dir.path(), Kind::Make, &["make", "--version"]) else { return };
    let (results, outcome) = run(&suite, dir.path(), None);
    assert_eq!(results.passed, ["make test"], "{outcome:?}");
    fs::write(dir.path().join("Makefile"), "test:\n\t@echo broken; false\n").expect("a file");
    assert!(failure(&run(&suite, dir.path(), None).0, "make test").contains("broken"));
    let given = Suite::given(["sh", "-c", "exit 0"]);
    assert!(run(&given, dir.path(), None).0.green());
    let missing = Suite::given(["no-such-tool"]);
    assert!(run(&missing, dir.path(), None).0.could_not_run.expect("told").contains("no-such-tool"));
}

#[test]
fn suites_are_found_by_their_files_alone() {
    assert_eq!(kinds(tree(&[("Makefile", "test := x\nbuild:\n")]).path()), []);
    assert_eq!(
        kinds(
            tree(&[("package.json", r#"{"scripts": {"test": "echo \"Error: no test specified\" && exit 1"}}"#)]).path()
        ),
        []
    );
    assert_eq!(kinds(tree(&[("package.json", "not json")]).path()), []);
    assert_eq!(kinds(tree(&[("package.json", r#"{"scripts": {"test": "node --test $(id)"}}"#)]).path()), [Kind::Npm]);
    assert_eq!(
        kinds(tree(&[("go.mod", "module x"), ("Cargo.toml", ""), ("Makefile", "test:\n")]).path()),
        [Kind::Go, Kind::Cargo]
    );
    assert_eq!(kinds(tree(&[("node_modules/x/test_a.py", "")]).path()), []);
}

fn covered(suite: &Suite, dir: &Path) -> Result<backtrail_sandbox::suites::Coverage, String> {
    suite.coverage(&sandbox(), dir, limits()).expect("the sandbox works")
}

#[test]
fn coverage_of_python_names_the_lines_that_no_test_runs() {
    let dir = tree(&[
        ("shop.py", "def pay(n):\n    if n > 9:\n        return 'much'\n    return 'little'\n"),
        ("test_shop.py", "from shop import pay\n\ndef test_pays():\n    assert pay(1) == 'little'\n"),
    ]);
    let Some(suite) = suite(dir.path(), Kind::Pytest, &["python3", "-I", "-c", "import pytest, coverage"]) else {
        return;
    };
    let found = covered(&suite, dir.path()).expect("measured");
    assert_eq!(found["shop.py"].missed, [3].into(), "{found:?}");
    assert!(found["shop.py"].ran.contains(&4));
}

#[test]
fn coverage_of_go_names_the_lines_that_no_test_runs() {
    let dir = tree(&[
        ("go.mod", "module shop.example/pay\n\ngo 1.21\n"),
        (
            "bank/bank.go",
            "package bank\n\nfunc Pay(n int) string {\n\tif n > 9 {\n\t\treturn \"much\"\n\t}\n\treturn \"little\"\n}\n",
        ),
        (
            "bank/bank_test.go",
            "package bank\n\nimport \"testing\"\n\nfunc TestPay(t *testing.T) {\n\tif Pay(1) != \"little\" {\n\t\tt.Fatal()\n\t}\n}\n",
        ),
    ]);
    let Some(suite) = suite(dir.path(), Kind::Go, &["go", "version"]) else { return };
    let found = covered(&suite, dir.path()).expect("measured");
    assert!(found["bank/bank.go"].missed.contains(&5) && found["bank/bank.go"].ran.contains(&7), "{found:?}");
}

#[test]
fn coverage_of_node_names_the_lines_that_no_test_runs() {
    let dir = tree(&[
        ("package.json", "{ \"type\": \"module\", \"scripts\": { \"test\": \"node --test\" } }"),
        ("shop.js", "export function pay(n) {\n  if (n > 9) {\n    return 'much'\n  }\n  return 'little'\n}\n"),
        (
            "shop.test.js",
            "import test from 'node:test'\nimport assert from 'node:assert'\nimport { pay } from './shop.js'\n\ntest('pays', () => assert.equal(pay(1), 'little'))\n",
        ),
    ]);
    let Some(suite) = suite(dir.path(), Kind::Node, &["node", "--version"]) else { return };
    let found = covered(&suite, dir.path()).expect("measured");
    assert!(found["shop.js"].missed.contains(&3) && found["shop.js"].ran.contains(&5), "{found:?}");
}

#[test]
fn without_a_tool_for_coverage_the_reason_is_told() {
    let dir = tree(&[("Makefile", "test:\n\ttrue\n")]);
    let suite = Suite { kind: Kind::Make, folder: "".into(), argv: Vec::new() };
    assert!(covered(&suite, dir.path()).is_err_and(|why| why.contains("Make")));
}
