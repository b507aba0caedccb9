//! The same as a normal user, and as one who may not even make a user namespace.
//!
//! Root can become both; a normal user's machine shows one of them by running the other tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use backtrail_sandbox::{Aspect, Command, Error, Init, Limit, Limits, Sandbox};

use crate::hostile_programs::alive;

/// A first process that everyone may start, and a folder that everyone may write to.
fn place() -> Option<(tempfile::TempDir, String)> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let place = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("set");
    let program = place.path().join("init");
    fs::copy(env!("CARGO_BIN_EXE_backtrail-sandbox-init"), &program).expect("copied");
    let tree = place.path().join("tree");
    fs::create_dir(&tree).expect("a folder");
    let program = program.to_str().expect("UTF-8").to_owned();
    Some((place, program))
}

fn as_user(program: &str) -> Sandbox {
    let init = Init::new("setpriv", ["--reuid=12345", "--regid=12345", "--clear-groups", "--", program]);
    let mut sandbox = Sandbox::new(init);
    sandbox.user = (12345, 12345);
    sandbox
}

/// In a user namespace that forbids further ones, as its root but without any capability.
fn as_nobody_at_all(program: &str) -> Sandbox {
    let text = format!(
        "echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs -- {program} \"$@\""
    );
    let init = Init::new("unshare", ["--user", "--map-root-user", "/bin/sh", "-c", &text, "sh"]);
    let mut sandbox = Sandbox::new(init);
    sandbox.user = (0, 0);
    sandbox
}

fn sh(dir: &Path, text: &str) -> Command {
    let mut command = Command::new(dir, ["/bin/sh", "-c", text]);
    command.limits = Limits { wall: Duration::from_mins(1), ..Limits::default() };
    command
}

#[test]
fn a_normal_user_gets_the_same_isolation() {
    let Some((place, program)) = place() else { return };
    let tree = place.path().join("tree");
    let mark = format!("37{}", process::id() + 100_000);
    let text = format!(
        "id -u; echo x > file; touch /etc/x; ls {parent}; touch {parent}/x; setsid sleep {mark} & :",
        parent = place.path().display()
    );
    let outcome = as_user(&program).run(&sh(&tree, &text)).expect("it runs");
    assert_eq!(outcome.isolation.not_isolated, [], "{outcome:?}");
    assert_eq!(outcome.isolation.isolated.len(), 14);
    assert_eq!(outcome.stdout.text(), "12345\ntree\n", "{}", outcome.stderr.text());
    assert_eq!(fs::read_to_string(tree.join("file")).expect("written"), "x\n");
    assert!(!place.path().join("x").exists(), "what it made above its folder was its own");
    assert!(!alive(&mark), "a daemon is left");
}

#[test]
fn a_normal_user_meets_the_limits_too() {
    let Some((place, program)) = place() else { return };
    let tree = place.path().join("tree");
    let mut command = sh(&tree, "while :; do :; done & while :; do :; done");
    command.limits.cpu = Duration::from_secs(1);
    assert_eq!(as_user(&program).run(&command).expect("it runs").limit, Some(Limit::Cpu));
    let mut command = sh(&tree, "while :; do sleep 100 & done");
    command.limits.processes = 50;
    assert_eq!(as_user(&program).run(&command).expect("it runs").limit, Some(Limit::Processes));
}

#[test]
fn a_normal_user_is_not_fooled_by_a_folder_that_is_closed_to_it() {
    let Some((place, _)) = place() else { return };
    // The whole run as that user, so that the watching is done by it too.
    let tree = place.path().join("tree");
    fs::set_permissions(&tree, fs::Permissions::from_mode(0o777)).expect("set");
    let program = std::env::current_exe().expect("this test");
    let copy = place.path().join("tests");
    fs::copy(program, &copy).expect("copied");
    let status = process::Command::new("setpriv")
        .args(["--reuid=12345", "--regid=12345", "--clear-groups", "--"])
        .arg(&copy)
        .args(["--ignored", "--exact", "without_privileges::inner_fills_a_closed_folder"])
        .env("BACKTRAIL_TEST_PLACE", place.path())
        .current_dir("/")
        .output()
        .expect("setpriv");
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
    assert!(String::from_utf8_lossy(&status.stdout).contains("1 passed"));
}

#[test]
#[ignore = "started by a test above, as another user"]
fn inner_fills_a_closed_folder() {
    let place = PathBuf::from(std::env::var_os("BACKTRAIL_TEST_PLACE").expect("set by the test above"));
    let sandbox = Sandbox::new(Init::new(place.join("init"), [""; 0]));
    let text =
        "mkdir closed; chmod 300 closed; i=0; while :; do i=$((i+1)); head -c 1000000 /dev/zero > closed/$i; done";
    let mut command = sh(&place.join("tree"), text);
    command.limits.disk = 60 << 20;
    let outcome = sandbox.run(&command).expect("it runs");
    assert_eq!(outcome.limit, Some(Limit::Disk), "{outcome:?}");
}

#[test]
fn without_namespaces_it_runs_says_so_and_still_ends_everything() {
    let Some((place, program)) = place() else { return };
    let tree = place.path().join("tree");
    let mark = format!("38{}", process::id() + 100_000);
    let daemon = format!(
        "setsid sh -c 'setsid sleep {mark} & sleep {mark}' >/dev/null 2>&1 & setsid sleep {mark} >/dev/null 2>&1 &"
    );
    let sandbox = as_nobody_at_all(&program);
    let outcome = sandbox.run(&sh(&tree, &format!("{daemon} echo ran; env"))).expect("it runs");
    assert!(outcome.success(), "{outcome:?}");
    assert!(outcome.stdout.text().starts_with("ran\n") && !outcome.stdout.text().contains("CARGO_"));
    assert_eq!(outcome.isolation.isolated, [Aspect::NoNewPrivileges]);
    assert_eq!(outcome.isolation.not_isolated.len(), 13, "{:?}", outcome.isolation);
    assert!(outcome.isolation.not_isolated.iter().all(|(_, why)| !why.is_empty()));
    assert!(!alive(&mark), "a daemon is left after a normal end");

    let mut command = sh(&tree, &format!("{daemon} sleep {mark}"));
    command.limits.wall = Duration::from_secs(3);
    let outcome = sandbox.run(&command).expect("it runs");
    assert_eq!(outcome.limit, Some(Limit::Wall));
    assert!(!alive(&mark), "a daemon is left after the wall");

    let mut command = sh(&tree, "while :; do sleep 100 & done");
    command.limits.processes = 50;
    assert_eq!(sandbox.run(&command).expect("it runs").limit, Some(Limit::Processes));
}

#[test]
fn a_run_that_must_be_isolated_is_refused_where_it_is_not() {
    let Some((place, program)) = place() else { return };
    let tree = place.path().join("tree");
    let mut sandbox = as_nobody_at_all(&program);
    sandbox.require = vec![Aspect::Network];
    let refused = sandbox.run(&sh(&tree, "touch ran"));
    assert!(matches!(&refused, Err(Error::NotIsolated(why)) if why.contains("Network")), "{refused:?}");
    assert!(!tree.join("ran").exists());
}
