//! Banners of a page, kept for a while because the CMS is slow.

pub mod conf;

use std::collections::HashMap;

use conf::Conf;

/// Where banners come from.
pub trait Source {
    fn load(&self, page: &str) -> Result<Vec<String>, String>;
}

struct Kept {
    since_ms: u64,
    banners: Vec<String>,
}

/// Banners by page.
pub struct Banners<S> {
    source: S,
    kept: HashMap<String, Kept>,
    ttl_ms: u64,
    entries: usize,
}

impl<S: Source> Banners<S> {
    pub fn new(source: S, conf: &Conf) -> Self {
        Self { source, kept: HashMap::new(), ttl_ms: conf.number("cache.ttl"), entries: conf.number("cache.entries") as usize }
    }

    /// GET /banners/{page} at a time of a steady clock.
    pub fn of(&mut self, page: &str, now_ms: u64) -> Result<Vec<String>, String> {
        if let Some(kept) = self.kept.get(page) {
            if now_ms - kept.since_ms < self.ttl_ms {
                return Ok(kept.banners.clone());
            }
        }
        let banners = self.source.load(page)?;
        if self.kept.len() >= self.entries {
            self.kept.clear();
        }
        self.kept.insert(page.into(), Kept { since_ms: now_ms, banners: banners.clone() });
        Ok(banners)
    }
}
