//! The arithmetic of `probabilistic`: which trace ids belong to the share.

use backtrail_model::ids::TraceId;

/// What otelcol writes before the id when no salt is stated.
const DEFAULT_SALT: &str = "default-hash-seed";

/// A share of all trace ids.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Share {
    /// FNV-1a state after the salt.
    salted: u64,
    threshold: u64,
}

impl Share {
    pub(super) fn new(salt: &str, percentage: f64) -> Self {
        let salt = if salt.is_empty() { DEFAULT_SALT } else { salt };
        Self { salted: fnv1a(0xCBF2_9CE4_8422_2325, salt.as_bytes()), threshold: threshold(percentage / 100.0) }
    }

    /// Whether the trace belongs to it.
    pub(super) fn has(&self, id: TraceId) -> bool {
        fnv1a(self.salted, &id.0) <= self.threshold
    }
}

fn fnv1a(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// `ratio` of 2^64 - 1 as otelcol computes it: a product with 64 bits of mantissa, rounded to even, then cut to an
/// integer.
fn threshold(ratio: f64) -> u64 {
    if ratio >= 1.0 {
        return u64::MAX;
    }
    if ratio <= 0.0 || !ratio.is_normal() {
        return 0;
    }
    let bits = ratio.to_bits();
    let mantissa = (bits & ((1 << 52) - 1)) | (1 << 52);
    // ratio = mantissa * 2^-shift, and below 1, so shift is at least 53.
    let shift = 1075 - (bits >> 52) as u32;
    let mut product = u128::from(mantissa) * u128::from(u64::MAX);
    let surplus = (128 - product.leading_zeros()).saturating_sub(64);
    let (half, rest) = ((1_u128 << surplus) >> 1, product & ((1 << surplus) - 1));
    product -= rest;
    if rest > half || (rest == half && half > 0 && product >> surplus & 1 == 1) {
        product += 1 << surplus;
    }
    u64::try_from(product.checked_shr(shift).unwrap_or(0)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv1a(0xCBF2_9CE4_8422_2325, b""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(fnv1a(0xCBF2_9CE4_8422_2325, b"a"), 0xAF63_DC4C_8601_EC8C);
        assert_eq!(fnv1a(0xCBF2_9CE4_8422_2325, b"foobar"), 0x8594_4171_F739_67E8);
    }

    #[test]
    fn the_threshold_is_the_share_of_all_hashes() {
        assert_eq!(threshold(0.0), 0);
        assert_eq!(threshold(-1.0), 0);
        assert_eq!(threshold(1.0), u64::MAX);
        assert_eq!(threshold(2.5), u64::MAX);
        // (2^64 - 1) / 2 = 2^63 - 0.5 has 64 significant bits and is cut; a quarter likewise.
        assert_eq!(threshold(0.5), (1 << 63) - 1);
        assert_eq!(threshold(0.25), (1 << 62) - 1);
    }

    #[test]
    fn about_the_share_is_kept_and_a_smaller_share_is_part_of_a_larger_one() {
        let (small, large) = (Share::new("", 5.0), Share::new("default-hash-seed", 25.0));
        let ids = (0..20_000_u128).map(|n| TraceId((n * 0x9E37_79B9_7F4A_7C15_F39C).to_be_bytes()));
        let (mut kept_small, mut kept_large) = (0, 0);
        for id in ids {
            assert!(!small.has(id) || large.has(id));
            kept_small += u32::from(small.has(id));
            kept_large += u32::from(large.has(id));
        }
        assert!((900..1100).contains(&kept_small), "{kept_small}");
        assert!((4800..5200).contains(&kept_large), "{kept_large}");
    }
}
