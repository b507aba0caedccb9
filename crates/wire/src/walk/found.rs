//! The known attributes of one span or log record, and what they say together: function, file, peer, status code,
//! retries, place in the code, ids.

use backtrail_model::span::{SlotValue, SpanFlags, SpanKind};
use backtrail_model::{SpanId, Symbol, SymbolKind, TraceId};

use super::ids::{self, NamedIds};
use super::intern::Interner;
use super::keys::{COUNT, Known};
use super::value::{number, text};

/// Values by [`Known`]. Reused from span to span: a bit says whether a value is this span's.
pub(super) struct Found {
    seen: u64,
    values: [SlotValue; COUNT],
    /// For names that are put together.
    scratch: Vec<u8>,
}

const _: () = assert!(COUNT <= 64, "one bit for each known attribute");

impl Found {
    pub(super) fn new() -> Self {
        Self { seen: 0, values: [SlotValue::Absent; COUNT], scratch: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        self.seen = 0;
    }

    #[inline]
    pub(super) fn set(&mut self, known: Known, value: SlotValue) {
        self.seen |= 1 << known as u8;
        self.values[known as usize] = value;
    }

    #[inline]
    pub(super) fn get(&self, known: Known) -> SlotValue {
        if self.seen >> known as u8 & 1 == 1 { self.values[known as usize] } else { SlotValue::Absent }
    }

    /// Whether any of `mask` (see [`bits`]) was seen.
    #[inline]
    pub(super) fn any(&self, mask: u64) -> bool {
        self.seen & mask != 0
    }

    #[inline]
    fn text<'a>(&self, known: Known, raw: &'a [u8]) -> Option<&'a [u8]> {
        text(self.get(known), raw)
    }

    /// The first of `names` that holds text: the current name stands before its older ones, so that both present
    /// count once.
    fn first_text<'a>(&self, names: &[Known], raw: &'a [u8]) -> Option<&'a [u8]> {
        names.iter().find_map(|&known| self.text(known, raw))
    }

    /// The first of `names` that holds a number.
    pub(super) fn first_number(&self, names: &[Known], raw: &[u8]) -> Option<i64> {
        names.iter().find_map(|&known| number(self.get(known), raw))
    }

    /// `code.function.name`, else `code.namespace` + "." + `code.function`.
    pub(super) fn function(&mut self, raw: &[u8], interner: &mut Interner) -> Symbol {
        if !self.any(FUNCTION) {
            return Symbol::NONE;
        }
        if let Some(name) = self.text(Known::CodeFunctionName, raw) {
            return interner.intern(SymbolKind::Function, name);
        }
        let (namespace, function) = (self.text(Known::CodeNamespace, raw), self.text(Known::CodeFunction, raw));
        match (namespace, function) {
            (Some(namespace), Some(function)) => {
                join(&mut self.scratch, namespace, b'.', function);
                interner.intern(SymbolKind::Function, &self.scratch)
            }
            // A namespace alone names a class, not a function.
            (_, function) => interner.intern(SymbolKind::Function, function.unwrap_or_default()),
        }
    }

    /// `code.file.path`.
    pub(super) fn file(&self, raw: &[u8], interner: &mut Interner) -> Symbol {
        if !self.any(FILE) {
            return Symbol::NONE;
        }
        let path = self.first_text(&[Known::CodeFilePath, Known::CodeFilepath], raw);
        interner.intern(SymbolKind::File, path.unwrap_or_default())
    }

    /// `code.line.number`, 0 if it is not there.
    pub(super) fn line(&self, raw: &[u8]) -> u32 {
        let line = self.first_number(&[Known::CodeLineNumber, Known::CodeLineno], raw);
        line.and_then(|line| u32::try_from(line).ok()).unwrap_or(0)
    }

    /// What names the place in the code of a log statement: a namespace to put before, and the name. With a line, one name
    /// says enough: namespace, function or file. Without, the most exact one has to do.
    pub(super) fn place<'a>(&self, raw: &'a [u8], line: u32) -> Option<(&'a [u8], &'a [u8])> {
        use Known::{CodeFilePath, CodeFilepath, CodeFunction, CodeFunctionName, CodeNamespace};
        if !self.any(FUNCTION | FILE) {
            return None;
        }
        if line > 0 {
            let names = [CodeNamespace, CodeFunctionName, CodeFunction, CodeFilePath, CodeFilepath];
            return self.first_text(&names, raw).map(|name| (&[][..], name));
        }
        let old = (self.text(CodeNamespace, raw), self.text(CodeFunction, raw));
        if let (Some(namespace), Some(function)) = old
            && self.text(CodeFunctionName, raw).is_none()
        {
            return Some((namespace, function));
        }
        let names = [CodeFunctionName, CodeFunction, CodeNamespace, CodeFilePath, CodeFilepath];
        self.first_text(&names, raw).map(|name| (&[][..], name))
    }

    /// `exception.type`, empty if it is not there.
    pub(super) fn exception<'a>(&self, raw: &'a [u8]) -> &'a [u8] {
        self.text(Known::ExceptionType, raw).unwrap_or_default()
    }

    /// The logger that an attribute names, empty if none does.
    pub(super) fn logger<'a>(&self, raw: &'a [u8]) -> &'a [u8] {
        self.first_text(&[Known::LoggerName, Known::LogLogger], raw).unwrap_or_default()
    }

    /// Trace and span id of a log record that has them as attributes.
    pub(super) fn ids(&self, raw: &[u8]) -> Option<(TraceId, SpanId)> {
        if !self.any(IDS) {
            return None;
        }
        let text = |names: &[Known]| self.first_text(names, raw).and_then(|text| std::str::from_utf8(text).ok());
        let named = NamedIds {
            trace_id: text(&[Known::TraceId, Known::TraceIdCamel]),
            span_id: text(&[Known::SpanId, Known::SpanIdCamel]),
            traceparent: text(&[Known::Traceparent]),
            datadog_trace_id: text(&[Known::DatadogTraceId]),
            datadog_span_id: text(&[Known::DatadogSpanId]),
        };
        named.read().or_else(|| match (self.get(Known::DatadogTraceId), self.get(Known::DatadogSpanId)) {
            (SlotValue::Int(0), _) => None,
            (SlotValue::Int(trace), SlotValue::Int(span)) => Some((ids::of_number(trace as u64), SpanId(span as u64))),
            (SlotValue::Int(trace), _) => Some((ids::of_number(trace as u64), SpanId::NONE)),
            _ => None,
        })
    }

    /// Whom the span talks to, as its own attributes say.
    ///
    /// A message's destination comes first, because it is a node of its own between producer and consumer. Addresses
    /// are read on client and producer spans only: on a server span they are the server itself (`server.address`) or
    /// the caller's ephemeral port (`network.peer.port`), and each would be a new node.
    pub(super) fn peer(&mut self, kind: SpanKind, raw: &[u8], interner: &mut Interner) -> Symbol {
        if !self.any(PEER) {
            return Symbol::NONE;
        }
        let outgoing = matches!(kind, SpanKind::Client | SpanKind::Producer);
        let named = self
            .first_text(
                &[
                    Known::MessagingDestinationName,
                    Known::MessagingDestination,
                    Known::ServicePeerName,
                    Known::PeerService,
                ],
                raw,
            )
            .or_else(|| if outgoing { self.server(raw) } else { None });
        if let Some(name) = named {
            return interner.intern(SymbolKind::Peer, name);
        }
        if outgoing && self.address(raw) {
            return interner.intern(SymbolKind::Peer, &self.scratch);
        }
        let database = self.first_text(&[Known::DbNamespace, Known::DbName], raw);
        interner.intern(SymbolKind::Peer, database.unwrap_or_default())
    }

    /// `server.address`, else the host in Envoy's `outbound|9080||reviews.default.svc.cluster.local`, else the host of
    /// the URL: what a proxy connects to is nearer to the truth than what it was asked for.
    fn server<'a>(&self, raw: &'a [u8]) -> Option<&'a [u8]> {
        let named = self.first_text(&[Known::ServerAddress, Known::NetPeerName, Known::PeerHostname], raw);
        let cluster = || {
            let cluster = self.first_text(&[Known::UpstreamClusterName, Known::UpstreamCluster], raw)?;
            cluster.rsplit(|&byte| byte == b'|').find(|part| !part.is_empty())
        };
        let url = || self.first_text(&[Known::UrlFull, Known::HttpUrl], raw).and_then(host);
        named.or_else(cluster).or_else(url)
    }

    /// Puts `network.peer.address:port` into the scratch space, if there is an address.
    fn address(&mut self, raw: &[u8]) -> bool {
        const ADDRESSES: [Known; 4] =
            [Known::NetworkPeerAddress, Known::NetSockPeerAddr, Known::NetPeerIp, Known::PeerAddress];
        const PORTS: [Known; 3] = [Known::NetworkPeerPort, Known::NetSockPeerPort, Known::NetPeerPort];
        let Some(address) = self.first_text(&ADDRESSES, raw) else { return false };
        if let Some(port) = self.first_number(&PORTS, raw).and_then(|port| u16::try_from(port).ok()) {
            let mut digits = [0; 5];
            join(&mut self.scratch, address, b':', decimal(port, &mut digits));
        } else {
            self.scratch.clear();
            self.scratch.extend_from_slice(address);
        }
        true
    }

    /// `http.request.resend_count`, saturating.
    pub(super) fn resend(&self, raw: &[u8]) -> u8 {
        if !self.any(RESEND) {
            return 0;
        }
        let count = self
            .first_number(&[Known::HttpRequestResendCount, Known::HttpResendCount, Known::HttpRetryCount], raw)
            .unwrap_or(0);
        count.clamp(0, i64::from(u8::MAX)) as u8
    }

    /// Flags that the presence or value of one attribute decides.
    pub(super) fn flags(&self, raw: &[u8]) -> u16 {
        let mut flags = 0;
        if self.any(bits(&[Known::MessagingSystem])) {
            flags |= SpanFlags::MESSAGING;
        }
        if self.any(bits(&[Known::DbSystemName, Known::DbSystem])) {
            flags |= SpanFlags::DATABASE;
        }
        if let Some(text) = self.text(Known::ResponseFlags, raw)
            && text.split(|&byte| byte == b',').any(|flag| matches!(flag.trim_ascii(), b"UO" | b"UT" | b"URX"))
        {
            flags |= SpanFlags::BREAKER;
        }
        flags
    }

    /// Whether any attribute of the error test is there.
    pub(super) fn has_error_evidence(&self) -> bool {
        self.any(EVIDENCE)
    }

    /// Whether `known` is there with something in it.
    pub(super) fn is_filled(&self, known: Known) -> bool {
        match self.get(known) {
            SlotValue::Absent => false,
            SlotValue::Str { len, .. } => len > 0,
            _ => true,
        }
    }
}

