//! Looks into percent-encoded and base64 text: what is found inside is found outside.

use std::ops::Range;
use std::sync::LazyLock;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use regex::Regex;

use crate::kind::Kind;

/// Base64 of sixteen bytes and more.
static BASE64: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[A-Za-z0-9+/_-]{22,}={0,2}").expect("the shape is fixed"));

static ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

type Find<'a> = &'a dyn Fn(&str, &mut Vec<(Kind, Range<usize>)>);

/// Finds in every percent-encoded stretch what `find` finds in its decoded text.
pub(crate) fn percent(text: &str, find: Find<'_>, into: &mut Vec<(Kind, Range<usize>)>) {
    let outside = |c: char| c.is_whitespace() || c.is_control() || "\"'`<>".contains(c);
    let mut next = 0;
    for piece in text.split(outside) {
        let offset = next;
        next += piece.len();
        next += text[next..].chars().next().map_or(0, char::len_utf8);
        let Some((decoded, places)) = undo_percent(piece) else { continue };
        let mut inside = Vec::new();
        find(&decoded, &mut inside);
        into.extend(
            inside.into_iter().map(|(kind, range)| (kind, offset + places[range.start]..offset + places[range.end])),
        );
    }
}

/// The decoded text, and where each of its bytes (and its end) stands in the encoded one. Nothing if nothing is encoded.
fn undo_percent(piece: &str) -> Option<(String, Vec<usize>)> {
    let bytes = piece.as_bytes();
    let hex = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
    if !piece.contains('%') {
        return None;
    }
    let (mut decoded, mut places) = (Vec::with_capacity(bytes.len()), Vec::with_capacity(bytes.len() + 1));
    let (mut at, mut encoded) = (0, false);
    while at < bytes.len() {
        places.push(at);
        if let (b'%', Some(high), Some(low)) = (bytes[at], hex(at + 1), hex(at + 2)) {
            decoded.push((high * 16 + low) as u8);
            encoded = true;
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    places.push(at);
    // A byte that is no UTF-8 becomes one question mark, so that every place stays where it is.
    let mut text = String::with_capacity(decoded.len());
    for chunk in decoded.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(std::iter::repeat_n('?', chunk.invalid().len()));
    }
    encoded.then_some((text, places))
}

/// Finds base64 text that holds something which `find` finds; it is taken as a whole.
pub(crate) fn base64(text: &str, find: Find<'_>, into: &mut Vec<(Kind, Range<usize>)>) {
    for run in BASE64.find_iter(text) {
        let standard = run.as_str().replace('-', "+").replace('_', "/");
        let Ok(bytes) = ENGINE.decode(standard.as_bytes()) else { continue };
        let Ok(decoded) = String::from_utf8(bytes) else { continue };
        if decoded.chars().any(|c| c.is_control() && !c.is_whitespace()) {
            continue;
        }
        let mut inside = Vec::new();
        find(&decoded, &mut inside);
        // A secret decides the kind, because it never comes back.
        let kind = inside.iter().map(|(kind, _)| *kind).min_by_key(|kind| (!kind.is_secret(), *kind));
        into.extend(kind.map(|kind| (kind, run.range())));
    }
}
