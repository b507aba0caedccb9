//! Collecting a request's bytes: lent by the byte budget before they are read, limited while they are inflated.

use std::io::Read;

use backtrail_pipeline::context::{Budget, Permit};
use bytes::{Buf, Bytes};
use http_body::Body;
use http_body_util::BodyExt;

use super::status::Refusal;
use crate::inflate::Encoding;

/// First allocation for a body that comes in more than one piece: a usual batch of 512 spans fits.
const FIRST: usize = 256 << 10;
/// A piece of at least this size is kept where the connection read it; a smaller one would pin more than it holds.
const WORTH_PINNING: usize = 16 << 10;
/// Bytes inflated between two offers to let other requests have the thread.
const BREATH: usize = 1 << 20;

/// How many bytes a request may have, before and after decompression.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// Bytes.
    pub(super) bytes: u64,
    /// The option that sets them.
    pub(super) option: &'static str,
}

impl Limit {
    pub(super) const fn exceeded(self) -> Refusal {
        Refusal::Oversize { limit: self.bytes, option: self.option }
    }
}

/// Collected bytes with the loan for them.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) bytes: Bytes,
    pub(super) permit: Permit,
}

/// Reads a whole HTTP body. With an announced length the budget is asked for all of it first; without, in steps.
pub(super) async fn whole<B>(
    body: &mut B,
    announced: Option<u64>,
    limit: Limit,
    budget: &Budget,
) -> Result<Gathered, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut gather = Gather::new(announced, limit, budget)?;
    while let Some(chunk) = next(body).await? {
        if !gather.push(chunk)? {
            return Err(if announced.is_some() {
                malformed("body is longer than its content-length")
            } else {
                limit.exceeded()
            });
        }
    }
    Ok(gather.finish())
}

/// Reads the one message of a unary gRPC call: whether it is compressed, and its bytes.
pub(super) async fn message<B>(body: &mut B, limit: Limit, budget: &Budget) -> Result<(bool, Gathered), Refusal>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let (mut head, mut filled) = ([0_u8; 5], 0);
    let mut chunk = Bytes::new();
    while filled < head.len() {
        if chunk.is_empty() {
            chunk = next(body).await?.ok_or_else(|| malformed("request ends before its message"))?;
        }
        let part = chunk.len().min(head.len() - filled);
        chunk.copy_to_slice(&mut head[filled..filled + part]);
        filled += part;
    }
    let [flag, length @ ..] = head;
    let length = u64::from(u32::from_be_bytes(length));
    if flag > 1 {
        return Err(malformed("message has an unknown flag"));
    }
    let mut gather = Gather::new(Some(length), limit, budget)?;
    loop {
        if !gather.push(chunk)? {
            return Err(malformed("more bytes than the one message of a unary call"));
        }
        match next(body).await? {
            Some(more) => chunk = more,
            None if gather.len as u64 == length => return Ok((flag == 1, gather.finish())),
            None => return Err(malformed("message is shorter than announced")),
        }
    }
}

fn malformed(what: &str) -> Refusal {
    Refusal::Malformed(what.to_owned())
}

async fn next<B>(body: &mut B) -> Result<Option<Bytes>, Refusal>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::Malformed(format!("body was cut off: {error}")))?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// The growing bytes of one body.
struct Gather {
    permit: Permit,
    /// Bytes that `permit` stands for.
    lent: u64,
    /// Bytes that the body may have: as announced, or the limit.
    most: usize,
    len: usize,
    /// The first piece, as long as it is the only one.
    only: Bytes,
    /// All pieces, once there is a second.
    all: Vec<u8>,
}

impl Gather {
    fn new(announced: Option<u64>, limit: Limit, budget: &Budget) -> Result<Self, Refusal> {
        if announced.is_some_and(|length| length > limit.bytes) {
            return Err(limit.exceeded());
        }
        let lent = announced.unwrap_or(0);
        let permit = budget.try_acquire(lent).ok_or(Refusal::Overload)?;
        let most = usize::try_from(announced.unwrap_or(limit.bytes)).unwrap_or(usize::MAX);
        Ok(Self { permit, lent, most, len: 0, only: Bytes::new(), all: Vec::new() })
    }

