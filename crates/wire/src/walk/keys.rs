//! Which attributes the walk reads: a table of names, found through a hash without collisions, and the wanted slots.

use backtrail_model::span::Slot;

/// An attribute that the walk itself understands, current and old names apart, so that the current one can win.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Known {
    CodeFunctionName,
    CodeFunction,
    CodeNamespace,
    CodeFilePath,
    CodeFilepath,
    CodeLineNumber,
    CodeLineno,
    ServicePeerName,
    PeerService,
    ServerAddress,
    NetPeerName,
    PeerHostname,
    UpstreamClusterName,
    UpstreamCluster,
    UrlFull,
    HttpUrl,
    NetworkPeerAddress,
    NetSockPeerAddr,
    NetPeerIp,
    PeerAddress,
    NetworkPeerPort,
    NetSockPeerPort,
    NetPeerPort,
    DbNamespace,
    DbName,
    DbSystemName,
    DbSystem,
    MessagingSystem,
    MessagingDestinationName,
    MessagingDestination,
    HttpResponseStatusCode,
    HttpStatusCode,
    RpcResponseStatusCode,
    RpcStatusCode,
    RpcGrpcStatusCode,
    GrpcStatusCode,
    HttpRequestResendCount,
    HttpResendCount,
    HttpRetryCount,
    ErrorType,
    ResponseFlags,
    ExceptionType,
    LoggerName,
    LogLogger,
    TraceId,
    TraceIdCamel,
    SpanId,
    SpanIdCamel,
    Traceparent,
    DatadogTraceId,
    DatadogSpanId,
}

/// The names. Order is that of [`Known`].
pub(crate) const NAMES: [(&str, Known); 51] = [
    ("code.function.name", Known::CodeFunctionName),
    ("code.function", Known::CodeFunction),
    ("code.namespace", Known::CodeNamespace),
    ("code.file.path", Known::CodeFilePath),
    ("code.filepath", Known::CodeFilepath),
    ("code.line.number", Known::CodeLineNumber),
    ("code.lineno", Known::CodeLineno),
    ("service.peer.name", Known::ServicePeerName),
    ("peer.service", Known::PeerService),
    ("server.address", Known::ServerAddress),
    ("net.peer.name", Known::NetPeerName),
    ("peer.hostname", Known::PeerHostname),
    ("upstream_cluster.name", Known::UpstreamClusterName),
    ("upstream_cluster", Known::UpstreamCluster),
    ("url.full", Known::UrlFull),
    ("http.url", Known::HttpUrl),
    ("network.peer.address", Known::NetworkPeerAddress),
    ("net.sock.peer.addr", Known::NetSockPeerAddr),
    ("net.peer.ip", Known::NetPeerIp),
    ("peer.address", Known::PeerAddress),
    ("network.peer.port", Known::NetworkPeerPort),
    ("net.sock.peer.port", Known::NetSockPeerPort),
    ("net.peer.port", Known::NetPeerPort),
    ("db.namespace", Known::DbNamespace),
    ("db.name", Known::DbName),
    ("db.system.name", Known::DbSystemName),
    ("db.system", Known::DbSystem),
    ("messaging.system", Known::MessagingSystem),
    ("messaging.destination.name", Known::MessagingDestinationName),
    ("messaging.destination", Known::MessagingDestination),
    ("http.response.status_code", Known::HttpResponseStatusCode),
    ("http.status_code", Known::HttpStatusCode),
    ("rpc.response.status_code", Known::RpcResponseStatusCode),
    ("rpc.status_code", Known::RpcStatusCode),
    ("rpc.grpc.status_code", Known::RpcGrpcStatusCode),
    ("grpc.status_code", Known::GrpcStatusCode),
    ("http.request.resend_count", Known::HttpRequestResendCount),
    ("http.resend_count", Known::HttpResendCount),
    ("http.retry_count", Known::HttpRetryCount),
    ("error.type", Known::ErrorType),
    ("response_flags", Known::ResponseFlags),
    ("exception.type", Known::ExceptionType),
    ("logger_name", Known::LoggerName),
    ("log.logger", Known::LogLogger),
    ("trace_id", Known::TraceId),
    ("traceId", Known::TraceIdCamel),
    ("span_id", Known::SpanId),
    ("spanId", Known::SpanIdCamel),
    ("traceparent", Known::Traceparent),
    ("dd.trace_id", Known::DatadogTraceId),
    ("dd.span_id", Known::DatadogSpanId),
];

/// How many there are.
pub(crate) const COUNT: usize = NAMES.len();

const TABLE_BITS: u32 = 9;
const TABLE_LEN: usize = 1 << TABLE_BITS;
const EMPTY: u8 = u8::MAX;

/// Mixes length, first, middle and the last four bytes of a key. Names of attributes share their beginnings, so the
/// end tells most. Not a hash against enemies: a key that collides costs one comparison.
#[inline]
const fn mix(key: &[u8], multiplier: u64) -> u64 {
    let len = key.len();
    let Some(&last) = key.last_chunk::<4>() else { return len as u64 };
    let word =
        u32::from_le_bytes(last) as u64 | (key[len / 2] as u64) << 32 | (key[0] as u64) << 40 | (len as u64) << 48;
    word.wrapping_mul(multiplier)
}

const fn slot_of(hash: u64) -> usize {
    (hash >> (64 - TABLE_BITS)) as usize
}

