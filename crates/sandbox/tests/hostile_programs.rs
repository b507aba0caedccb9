//! Programs that look around, write where they should not, and call out.

use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;

use backtrail_sandbox::{Aspect, Command, Error, Limits, Sandbox};

use crate::support::{init, picture, run_python, sandbox};

fn sh(dir: &Path, text: &str) -> Command {
    Command::new(dir, ["/bin/sh", "-c", text])
}

#[test]
fn everything_is_isolated_where_the_machine_lets_us() {
    let isolation = Sandbox::probe(init()).expect("it starts");
    for aspect in [
        Aspect::User,
        Aspect::Credentials,
        Aspect::NoNewPrivileges,
        Aspect::Mount,
        Aspect::ReadOnly,
        Aspect::Hidden,
        Aspect::Temporary,
        Aspect::Devices,
        Aspect::Pid,
        Aspect::Proc,
        Aspect::Network,
        Aspect::Loopback,
        Aspect::Ipc,
        Aspect::Uts,
    ] {
        let told = isolation.not_isolated.iter().any(|(not, why)| *not == aspect && !why.is_empty());
        assert!(isolation.has(aspect) != told, "{aspect:?} is either isolated or told: {isolation:?}");
        if nix::unistd::geteuid().is_root() {
            assert!(isolation.has(aspect), "{isolation:?}");
        }
    }
}

#[test]
fn a_program_writes_in_its_folder_and_nowhere_else() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let (dir, data) = (place.path().join("tree"), place.path().join("data"));
    for folder in [&dir, &data] {
        fs::create_dir(folder).expect("a folder");
    }
    fs::write(data.join("journal"), "secret of the consumer").expect("a file");
    let before = picture(&data);
    let mut sandbox = sandbox();
    sandbox.hidden.push(data.clone());
    let text = format!(
        "echo mine > inside; echo x > {data}/new; echo x >> {data}/journal; rm -rf {data}; cat {data}/journal
         for place in /etc /usr /usr/local /var /root /home /opt / /sys /proc/sys/kernel {parent}; do
           touch $place/backtrail-was-here 2>/dev/null && echo wrote $place
         done
         echo 1 2>/dev/null > /proc/sys/kernel/sysrq && echo wrote sysrq
         mount -o remount,rw / 2>/dev/null && echo remounted
         umount {data} 2>/dev/null && echo unmounted
         echo fine > /tmp/private && cat /tmp/private; echo fine > $HOME/private; id -u; ls /root /home 2>/dev/null | wc -l",
        data = data.display(),
        parent = place.path().display(),
    );
    let outcome = sandbox.run(&sh(&dir, &text)).expect("it runs");
    let out = outcome.stdout.text();
    assert!(!out.contains("secret") && !out.contains("mounted"), "{out}");
    assert!(!out.contains("wrote"), "{out}");
    assert!(out.starts_with("fine\n"), "{out} {}", outcome.stderr.text());
    assert_eq!(fs::read_to_string(dir.join("inside")).expect("its own file"), "mine\n");
    assert_eq!(picture(&data), before);
    assert!(!Path::new("/tmp/private").exists());
    assert!(!place.path().join("backtrail-was-here").exists());
    assert_ne!(out.lines().nth(1), Some("0"), "not root: {out}");
}

#[test]
fn secrets_in_homes_and_named_files_cannot_be_read() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let dir = place.path().join("tree");
    fs::create_dir_all(dir.join("inner")).expect("a folder");
    fs::write(dir.join("inner/key"), "very-secret").expect("a file");
    fs::write(dir.join("token"), "very-secret").expect("a file");
    fs::write(dir.join("open"), "not-secret").expect("a file");
    let mut sandbox = sandbox();
    sandbox.hidden = vec![dir.join("inner"), dir.join("token")];
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".into());
    let text =
        format!("cat inner/key token open; ls -A {home} /root; env; cat /proc/1/environ /proc/*/root/etc/shadow");
    let outcome = sandbox.run(&sh(&dir, &text).env("GIVEN", "yes")).expect("it runs");
    let out = outcome.stdout.text();
    assert!(out.contains("not-secret") && !out.contains("very-secret"), "{out}");
    assert!(!out.contains(".bashrc") && !out.contains(".ssh"), "{out}");
    assert!(out.contains("GIVEN=yes") && !out.contains("CARGO_"), "{out}");
    assert!(!out.contains("daemon:"), "{out}");
    assert_eq!(fs::read_to_string(dir.join("token")).expect("unharmed"), "very-secret");
}

