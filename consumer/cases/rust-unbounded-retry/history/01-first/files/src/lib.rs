//! Where is my parcel? Asks the carrier and tells the shop.

pub mod carrier;
pub mod settings;

use carrier::{Carrier, Lookup};

/// What the page shows.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    At(String),
    /// 503 for whoever asks.
    TryLater,
}

/// GET /parcels/{id}
pub fn locate<C: Carrier>(lookup: &Lookup<C>, id: &str) -> Answer {
    match lookup.find(id) {
        Ok(place) => Answer::At(place),
        Err(why) => {
            eprintln!("level=error msg=\"no answer for parcel\" parcel={id} why={why}");
            Answer::TryLater
        }
    }
}