/// A multiplier that gives each name a slot of its own, found at compile time.
const MULTIPLIER: u64 = {
    let mut candidate = 0x9E37_79B9_7F4A_7C15_u64;
    loop {
        let mut taken = [false; TABLE_LEN];
        let (mut index, mut free) = (0, true);
        while index < COUNT && free {
            let slot = slot_of(mix(NAMES[index].0.as_bytes(), candidate));
            free = !taken[slot];
            taken[slot] = true;
            index += 1;
        }
        if free {
            break candidate;
        }
        candidate = candidate.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(2) | 1;
    }
};

static TABLE: [u8; TABLE_LEN] = {
    let mut table = [EMPTY; TABLE_LEN];
    let mut index = 0;
    while index < COUNT {
        assert!(NAMES[index].1 as usize == index, "NAMES is in the order of Known");
        table[slot_of(mix(NAMES[index].0.as_bytes(), MULTIPLIER))] = index as u8;
        index += 1;
    }
    table
};

/// The hash that both look-ups below share.
#[inline]
pub(crate) fn hash(key: &[u8]) -> u64 {
    mix(key, MULTIPLIER)
}

/// Whether a key with this hash can be a known one: most keys cannot.
#[inline]
pub(crate) fn may_be_known(hash: u64) -> bool {
    TABLE[slot_of(hash)] != EMPTY
}

/// The known attribute of this name.
#[inline]
pub(crate) fn known(key: &[u8], hash: u64) -> Option<Known> {
    let index = TABLE[slot_of(hash)];
    if index == EMPTY {
        return None;
    }
    let (name, known) = NAMES[usize::from(index)];
    same(name.as_bytes(), key).then_some(known)
}

/// Whether two names are equal. Inline, word by word: names are short, and a call costs more than the comparison.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let (Some(last_a), Some(last_b)) = (a.last_chunk::<8>(), b.last_chunk::<8>()) else { return a == b };
    // The last word may overlap the one before it.
    if last_a != last_b {
        return false;
    }
    let (mut a, mut b) = (a, b);
    while let (Some((word_a, rest_a)), Some((word_b, rest_b))) = (a.split_first_chunk::<8>(), b.split_first_chunk()) {
        if word_a != word_b {
            return false;
        }
        (a, b) = (rest_a, rest_b);
    }
    true
}

/// Which attributes fill side columns: the index of a key is its [`Slot`].
#[derive(Clone, Debug, Default)]
pub struct WalkSpec {
    keys: Vec<String>,
    /// First key of each bucket + 1, 0 for none.
    buckets: Vec<u16>,
    /// The next key of the same bucket + 1, 0 for none.
    next: Vec<u16>,
}

const BUCKET_BITS: u32 = 7;

impl WalkSpec {
    /// Columns for these attribute keys; `Slot(n)` is the `n`-th of them. Only the first 65,535 keys get one.
    pub fn new(mut keys: Vec<String>) -> Self {
        keys.truncate(usize::from(u16::MAX));
        if keys.is_empty() {
            return Self::default();
        }
        let (mut buckets, mut next) = (vec![0; 1 << BUCKET_BITS], vec![0; keys.len()]);
        for (index, key) in keys.iter().enumerate() {
            let bucket = bucket_of(hash(key.as_bytes()));
            next[index] = buckets[bucket];
            buckets[bucket] = index as u16 + 1;
        }
        Self { keys, buckets, next }
    }

    /// How many columns there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no attribute is wanted.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys, by slot.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The column of `key`.
    pub fn slot(&self, key: &str) -> Option<Slot> {
        self.keys.iter().position(|wanted| wanted == key).map(|index| Slot(index as u16))
    }

    /// Whether a key with this hash can be a wanted one.
    #[inline]
    pub(crate) fn may_want(&self, hash: u64) -> bool {
        self.buckets.get(bucket_of(hash)).is_some_and(|&head| head != 0)
    }

    /// Calls `found` with the column of each wanted key that equals `key` (more than one if a key was listed twice).
    #[inline]
    pub(crate) fn columns(&self, key: &[u8], hash: u64, mut found: impl FnMut(usize)) {
        let Some(&head) = self.buckets.get(bucket_of(hash)) else { return };
        let mut at = head;
        while at != 0 {
            let index = usize::from(at) - 1;
            if same(self.keys[index].as_bytes(), key) {
                found(index);
            }
            at = self.next[index];
        }
    }
}

#[inline]
const fn bucket_of(hash: u64) -> usize {
    (hash >> (64 - BUCKET_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_and_others_are_not() {
        for (name, expected) in NAMES {
            assert_eq!(known(name.as_bytes(), hash(name.as_bytes())), Some(expected), "{name}");
        }
        for other in ["", "a", "abc", "http.route", "db.names", "error.typo", "service.name"] {
            assert_eq!(known(other.as_bytes(), hash(other.as_bytes())), None, "{other}");
        }
    }

    #[test]
    fn a_wanted_key_finds_its_slots_also_when_it_is_listed_twice() {
        let spec = WalkSpec::new(["http.route", "x", "http.route", ""].map(String::from).to_vec());
        let columns = |key: &str| {
            let mut found = Vec::new();
            spec.columns(key.as_bytes(), hash(key.as_bytes()), |index| found.push(index));
            found.sort_unstable();
            found
        };
        assert_eq!(columns("http.route"), [0, 2]);
        assert_eq!(columns("x"), [1]);
        assert_eq!(columns(""), [3]);
        assert!(columns("y").is_empty());
        assert_eq!(spec.slot("x"), Some(Slot(1)));
        assert!(WalkSpec::default().is_empty());
    }
}
