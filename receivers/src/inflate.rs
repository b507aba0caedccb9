//! Decompression with caps: nothing here allocates by what the compressed bytes claim about themselves.

use std::io::{self, BufRead, Read};

/// How bytes are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Encoding {
    /// Not at all.
    Identity,
    /// gzip, of one or more members.
    Gzip,
    /// zstd, of one or more frames.
    Zstd,
}

/// Largest zstd window, as RFC 9659 has it for HTTP: 8 MiB. A frame may ask for up to 2 GiB.
const ZSTD_WINDOW_LOG: u32 = 23;

impl Encoding {
    /// By its name in `Content-Encoding` and `grpc-encoding`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name {
            _ if is("") || is("identity") || is("none") => Some(Self::Identity),
            _ if is("gzip") || is("x-gzip") => Some(Self::Gzip),
            _ if is("zstd") => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The inflated bytes of `from`. The caller limits how much it reads.
    pub(crate) fn reader<'a>(self, from: impl BufRead + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Self::Identity => Box::new(from),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(from)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(from)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}
