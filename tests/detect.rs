//! Nothing is told: the real binary has to notice the faults of a stream by itself, in time, and to keep quiet between.
//!
//! The long one is run by hand: `cargo test --release --test main -- --ignored --nocapture hours_of`; to look closer,
//! `cargo run --release -p backtrail-testkit --example scenarios -- --stream 600,240 --seeds 1..4 --out DIR`, then
//! `backtrail eval --detect --cases DIR`.

use std::path::Path;
use std::process::Command;

use backtrail_testkit::scenarios::Class;
use backtrail_testkit::scenarios::stream::Stream;
use serde_json::Value;

use crate::support::binary;

/// A fault should be known within this time, seconds: eight slices.
const IN_TIME: f64 = 120.0;

#[derive(Default, Debug)]
struct Tally {
    faults: usize,
    /// Announced within [`IN_TIME`].
    in_time: usize,
    /// The culprit was the first suspect.
    named: usize,
    /// Incidents outside of any fault.
    false_incidents: u64,
    missed: Vec<String>,
}

fn detect(dir: &Path, stream: &Stream, tally: &mut Tally) {
    let dir = stream.write(dir).expect("writable");
    let output = Command::new(binary()).args(["eval", "--json", "--detect"]).arg(&dir).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("a document");
    for case in report["cases"].as_array().expect("a list") {
        let in_time = case["delay_seconds"].as_f64().is_some_and(|delay| (0.0..=IN_TIME).contains(&delay));
        let named = case["ranks"]["service"] == 1;
        tally.faults += 1;
        tally.in_time += usize::from(in_time);
        tally.named += usize::from(in_time && named);
        tally.false_incidents += case["false_incidents"].as_u64().expect("a number");
        if !(in_time && named) {
            tally.missed.push(format!("{} after {} s, first {}", case["id"], case["delay_seconds"], case["top"][0]));
        }
    }
    std::fs::remove_dir_all(dir).expect("removed");
}

#[test]
fn the_faults_of_a_stream_are_noticed_in_time_and_quiet_times_stay_quiet() {
    let faults = vec![Class::Error, Class::Latency, Class::Truncation, Class::PoolExhaustion];
    let stream = Stream { services: 12, seed: 1, faults, quiet: 420, faulty: 180 };
    let dir = tempfile::tempdir().expect("a folder");
    let mut tally = Tally::default();
    detect(dir.path(), &stream, &mut tally);
    assert_eq!((tally.faults, tally.in_time, tally.false_incidents), (4, 4, 0), "{tally:#?}");
    assert!(tally.named >= 3, "{tally:#?}");
}

#[test]
#[ignore = "takes minutes"]
fn hours_of_several_systems() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut tally = Tally::default();
    let mut seconds = 0;
    for seed in 1..=4 {
        let stream = Stream { services: 20, seed, faults: Class::ALL.to_vec(), quiet: 600, faulty: 240 };
        seconds += (stream.faults.len() as u64 + 1) * stream.quiet;
        detect(dir.path(), &stream, &mut tally);
    }
    // A line for whoever runs this by hand.
    let _ = std::io::Write::write_all(
        &mut std::io::stderr(),
        format!("{:.1} quiet hours: {tally:#?}\n", seconds as f64 / 3600.0).as_bytes(),
    );
    assert!(tally.false_incidents <= 1 && 10 * tally.in_time >= 9 * tally.faults, "{tally:#?}");
}
