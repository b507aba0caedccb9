//! How many spans one span stands for: the threshold that an upstream sampler left in the trace state.

use backtrail_model::span::SpanRecord;

/// The weight, in 1/256, of a span with this `tracestate`.
///
/// The `ot` member carries `th`, the rejection threshold: up to 14 hex digits, zeros to the right left out, so that it
/// reads as a fraction of 2^56. A sampler kept what drew at least the threshold, so one span stands for
/// `2^56 / (2^56 - th)`: `th:8` is half rejected, a weight of two. No or a malformed `th` is one.
pub(super) fn weight(trace_state: &[u8]) -> u32 {
    threshold(trace_state).map_or(SpanRecord::ONE, |threshold| {
        let kept = (1_u64 << 56) - threshold;
        // Rounded to the nearest 1/256. A threshold near one would not fit: it saturates at 16.7 million spans.
        let weight = ((1_u128 << 64) + u128::from(kept / 2)) / u128::from(kept);
        u32::try_from(weight).unwrap_or(u32::MAX)
    })
}

fn threshold(trace_state: &[u8]) -> Option<u64> {
    let member = trace_state.split(|&byte| byte == b',').find_map(|member| member.trim_ascii().strip_prefix(b"ot="))?;
    let digits = member.split(|&byte| byte == b';').find_map(|entry| entry.strip_prefix(b"th:"))?;
    if digits.is_empty() || digits.len() > 14 {
        return None;
    }
    let mut value = 0;
    for &digit in digits {
        value = value << 4 | u64::from((digit as char).to_digit(16)?);
    }
    Some(value << (4 * (14 - digits.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_become_adjusted_counts() {
        for (state, expected) in [
            ("", 256),
            ("ot=th:0", 256),
            ("ot=th:8", 512),
            ("ot=th:c", 1024),
            ("ot=th:C", 1024),
            ("ot=rv:0123456789abcd;th:e", 2048),
            ("vendor=x, ot=th:fd70a4;rv:1 ,b=c", 25_600),
            ("ot=th:ffffffffffffff", u32::MAX),
            ("ot=th:80000000000000", 512),
            ("ot=th:800000000000000", 256),
            ("ot=th:", 256),
            ("ot=th:xyz", 256),
            ("not=th:8", 256),
            ("ot=xth:8", 256),
        ] {
            assert_eq!(weight(state.as_bytes()), expected, "{state}");
        }
    }
}
