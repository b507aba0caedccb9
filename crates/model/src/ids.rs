//! Trace and span identifiers as OTLP carries them.

use std::fmt;

/// A trace id: 16 bytes, all zero is invalid.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TraceId(pub [u8; 16]);

/// A span id: the 8 bytes as a big-endian integer, 0 means "none".
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SpanId(pub u64);

impl TraceId {
    /// Whether the id is one that the W3C trace-context rules allow.
    pub fn is_valid(&self) -> bool {
        self.0 != [0; 16]
    }

    /// The shard of this trace among `shards`. Any 64 bits of the id would do if ids were random; some SDKs leave the
    /// upper half zero or put a timestamp there (X-Ray), so both halves are mixed.
    pub fn shard(&self, shards: usize) -> usize {
        let value = u128::from_be_bytes(self.0);
        let mixed = ((value >> 64) as u64 ^ value as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        ((mixed * shards as u64) >> 32) as usize
    }

    /// The shard among `shards` of what has no trace: a hash of the name that it is kept together by. FNV-1a, which is
    /// the same in every run and every version.
    pub fn shard_of_name(name: &str, shards: usize) -> usize {
        let hash = name
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3));
        Self((u128::from(hash)).to_be_bytes()).shard(shards)
    }

    /// Parses 32 hex digits of either case.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.is_ascii() {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|value| Self(value.to_be_bytes()))
    }
}

impl SpanId {
    /// The "no span" id.
    pub const NONE: Self = Self(0);

    /// Whether this is a real span id.
    pub fn is_valid(self) -> bool {
        self.0 != 0
    }

    /// Parses 16 hex digits of either case.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 16 || !text.is_ascii() {
            return None;
        }
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trips_in_either_case() {
        let id = TraceId::from_hex("D6CF14AA1A21BBB3E6157C9714AF0981").expect("valid");
        assert_eq!(id.to_string(), "d6cf14aa1a21bbb3e6157c9714af0981");
        assert_eq!(TraceId::from_hex("d6cf"), None);
        assert_eq!(SpanId::from_hex("7a5f9c54a49100d1").map(|id| id.to_string()).as_deref(), Some("7a5f9c54a49100d1"));
    }

    #[test]
    fn shards_are_spread_even_when_half_of_the_id_is_zero() {
        let mut counts = [0_usize; 4];
        for low in 1..=4000_u64 {
            let mut id = [0; 16];
            id[8..].copy_from_slice(&low.wrapping_mul(0xA24B_AED4_963E_E407).to_be_bytes());
            counts[TraceId(id).shard(4)] += 1;
        }
        assert!(counts.iter().all(|&n| n > 800), "{counts:?}");
    }

    #[test]
    fn names_are_spread_and_stay_where_they_are() {
        let mut counts = [0_usize; 4];
        (0..400).for_each(|n| counts[TraceId::shard_of_name(&format!("service-{n}"), 4)] += 1);
        assert!(counts.iter().all(|&n| n > 60), "{counts:?}");
        assert_eq!(["cart", "payment", ""].map(|name| TraceId::shard_of_name(name, 16)), [9, 2, 15]);
    }
}
