//! Output of a process, bounded: the first and the last part are kept, what lies between is counted.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicU64, Ordering};

/// What a process wrote to one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Captured {
    /// The first part.
    pub head: Vec<u8>,
    /// The last part; empty while everything fits in `head`.
    pub tail: Vec<u8>,
    /// Bytes between them that were dropped.
    pub dropped: u64,
}

impl Captured {
    /// Everything as text, with a note where something was dropped.
    pub fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.head).into_owned();
        if self.dropped > 0 {
            text.push_str(&format!("\n[... {} bytes dropped ...]\n", self.dropped));
        }
        text.push_str(&String::from_utf8_lossy(&self.tail));
        text
    }

    /// All bytes, if none were dropped.
    pub(crate) fn whole(mut self) -> Option<Vec<u8>> {
        if self.dropped > 0 {
            return None;
        }
        self.head.append(&mut self.tail);
        Some(self.head)
    }
}

/// Reads to the end, keeping `keep` bytes from the front and as many from the back, and counting into `total` so that
/// a watcher can end a process that writes too much.
pub(crate) fn capture(mut from: impl Read, keep: usize, total: &AtomicU64) -> Captured {
    let mut kept = Captured::default();
    let mut tail = VecDeque::new();
    let mut chunk = vec![0_u8; 64 * 1024];
    loop {
        let read = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        total.fetch_add(read as u64, Ordering::Relaxed);
        let room = keep.saturating_sub(kept.head.len()).min(read);
        kept.head.extend_from_slice(&chunk[..room]);
        tail.extend(&chunk[room..read]);
        let over = tail.len().saturating_sub(keep);
        tail.drain(..over);
        kept.dropped += over as u64;
    }
    kept.tail = tail.into();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_first_and_the_last_part_and_counts_the_rest() {
        let total = AtomicU64::new(0);
        let text: Vec<u8> = (0..100).collect();
        let kept = capture(&text[..], 10, &total);
        assert_eq!(kept.head, (0..10).collect::<Vec<u8>>());
        assert_eq!(kept.tail, (90..100).collect::<Vec<u8>>());
        assert_eq!((kept.dropped, total.into_inner()), (80, 100));
        assert_eq!(kept.whole(), None);
    }

    #[test]
    fn what_fits_is_whole() {
        let kept = capture(&b"0123456789ab"[..], 10, &AtomicU64::new(0));
        assert_eq!(kept.whole().as_deref(), Some(&b"0123456789ab"[..]));
    }
}
