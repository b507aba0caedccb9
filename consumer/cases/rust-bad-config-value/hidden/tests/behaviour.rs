use std::cell::Cell;

use banners::conf::Conf;
use banners::{Banners, Source};

struct Cms<'a>(&'a Cell<u32>);

impl Source for Cms<'_> {
    fn load(&self, _: &str) -> Result<Vec<String>, String> {
        self.0.set(self.0.get() + 1);
        Ok(vec!["b".into()])
    }
}

fn loads(pages: usize, span_ms: u64, step_ms: u64) -> u32 {
    let loads = Cell::new(0);
    let mut banners = Banners::new(Cms(&loads), &Conf::load("../etc/banners.properties").unwrap());
    let mut now = 0;
    while now < span_ms {
        for page in 0..pages {
            banners.of(&page.to_string(), now).unwrap();
        }
        now += step_ms;
    }
    loads.get()
}

#[test]
fn ten_minutes_of_a_page() {
    let loads = loads(1, 600_000, 500);
    assert!(loads <= 40, "{loads} loads of one page in ten minutes");
}

#[test]
fn banners_are_new_within_five_minutes() {
    assert!(loads(1, 600_000, 500) >= 2, "kept for too long");
}

#[test]
fn forty_pages_fit() {
    assert!(loads(40, 20_000, 5_000) <= 80);
}