/// The bits of some attributes.
pub(super) const fn bits(known: &[Known]) -> u64 {
    let (mut bits, mut index) = (0, 0);
    while index < known.len() {
        bits |= 1 << known[index] as u8;
        index += 1;
    }
    bits
}

/// The bits of a range of attributes, ends included.
const fn range(first: Known, last: Known) -> u64 {
    (u64::MAX << first as u8) & (u64::MAX >> (63 - last as u8))
}

const FUNCTION: u64 = range(Known::CodeFunctionName, Known::CodeNamespace);
const FILE: u64 = bits(&[Known::CodeFilePath, Known::CodeFilepath]);
const IDS: u64 = range(Known::TraceId, Known::DatadogSpanId);
const PEER: u64 = range(Known::ServicePeerName, Known::PeerAddress)
    | bits(&[Known::DbNamespace, Known::DbName, Known::MessagingDestinationName, Known::MessagingDestination]);
const RESEND: u64 = range(Known::HttpRequestResendCount, Known::HttpRetryCount);
const EVIDENCE: u64 = range(Known::HttpResponseStatusCode, Known::GrpcStatusCode) | bits(&[Known::ErrorType]);

/// The host of an absolute URL, without user and port; none for a path.
fn host(url: &[u8]) -> Option<&[u8]> {
    let scheme = url.windows(3).take(12).position(|three| three == b"://")?;
    let rest = &url[scheme + 3..];
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let authority = &rest[..end];
    let start = authority.iter().rposition(|&byte| byte == b'@').map_or(0, |at| at + 1);
    let host = &authority[start..];
    let host = match host.iter().position(|&byte| byte == b']') {
        Some(bracket) => &host[..=bracket],
        None => host.split(|&byte| byte == b':').next()?,
    };
    (!host.is_empty()).then_some(host)
}

fn join(out: &mut Vec<u8>, head: &[u8], separator: u8, tail: &[u8]) {
    out.clear();
    out.extend_from_slice(head);
    out.push(separator);
    out.extend_from_slice(tail);
}

fn decimal(mut value: u16, digits: &mut [u8; 5]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return &digits[at..];
        }
    }
}