    /// Takes a piece; `false` if the body is longer than it may be.
    fn push(&mut self, chunk: Bytes) -> Result<bool, Refusal> {
        let len = self.len + chunk.len();
        if len > self.most {
            return Ok(false);
        }
        if self.len == 0 {
            self.borrow(len as u64)?;
            self.only = chunk;
        } else if !chunk.is_empty() {
            self.grow(len)?;
            let only = std::mem::take(&mut self.only);
            self.all.extend_from_slice(&only);
            self.all.extend_from_slice(&chunk);
        }
        self.len = len;
        Ok(true)
    }

    /// Makes room for `len` bytes. It grows with what was received and never with what was announced.
    fn grow(&mut self, len: usize) -> Result<(), Refusal> {
        if len > self.all.capacity() {
            let room = len.saturating_mul(2).max(FIRST).min(self.most);
            self.borrow(room as u64)?;
            self.all.reserve_exact(room - self.all.len());
        }
        Ok(())
    }

    fn borrow(&mut self, bytes: u64) -> Result<(), Refusal> {
        if bytes > self.lent {
            if !self.permit.resize(bytes) {
                return Err(Refusal::Overload);
            }
            self.lent = bytes;
        }
        Ok(())
    }

    fn finish(self) -> Gathered {
        let bytes = match self.only {
            only if only.is_empty() => Bytes::from(self.all),
            only if only.len() < WORTH_PINNING => Bytes::copy_from_slice(&only),
            only => only,
        };
        Gathered { bytes, permit: self.permit }
    }
}

/// Inflates what was gathered. Memory follows the bytes that came out, the loan is asked first, and the limit ends it.
pub(super) async fn inflate(encoding: Encoding, from: Gathered, limit: Limit) -> Result<Gathered, Refusal> {
    if encoding == Encoding::Identity || from.bytes.is_empty() {
        return Ok(from);
    }
    let Gathered { bytes: packed, mut permit } = from;
    let broken = |error: std::io::Error| Refusal::Malformed(format!("broken {encoding:?} data: {error}"));
    let most = usize::try_from(limit.bytes).unwrap_or(usize::MAX);
    let mut reader = encoding.reader(&packed[..]).map_err(broken)?;
    let (mut out, mut filled, mut breath) = (Vec::new(), 0, BREATH);
    loop {
        if filled == out.len() {
            // One byte more than the limit, to tell "just fits" from "too much".
            let room = (filled * 2).max(packed.len() * 8).max(4096).min(most.saturating_add(1));
            if room == filled {
                return Err(limit.exceeded());
            }
            if !permit.resize((packed.len() + room) as u64) {
                return Err(Refusal::Overload);
            }
            out.reserve_exact(room - filled);
            out.resize(room, 0);
        }
        let end = out.len().min(filled + BREATH);
        match reader.read(&mut out[filled..end]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(error)),
        }
        if filled >= breath {
            breath = filled + BREATH;
            tokio::task::yield_now().await;
        }
    }
    drop(reader);
    if filled > most {
        return Err(limit.exceeded());
    }
    out.truncate(filled);
    if out.capacity() - filled > filled / 4 {
        out.shrink_to_fit();
    }
    permit.resize(out.capacity() as u64);
    Ok(Gathered { bytes: Bytes::from(out), permit })
}

/// Reads what is left of a refused HTTP/1 body and keeps none of it: a connection that is closed over unread bytes is
/// reset, and the client would see that in place of the answer. The caller bounds the time.
pub(super) async fn discard<B: Body<Data = Bytes> + Unpin>(body: &mut B) {
    while let Some(Ok(_)) = body.frame().await {}
}
