//! The consumer: takes patch requests from a queue, decides on each, and leaves signed evidence of the decision.
//!
//! In reading order: [`event`] is what comes in and [`intake`] where from; [`store`] keeps it (inbox with leases, dead
//! letters, journal, artifacts); [`journal`], [`step`] and [`state`] say what a remediation is; [`admit`] turns events into
//! remediations and [`triage`] maps them to code; [`context`] reads that code, [`plan`] makes candidates of it ([`candidate`];
//! [`settings`] edits configuration, [`impact`] is what one reaches), [`workshop`] applies and proves them on [`facts`] that the policy decides on; an
//! [`approval`] opens the gate; [`work`] drives all of it and survives a kill at any instant; [`evidence`] and [`report`] are
//! what remains. [`history`] makes repositories out of folders, for demo and cases.

pub mod admit;
pub mod approval;
pub mod candidate;
mod cli;
mod commands;
pub mod context;
mod contracts;
pub mod crash;
mod error;
pub mod event;
pub mod evidence;
pub mod facts;
pub mod history;
pub mod impact;
pub mod intake;
pub mod journal;
pub mod ownership;
pub mod plan;
pub mod redaction;
pub mod report;
pub mod retry;
pub mod settings;
pub mod state;
pub mod step;
pub mod store;
pub mod triage;
pub mod work;
pub mod workshop;

pub use error::Error;

/// Parses the command line, runs the command and says how it ended.
pub fn main() -> std::process::ExitCode {
    // Before anything else, while there is one thread: the first process of a sandbox is this binary again.
    if std::env::args_os().nth(1).is_some_and(|first| first == workshop::SANDBOX) {
        return backtrail_sandbox::init::main();
    }
    cli::main()
}
