//! A hash of strings that is equal on every shard, in every run and in every version: what is written down or compared
//! across processes must not depend on interned ids or on a library's choice of hash.

/// FNV-1a over the parts, each ended by a byte that UTF-8 never holds, with a final mix of all bits.
pub(crate) fn stable_hash(parts: &[&str]) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for part in parts {
        for &byte in part.as_bytes().iter().chain(&[0xFF]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }
    mix(hash)
}

/// The finalizer of `SplitMix64`: every input bit changes about half of the output bits.
pub(crate) fn mix(value: u64) -> u64 {
    let a = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let b = (a ^ (a >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    b ^ (b >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_border_between_parts_counts_and_values_never_change() {
        assert_ne!(stable_hash(&["ab", "c"]), stable_hash(&["a", "bc"]));
        assert_eq!(stable_hash(&["shop", "GET /"]), 4_573_496_771_966_817_352);
    }
}
