//! What can be wrong with received bytes.

/// Why a request cannot be read as a whole. The sender must not send it again: it would fail again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The protobuf framing is broken, so nothing after this place can be trusted.
    #[error("broken protobuf at byte {offset}: {fault}")]
    Broken {
        /// Where, counted from the start of the bytes that were passed in.
        offset: usize,
        /// What is wrong there.
        fault: Fault,
    },
    /// Not JSON, or not the JSON of OTLP; the message names line and column.
    #[error("broken OTLP/JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Records hold offsets of 32 bits.
    #[error("request of {bytes} bytes is too large: at most 4 GiB can be addressed")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// What is wrong with a protobuf message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A value or a length reaches past the end of its message.
    #[error("truncated: a value reaches past the end of its message")]
    Truncated,
    /// A varint of more than 64 bits.
    #[error("varint of more than 64 bits")]
    Varint,
    /// Field number 0 or beyond 2^29 - 1.
    #[error("field number out of range")]
    FieldNumber,
    /// A wire type that does not exist or that the field cannot have.
    #[error("wrong wire type for the field")]
    WireType,
    /// A group that ends without a start, or that another field's end closes.
    #[error("unbalanced group")]
    Group,
    /// Messages nested deeper than protobuf implementations accept (100).
    #[error("nested more than 100 messages deep")]
    Depth,
    /// A string that is not UTF-8. Only reported where the caller asks for that check.
    #[error("string is not UTF-8")]
    Utf8,
}

/// A fault at an address. Inner functions see only their own slice, so they report the address of the byte, and the
/// public functions turn it into an offset ([`Broken::within`]). The address is compared, never followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Broken {
    at: usize,
    pub(crate) fault: Fault,
}

impl Broken {
    #[cold]
    pub(crate) fn new(rest: &[u8], fault: Fault) -> Self {
        Self { at: rest.as_ptr().addr(), fault }
    }

    #[cold]
    pub(crate) fn within(self, base: &[u8]) -> WireError {
        WireError::Broken { offset: self.at.saturating_sub(base.as_ptr().addr()), fault: self.fault }
    }
}

/// Where `part` starts in `base`, which it was cut out of.
#[inline]
pub(crate) fn offset_in(base: &[u8], part: &[u8]) -> u32 {
    part.as_ptr().addr().wrapping_sub(base.as_ptr().addr()) as u32
}
