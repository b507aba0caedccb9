use std::cell::Cell;
use std::sync::mpsc;
use std::time::Duration;

use parcels::carrier::{Carrier, Lookup};
use parcels::settings::Settings;
use parcels::{locate, Answer};

struct Busy {
    left: Cell<u32>,
    asked: mpsc::Sender<Duration>,
}

impl Carrier for Busy {
    fn ask(&self, _: &str, timeout: Duration) -> Result<String, String> {
        let _ = self.asked.send(timeout);
        if self.left.get() == 0 {
            return Ok("Leipzig".into());
        }
        self.left.set(self.left.get() - 1);
        Err("busy".into())
    }
}

fn run(failures: u32) -> (Option<Answer>, usize) {
    let settings = Settings::load("../parcels.toml").unwrap();
    let (asked, asks) = mpsc::channel();
    let (done, answers) = mpsc::channel();
    std::thread::spawn(move || {
        let lookup = Lookup::new(Busy { left: Cell::new(failures), asked }, &settings);
        let _ = done.send(locate(&lookup, "p1"));
    });
    let answer = answers.recv_timeout(Duration::from_secs(2)).ok();
    (answer, asks.try_iter().inspect(|t| assert!(*t >= Duration::from_millis(160) && *t <= Duration::from_millis(500))).count())
}

#[test]
fn a_carrier_that_is_down_is_asked_a_few_times_only() {
    let (answer, asks) = run(1_000_000);
    assert!(answer == Some(Answer::TryLater), "asked {asks} times without an end");
    assert!(asks <= 3, "asked {asks} times");
}

#[test]
fn a_healthy_carrier_is_heard() {
    assert_eq!(run(0), (Some(Answer::At("Leipzig".into())), 1));
}
