//! Watches a run and says which limit it broke.
//!
//! What the kernel limits by itself (size of a file, processes, processor time of one process) it limits; what counts
//! for all processes together is looked at several times a second. Between two looks a run can overshoot by what it
//! gets done in that time; the kernel's own limits and the marking as first victim of a memory shortage bound that.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::disk::{self, Size};
use super::processes::{nameless, proportional, usage};
use super::{Limit, Limits};
use crate::clock;

/// Time between two looks at the processes.
const PAUSE: Duration = Duration::from_millis(20);

pub(super) struct Watch {
    limits: Limits,
    /// The first process: all others are below it.
    root: i32,
    folders: Vec<PathBuf>,
    before: Size,
    in_use: u64,
    started: Instant,
    next_processes: Instant,
    next_disk: Instant,
    /// Most memory seen.
    pub(super) memory: u64,
}

impl Watch {
    pub(super) fn new(limits: Limits, root: i32, folders: Vec<PathBuf>, before: Size) -> Self {
        let now = clock::now();
        let in_use = folders.first().map_or(0, |folder| disk::in_use(folder));
        Self { limits, root, folders, before, in_use, started: now, next_processes: now, next_disk: now, memory: 0 }
    }

    pub(super) fn elapsed(&self) -> Duration {
        clock::now().duration_since(self.started)
    }

    /// One look; cheap when nothing is due.
    pub(super) fn broken(&mut self, output: &AtomicU64) -> Option<Limit> {
        let now = clock::now();
        if now.duration_since(self.started) >= self.limits.wall {
            return Some(Limit::Wall);
        }
        if output.load(Ordering::Relaxed) > self.limits.output {
            return Some(Limit::Output);
        }
        if now >= self.next_processes {
            let broken = self.processes();
            // A look at many processes takes its time; it may take a tenth of ours.
            self.next_processes = clock::now() + PAUSE.max(clock::now().duration_since(now) * 10);
            if broken.is_some() {
                return broken;
            }
        }
        if now >= self.next_disk {
            let started = clock::now();
            let broken = self.disk();
            self.next_disk = clock::now() + (PAUSE * 5).max(clock::now().duration_since(started) * 10);
            return broken;
        }
        None
    }

    fn processes(&mut self) -> Option<Limit> {
        let usage = usage(self.root);
        if usage.cpu > self.limits.cpu {
            return Some(Limit::Cpu);
        }
        // At the limit and not over it: the kernel lets no more come up.
        if usage.threads >= self.limits.processes {
            return Some(Limit::Processes);
        }
        let memory = if usage.resident > self.limits.memory { proportional(self.root) } else { usage.resident };
        self.memory = self.memory.max(memory);
        (memory > self.limits.memory).then_some(Limit::Memory)
    }

    /// Also asked once after the end, so that a run that fills the disk within one pause is named too.
    pub(super) fn disk(&self) -> Option<Limit> {
        let size = disk::size(&self.folders);
        let bytes = size.bytes + nameless(self.root);
        let over = bytes.saturating_sub(self.before.bytes) > self.limits.disk
            || size.files.saturating_sub(self.before.files) > self.limits.files;
        // A normal user cannot look into a folder that a run closed to it. Then what the whole file system gained counts,
        // though others may have had a part in it.
        let gained = || self.folders.first().map_or(0, |folder| disk::in_use(folder)).saturating_sub(self.in_use);
        let over = over || (size.closed && gained() > self.limits.disk);
        over.then_some(Limit::Disk)
    }
}
