use std::cell::Cell;
use std::time::Duration;

use parcels::carrier::{Carrier, Lookup};
use parcels::settings::Settings;
use parcels::{locate, Answer};

struct Fails(Cell<u32>);

impl Carrier for &Fails {
    fn ask(&self, _: &str, _: Duration) -> Result<String, String> {
        if self.0.get() == 0 {
            return Ok("Leipzig".into());
        }
        self.0.set(self.0.get() - 1);
        Err("busy".into())
    }
}

#[test]
fn a_second_attempt_finds_it() {
    let fails = Fails(Cell::new(1));
    let settings = Settings::load("parcels.toml").unwrap();
    assert_eq!(locate(&Lookup::new(&fails, &settings), "p1"), Answer::At("Leipzig".into()));
}
