//! Keeps the ledger.

use std::collections::BTreeMap;

use axum::{Router, routing::get};

/// One account's entries.
#[derive(Default)]
pub struct Ledger {
    entries: BTreeMap<String, i64>,
}

impl Ledger {
    /// Books an amount.
    #[must_use]
    pub fn book(&mut self, account: &str, cents: i64) -> i64 {
        let entry = self.entries.entry(account.to_owned()).or_default();
        *entry = checked(*entry, cents);
        *entry
    }

    pub(crate) fn total(&self) -> i64 {
        self.entries.values().copied().fold(0, checked)
    }
}

impl std::fmt::Display for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.total())
    }
}

fn checked(a: i64, b: i64) -> i64 {
    a.checked_add(b).expect("the ledger never holds that much")
}

pub trait Audit {
    fn audit(&self) -> bool;
}

async fn show() -> String {
    helpers::render::<Ledger>(&Ledger::default())
}

async fn clear() {}

pub fn router() -> Router {
    Router::new().route("/ledger", get(show).delete(clear)).route("/audit", get(show))
}

mod helpers {
    pub fn render<T: ToString>(value: &T) -> String {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booking_twice_adds_up() {
        let mut ledger = Ledger::default();
        let _ = ledger.book("a", 1);
        assert_eq!(ledger.book("a", 2), 3);
    }

    #[tokio::test]
    async fn shows_zero() {
        assert_eq!(show().await, "0");
    }

    proptest::proptest! {
        #[test]
        fn adding_commutes(a in 0i64..100, b in 0i64..100) {
            prop_assert_eq!(checked(a, b), super::checked(b, a));
        }
    }
}
