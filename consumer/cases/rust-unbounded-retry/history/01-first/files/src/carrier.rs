//! The carrier's interface, and patience with it.

use std::thread::sleep;
use std::time::Duration;

use crate::settings::Settings;

/// One question to the carrier.
pub trait Carrier {
    fn ask(&self, id: &str, timeout: Duration) -> Result<String, String>;
}

/// Lookups with second chances.
pub struct Lookup<C> {
    carrier: C,
    timeout: Duration,
    attempts: u32,
    pause: Duration,
}

impl<C: Carrier> Lookup<C> {
    pub fn new(carrier: C, settings: &Settings) -> Self {
        Self {
            carrier,
            timeout: Duration::from_millis(settings.number("carrier.timeout_ms", 250)),
            attempts: settings.number("carrier.attempts", 2) as u32,
            pause: Duration::from_millis(settings.number("carrier.pause_ms", 40)),
        }
    }

    /// The parcel's place.
    pub fn find(&self, id: &str) -> Result<String, String> {
        let mut made = 0;
        loop {
            made += 1;
            match self.carrier.ask(id, self.timeout) {
                Ok(place) => return Ok(place),
                Err(why) if self.attempts != 0 && made >= self.attempts => return Err(why),
                Err(_) => sleep(self.pause),
            }
        }
    }
}
