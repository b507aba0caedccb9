//! Hex and base64.

/// Appends the bytes that hex digits of either case name; `None` if there is an odd digit out or another character.
pub(super) fn from_hex(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    if !odd.is_empty() {
        return None;
    }
    for &[high, low] in pairs {
        let (high, low) = (HEX[usize::from(high)], HEX[usize::from(low)]);
        if high | low > 0xF {
            return None;
        }
        out.push(high << 4 | low);
    }
    Some(())
}

/// The value of each hex digit, 0xFF for other bytes.
static HEX: [u8; 256] = {
    let mut table = [0xFF; 256];
    let mut digit = 0;
    while digit < 16 {
        table[b"0123456789abcdef"[digit] as usize] = digit as u8;
        table[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    table
};

/// Lower-case hex.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 0xF)]));
    }
    text
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends the bytes that base64 names: standard or URL-safe, padded or not, as protobuf's JSON allows.
pub(super) fn from_base64(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let digits = text.trim_end_matches('=').as_bytes();
    if text.len() - digits.len() > 2 {
        return None;
    }
    let (mut bits, mut count) = (0_u32, 0);
    for &digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    // A lone digit holds no byte.
    (count < 6).then_some(())
}

/// Standard base64 with padding.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(group);
        for place in 0..4 {
            let digit = BASE64[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(decode: fn(&str, &mut Vec<u8>) -> Option<()>, text: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(text, &mut out).map(|()| out)
    }

    #[test]
    fn base64_round_trips_and_takes_every_variant() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (&[0xFB, 0xFF], "+/8="),
        ] {
            assert_eq!(to_base64(bytes), text);
            assert_eq!(decoded(from_base64, text).as_deref(), Some(bytes));
            assert_eq!(decoded(from_base64, text.trim_end_matches('=')).as_deref(), Some(bytes));
        }
        assert_eq!(decoded(from_base64, "-_8").as_deref(), Some(&[0xFB, 0xFF][..]));
        for bad in ["Z", "Zm9vY", "Zm 9", "Zg==="] {
            assert_eq!(decoded(from_base64, bad), None, "{bad}");
        }
    }

    #[test]
    fn hex_is_read_in_either_case() {
        assert_eq!(decoded(from_hex, "00fFAb").as_deref(), Some(&[0, 0xFF, 0xAB][..]));
        assert_eq!(to_hex(&[0, 0xFF, 0xAB]), "00ffab");
        for bad in ["f", "fg", "g0", "é"] {
            assert_eq!(decoded(from_hex, bad), None, "{bad}");
        }
    }
}