#[test]
fn what_is_readable_stays_visible_below_a_covered_folder_and_cannot_be_written() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let (dir, home) = (place.path().join("tree"), place.path().join("home"));
    fs::create_dir_all(home.join("tools/bin")).expect("a folder");
    fs::create_dir(&dir).expect("a folder");
    fs::write(home.join("tools/bin/data"), "tool").expect("a file");
    fs::write(home.join("tools/credentials"), "very-secret").expect("a file");
    fs::write(home.join("key"), "very-secret").expect("a file");
    let mut sandbox = sandbox();
    sandbox.hidden = vec![home.clone(), home.join("tools/credentials")];
    sandbox.readable = vec![home.join("tools")];
    let text = format!(
        "cd {} && cat tools/bin/data key tools/credentials; echo x > tools/bin/data; touch new tools/new",
        home.display()
    );
    let outcome = sandbox.run(&sh(&dir, &text)).expect("it runs");
    assert_eq!(outcome.stdout.text(), "tool", "{}", outcome.stderr.text());
    assert_eq!(fs::read_to_string(home.join("tools/bin/data")).expect("unharmed"), "tool");
    assert!(!home.join("new").exists() && !home.join("tools/new").exists());
}

#[test]
fn nothing_outside_can_be_reached_by_a_socket() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    listener.set_nonblocking(true).expect("set");
    let unix = UnixListener::bind(place.path().join("socket")).expect("a listener");
    unix.set_nonblocking(true).expect("set");
    let text = format!(
        "
import socket
def tries(family, address):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.settimeout(2)
    try:
        s.connect(address)
        print('connected', address)
    except OSError as error:
        print('refused')
tries(socket.AF_INET, ('127.0.0.1', {port}))
tries(socket.AF_INET, ('192.0.2.1', 80))
tries(socket.AF_UNIX, '{path}')
s = socket.create_server(('127.0.0.1', 0))
c = socket.create_connection(s.getsockname())
print('own loopback works')
",
        port = listener.local_addr().expect("an address").port(),
        path = place.path().join("socket").display(),
    );
    let (outcome, _dir) = run_python(&text, Limits::default());
    assert!(outcome.isolation.has(Aspect::Network), "{:?}", outcome.isolation);
    assert_eq!(outcome.stdout.text(), "refused\nrefused\nrefused\nown loopback works\n", "{}", outcome.stderr.text());
    assert!(listener.accept().is_err() && unix.accept().is_err(), "somebody called");
}

#[test]
fn rights_cannot_be_won_back() {
    let text = "
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print('user namespace', libc.unshare(0x10000000))
print('mount', libc.mount(b'tmpfs', b'/tmp', b'tmpfs', 0, None))
print('trace', libc.ptrace(16, 1, None, None))
try:
    os.setuid(0); print('setuid')
except OSError: print('no setuid')
for line in open('/proc/self/status'):
    if line.startswith(('CapEff', 'CapPrm', 'CapAmb', 'NoNewPrivs')): print(line.split()[0], int(line.split()[1], 16))
print(sorted(p for p in os.listdir('/proc') if p.isdigit())[:3] == ['1', '2'] or len([p for p in os.listdir('/proc') if p.isdigit()]))
";
    let (outcome, _dir) = run_python(text, Limits::default());
    let out = outcome.stdout.text();
    for line in [
        "user namespace -1",
        "mount -1",
        "trace -1",
        "no setuid",
        "CapEff: 0",
        "CapPrm: 0",
        "CapAmb: 0",
        "NoNewPrivs: 1",
    ] {
        assert!(out.contains(line), "{line} is missing: {out} {}", outcome.stderr.text());
    }
    assert_eq!(out.lines().last(), Some("True"), "only its own processes: {out}");
}

#[test]
fn a_daemon_dies_with_the_run() {
    let mark = format!("3{}", std::process::id() + 100_000);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let text =
        format!("setsid sh -c 'setsid sleep {mark} & sleep {mark}' >/dev/null 2>&1 & nohup sleep {mark} & echo gone");
    let outcome = sandbox().run(&sh(dir.path(), &text)).expect("it runs");
    assert!(outcome.success(), "{outcome:?}");
    assert!(!alive(&mark), "a daemon is left");
}

/// Whether any process of the machine has this word in its command line.
pub(crate) fn alive(word: &str) -> bool {
    let lines =
        fs::read_dir("/proc").expect("there").flatten().filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).into_owned()).any(|line| line.split('\0').any(|part| part == word))
}

#[test]
fn how_a_program_ends_is_told() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let run = |text: &str| sandbox().run(&sh(dir.path(), text)).expect("it runs");
    assert_eq!(run("exit 7").exit, Some(7));
    assert_eq!(run("kill -9 $$").signal, Some(9));
    let read = run("cat; echo end; echo error >&2");
    assert_eq!((read.stdout.text().as_str(), read.stderr.text().as_str()), ("end\n", "error\n"));
    let missing = sandbox().run(&Command::new(dir.path(), ["/no/such/program"])).expect("it runs");
    assert!(missing.not_started.expect("told").contains("/no/such/program"));
    let nothing: [OsString; 0] = [];
    assert!(matches!(sandbox().run(&Command::new(dir.path(), nothing)), Err(Error::Config(_))));
    let broken = Sandbox::new(backtrail_sandbox::Init::new("/bin/true", [""; 0]));
    assert!(matches!(broken.run(&sh(dir.path(), "true")), Err(Error::Init(_))));
}
