//! The processes below one process, as `/proc` shows them.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// What all processes of a tree use together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) threads: u64,
    /// Resident memory, shared pages counted once for each process.
    pub(crate) resident: u64,
}

struct Stat {
    parent: i32,
    ticks: u64,
    threads: u64,
    pages: u64,
    ended: bool,
}

/// Fields of `/proc/<pid>/stat` behind the name, which is in brackets and may itself hold brackets and spaces.
fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    // Own time and that of children that were waited for: together they miss nothing and count nothing twice.
    let ticks = (11..15).filter_map(number).sum();
    let parent = fields.get(1)?.parse().ok()?;
    Some(Stat { parent, ticks, threads: number(17)?, pages: number(21)?, ended: matches!(fields[0], "Z" | "X") })
}

fn tree(root: i32) -> Vec<(i32, Stat)> {
    let mut below: HashMap<i32, Vec<(i32, Stat)>> = HashMap::new();
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
        if let Some(stat) = stat(pid) {
            below.entry(stat.parent).or_default().push((pid, stat));
        }
    }
    let mut found = below.remove(&root).unwrap_or_default();
    let mut next = 0;
    while next < found.len() {
        let pid = found[next].0;
        found.extend(below.remove(&pid).unwrap_or_default());
        next += 1;
    }
    found
}

/// What the processes below `root` use.
pub(crate) fn usage(root: i32) -> Usage {
    let unit = |variable, usual| sysconf(variable).ok().flatten().map_or(usual, |value| value.max(1) as u64);
    let (tick, page) = (unit(SysconfVar::CLK_TCK, 100), unit(SysconfVar::PAGE_SIZE, 4096));
    let mut usage = Usage::default();
    let mut ticks = 0;
    for (_, stat) in tree(root) {
        ticks += stat.ticks;
        if !stat.ended {
            usage.threads += stat.threads;
            usage.resident += stat.pages * page;
        }
    }
    usage.cpu = Duration::from_millis(ticks * 1000 / tick);
    usage
}

/// Memory of the processes below `root` with shared pages counted once. Dear, so asked only when [`Usage::resident`]
/// is over the limit; where the kernel does not tell, the resident size counts.
pub(crate) fn proportional(root: i32) -> u64 {
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().map_or(4096, |page| page.max(1) as u64);
    tree(root)
        .iter()
        .map(|(pid, stat)| {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let kib = |name: &str| -> Option<u64> {
                let line = rollup.lines().find(|line| line.starts_with(name))?;
                line.split_ascii_whitespace().nth(1)?.parse().ok()
            };
            kib("Pss:").map_or(stat.pages * page, |pss| (pss + kib("SwapPss:").unwrap_or(0)) * 1024)
        })
        .sum()
}

/// Bytes of files that processes below `root` hold open and that have no name any more, `memfd` among them: no folder
/// shows them and no process has them as memory.
pub(crate) fn nameless(root: i32) -> u64 {
    let mut files = HashMap::new();
    for (pid, _) in tree(root) {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            // Follows to the open file itself.
            let Ok(meta) = fs::metadata(entry.path()) else { continue };
            if meta.is_file() && meta.nlink() == 0 {
                files.insert((meta.dev(), meta.ino()), meta.blocks() * 512);
            }
        }
    }
    files.values().sum()
}

/// The processes directly below one.
pub(crate) fn children(root: i32) -> Vec<i32> {
    tree(root).into_iter().filter(|(_, stat)| stat.parent == root).map(|(pid, _)| pid).collect()
}

/// Kills everything below `root`, which must adopt orphans (or be above one that does). They are stopped first: a
/// stopped process forks no more, so the rounds come to an end.
pub(crate) fn kill_descendants(root: i32, spare: &[i32]) {
    for round in 0..200 {
        let alive: Vec<i32> = tree(root)
            .into_iter()
            .filter(|(pid, stat)| !stat.ended && !spare.contains(pid))
            .map(|(pid, _)| pid)
            .collect();
        if alive.is_empty() {
            return;
        }
        for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
            // Stopping alone in the first round: what was forked meanwhile is seen in the next.
            if signal == Signal::SIGKILL && round == 0 {
                continue;
            }
            for pid in &alive {
                let _ = kill(Pid::from_raw(*pid), signal);
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
}
