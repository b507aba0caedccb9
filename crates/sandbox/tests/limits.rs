//! Each limit ends the run and is named; nothing is left behind.

use std::fs;
use std::time::Duration;

use backtrail_sandbox::{Limit, Limits};

use crate::hostile_programs::alive;
use crate::support::run_python;

/// Far above what the tests need, so that only the limit in question can be met.
fn roomy() -> Limits {
    Limits { wall: Duration::from_mins(2), cpu: Duration::from_secs(100), ..Limits::default() }
}

#[test]
fn a_test_that_forks_and_sleeps_for_an_hour_meets_the_wall() {
    let mark = format!("36{}", std::process::id() + 100_000);
    let text = format!(
        "
import os, subprocess, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execvp('sleep', ['sleep', '{mark}'])
        os._exit(0)
subprocess.Popen(['sleep', '{mark}'], start_new_session=True, stdout=subprocess.DEVNULL)
print('asleep', flush=True)
time.sleep(3600)
"
    );
    let (outcome, _dir) = run_python(&text, Limits { wall: Duration::from_secs(6), ..roomy() });
    assert_eq!(outcome.limit, Some(Limit::Wall), "{outcome:?}");
    assert_eq!((outcome.exit, outcome.stdout.text().as_str()), (None, "asleep\n"));
    assert!(!alive(&mark), "a sleeper is left");
}

#[test]
fn a_loop_meets_the_processor_time_even_when_spread_over_children() {
    let text = "
import os
while True:
    pid = os.fork()
    if pid == 0:
        for _ in range(3_000_000): pass
        os._exit(0)
    os.waitpid(pid, 0)
";
    let (outcome, _dir) = run_python(text, Limits { cpu: Duration::from_secs(1), ..roomy() });
    assert_eq!(outcome.limit, Some(Limit::Cpu), "{outcome:?}");
}

#[test]
fn a_program_that_fills_memory_meets_the_limit() {
    let text = "
held = []
while True:
    held.append(bytearray(b'x') * (4 << 20))
";
    let (outcome, _dir) = run_python(text, Limits { memory: 300 << 20, ..roomy() });
    assert_eq!(outcome.limit, Some(Limit::Memory), "{outcome:?}");
    assert!(outcome.memory > 300 << 20);
}

#[test]
fn memory_that_children_share_counts_once() {
    let text = "
import os, time
held = bytearray(b'x') * (100 << 20)
pids = []
for _ in range(8):
    pid = os.fork()
    if pid == 0:
        time.sleep(1)
        os._exit(0)
    pids.append(pid)
for pid in pids: os.waitpid(pid, 0)
print('done')
";
    let (outcome, _dir) = run_python(text, Limits { memory: 400 << 20, ..roomy() });
    assert_eq!((outcome.limit, outcome.stdout.text().as_str()), (None, "done\n"), "{outcome:?}");
}

#[test]
fn a_fork_bomb_meets_the_number_of_processes() {
    let text = "
import os, time
while True:
    try:
        if os.fork() == 0: time.sleep(0.01)
    except OSError: time.sleep(0.01)
";
    let (outcome, _dir) = run_python(text, Limits { processes: 64, ..roomy() });
    assert_eq!(outcome.limit, Some(Limit::Processes), "{outcome:?}");
}

#[test]
fn a_program_that_fills_its_output_is_ended_and_both_ends_are_kept() {
    let text = "
print('first')
while True: print('x' * 1000)
";
    let (outcome, _dir) = run_python(text, Limits { output: 8 << 20, keep: 1000, ..roomy() });
    assert_eq!(outcome.limit, Some(Limit::Output), "{outcome:?}");
    assert!(outcome.stdout.head.starts_with(b"first"));
    assert_eq!((outcome.stdout.head.len(), outcome.stdout.tail.len()), (1000, 1000));
    assert!(outcome.stdout.dropped > 1 << 20);
}

#[test]
fn a_program_that_fills_the_disk_meets_the_limit_wherever_it_writes() {
    let text = |place: &str| {
        format!(
            "
n = 0
while True:
    n += 1
    with open(f'{place}/fill-{{n}}', 'wb') as out:
        out.write(b'x' * (1 << 20))
"
        )
    };
    let limits = Limits { disk: 50 << 20, ..roomy() };
    for place in [".", "/tmp", "/dev/shm"] {
        let (outcome, dir) = run_python(&text(place), limits);
        assert!(!outcome.success());
        assert_eq!(outcome.limit, Some(Limit::Disk), "{place}: {outcome:?}");
        let written: u64 =
            fs::read_dir(dir.path()).expect("there").map(|e| e.expect("there").metadata().expect("there").len()).sum();
        assert_eq!(written > 0, place == ".", "{place}");
    }
}

#[test]
fn many_small_files_meet_the_limit_too() {
    let text = "
n = 0
while True:
    n += 1
    open(f'f{n}', 'w').close()
";
    let (outcome, _dir) = run_python(text, Limits { files: 500, ..roomy() });
    assert_eq!(outcome.limit, Some(Limit::Disk), "{outcome:?}");
}

#[test]
fn one_huge_file_meets_the_limit_of_a_file() {
    let text = "
import os, signal
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
with open('huge', 'wb') as out:
    while True: out.write(b'x' * (1 << 20))
";
    let (outcome, dir) = run_python(text, Limits { file: 5 << 20, ..roomy() });
    assert_eq!(outcome.limit, Some(Limit::File), "{outcome:?}");
    assert!(fs::metadata(dir.path().join("huge")).expect("there").len() <= 5 << 20);
}

#[test]
fn files_without_a_name_meet_the_limit_too() {
    for open in ["os.memfd_create('m')", "os.open('.', os.O_TMPFILE | os.O_RDWR)"] {
        let text = format!(
            "
import os
held = []
while True:
    held.append({open})
    for _ in range(20): os.write(held[-1], b'x' * (1 << 20))
"
        );
        let (outcome, _dir) = run_python(&text, Limits { disk: 50 << 20, ..roomy() });
        assert_eq!(outcome.limit, Some(Limit::Disk), "{open}: {outcome:?}");
    }
}

#[test]
fn shared_memory_that_nobody_holds_is_bounded() {
    let text = "print(open('/proc/sys/kernel/shmall').read())";
    let (outcome, _dir) = run_python(text, Limits { memory: 400 << 20, ..roomy() });
    assert_eq!(outcome.stdout.text().trim(), (400_u64 * 256).to_string(), "{outcome:?}");
}
