//! Values that may not leave, by name: the real key, a customer's name, a planted honey value.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::{Regex, RegexBuilder};

use crate::kind::Kind;
use crate::placeholder;

/// Most values, and the longest and shortest one, bytes.
const MOST: usize = 1000;
const LONGEST: usize = 4096;
const SHORTEST: usize = 4;

/// From here on a value is also looked for in base64 and in hexadecimal.
const ENCODED_FROM: usize = 8;

/// Why a list of denied values cannot be used. Values are named by their place in the list, never shown.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DeniedError {
    /// A value of a few letters would take out half of every text.
    #[error("denied value {place} has {length} bytes, and {SHORTEST} to {LONGEST} can be looked for")]
    Length {
        /// Its place in the list, from 1.
        place: usize,
        /// Its length.
        length: usize,
    },
    /// It is a part of the words that stand in place of what was found.
    #[error("denied value {place} is a part of the placeholder {placeholder}; choose a longer one")]
    InPlaceholder {
        /// Its place in the list, from 1.
        place: usize,
        /// The placeholder.
        placeholder: String,
    },
    /// More than can be looked for at once.
    #[error("{0} denied values are too many: at most {MOST}, and 1 MiB in all")]
    TooMany(usize),
}

/// A search for denied values in all their forms.
#[derive(Clone)]
pub(crate) struct Denied {
    pub(crate) count: usize,
    search: Regex,
}

impl Denied {
    pub(crate) fn new(values: &[String]) -> Result<Option<Self>, DeniedError> {
        let bytes: usize = values.iter().map(String::len).sum();
        if values.len() > MOST || bytes > 1 << 20 {
            return Err(DeniedError::TooMany(values.len()));
        }
        let mut forms = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let place = index + 1;
            if !(SHORTEST..=LONGEST).contains(&value.len()) {
                return Err(DeniedError::Length { place, length: value.len() });
            }
            let kinds = Kind::ALL.iter().map(|kind| placeholder::one_way(*kind));
            if let Some(placeholder) = kinds.into_iter().find(|text| text.contains(value.as_str())) {
                return Err(DeniedError::InPlaceholder { place, placeholder });
            }
            forms.extend(forms_of(value));
        }
        if forms.is_empty() {
            return Ok(None);
        }
        // The longest first, so that the whole of a value is taken where another one is a part of it.
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        let pattern: Vec<String> = forms.iter().map(|form| regex::escape(form)).collect();
        let built = RegexBuilder::new(&pattern.join("|")).size_limit(256 << 20).build();
        let search = built.map_err(|_| DeniedError::TooMany(values.len()))?;
        Ok(Some(Self { count: values.len(), search }))
    }

    pub(crate) fn find(&self, text: &str, into: &mut Vec<(Kind, Range<usize>)>) {
        into.extend(self.search.find_iter(text).map(|found| (Kind::Denied, found.range())));
    }
}

/// A value as it stands, escaped as in JSON, in hexadecimal, and in base64 wherever it begins in the encoded text.
/// Percent-encoding is undone by [`crate::encoded`].
fn forms_of(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned()];
    forms.extend(json_forms(value));
    if value.len() >= ENCODED_FROM {
        let hex: String = value.bytes().map(|b| format!("{b:02x}")).collect();
        forms.push(hex.to_uppercase());
        forms.push(hex);
        for offset in 0..3 {
            forms.push(base64_core(value, offset, |bytes| STANDARD_NO_PAD.encode(bytes)));
            forms.push(base64_core(value, offset, |bytes| URL_SAFE_NO_PAD.encode(bytes)));
        }
    }
    forms
}

/// The letters that base64 makes of a value whatever stands around it, if it begins `offset` bytes into a triple.
fn base64_core(value: &str, offset: usize, encode: impl Fn(&[u8]) -> String) -> String {
    let padded: Vec<u8> = std::iter::repeat_n(0, offset).chain(value.bytes()).collect();
    let foreign = (offset * 8).div_ceil(6);
    let whole = padded.len() * 8 / 6;
    encode(&padded)[foreign..whole].to_owned()
}

/// The ways in which JSON may write a value, where they differ from the value.
fn json_forms(value: &str) -> Vec<String> {
    let escape = |slash: bool, ascii: bool, upper: bool| {
        let mut out = String::new();
        for c in value.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '/' if slash => out.push_str("\\/"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if (ascii && !c.is_ascii()) || c.is_control() => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        out.push_str(&if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") });
                    }
                }
                c => out.push(c),
            }
        }
        out
    };
    let forms =
        [(false, false, false), (true, false, false), (false, true, false), (false, true, true), (true, true, false)];
    forms.into_iter().map(|(slash, ascii, upper)| escape(slash, ascii, upper)).collect()
}
