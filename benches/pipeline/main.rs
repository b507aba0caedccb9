//! The figures of the README, measured in one run: `cargo bench`. `cargo bench -- --smoke` runs everything once on
//! little data, so that CI knows that it works; it asserts no timing.
//!
//! Names after `--` choose parts: walk, path, signals, score, memory, grpc; and stages, what each node of the path adds, which is run
//! only when it is named.

mod chain;
mod grpc;
mod measure;
mod memory;
mod owned;
mod path;
mod score;
mod signals;
mod walk;

use measure::Scale;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let scale = if args.iter().any(|arg| arg == "--smoke") { Scale::Smoke } else { Scale::Full };
    let chosen: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    let wanted = |part: &str| chosen.is_empty() || chosen.iter().any(|name| *name == part);
    measure::print(&format!("machine: {}", measure::machine()));
    // Memory first: the allocator holds nothing yet that would hide what the buffer takes.
    for (part, run) in [
        ("memory", memory::run as fn(Scale)),
        ("walk", walk::run),
        ("path", path::run),
        ("signals", signals::run),
        ("score", score::run),
        ("grpc", grpc::run),
        ("stages", path::stages),
    ] {
        if wanted(part) && (part != "stages" || !chosen.is_empty()) {
            run(scale);
        }
    }
}
