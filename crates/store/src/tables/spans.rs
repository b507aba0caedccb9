//! `spans`: the spans of kept traces. The rows are built where OTLP is read (exporters); this crate knows no wire.

use crate::schema::{Column, Kind, Storage, Table, boolean, double, int32, int64, nested, text, time};

/// Fields of an event.
pub const EVENT: &[Column] = &[
    int64("time_unix_nano", "ns since the Unix epoch", "When it happened"),
    text("name", "Name of the event"),
    nested("attributes", Kind::TextMap, "Attributes of the event"),
];

/// Fields of a link.
pub const LINK: &[Column] = &[
    text("trace_id", "Linked trace").stored(Storage::Plain),
    text("span_id", "Linked span").stored(Storage::Plain),
    nested("attributes", Kind::TextMap, "Attributes of the link"),
];

/// Fields of an exception.
pub const EXCEPTION: &[Column] = &[
    text("type", "`exception.type`").optional(),
    text("message", "`exception.message`").optional(),
    text("stacktrace", "`exception.stacktrace`").optional(),
];

/// The table.
pub const TABLE: Table = Table {
    name: "spans",
    about: "One row is one span of a trace that was kept. Rows of a trace lie together.",
    sorted_by: &["trace_id", "start_unix_nano"],
    columns: &[
        text("trace_id", "Trace id, 32 hex digits").stored(Storage::Lookup),
        text("span_id", "Span id, 16 hex digits").stored(Storage::Plain),
        text("parent_span_id", "Span id of the parent; null for a root").optional().stored(Storage::Plain),
        time("start_time", "Start"),
        int64("start_unix_nano", "ns since the Unix epoch", "Start, exactly"),
        int64("duration_ns", "ns", "Duration; 0 if the span ends before it starts"),
        text("service", "`service.name`").few(),
        text("service_namespace", "`service.namespace`").optional().few(),
        text("service_version", "`service.version`").optional().few(),
        text("instance", "`k8s.pod.name`, else `service.instance.id`, else `host.name`").optional().few(),
        text("operation", "Normalized route, or the span name; joins with `edges.route` and `spectra.name`").few(),
        text("name", "Span name as sent"),
        text("kind", "`unspecified`, `internal`, `server`, `client`, `producer` or `consumer`"),
        text("status", "`unset`, `ok` or `error`, as sent"),
        text("status_message", "Status message as sent").optional(),
        boolean("error", "Whether the span failed: by status, `error.type` or status code"),
        text("http_method", "`http.request.method`").optional(),
        text("http_route", "`http.route`").optional(),
        int32("http_status_code", "HTTP status code").optional(),
        int32("grpc_status_code", "gRPC status code").optional(),
        text("peer", "The peer that the span names: service, address, database or destination").optional().few(),
        text("code_function", "`code.function.name`").optional().few(),
        text("code_file", "`code.file.path`").optional().few(),
        int32("resend_count", "Repeats before this attempt; 0 for the first"),
        double("weight", "spans", "How many spans this one stands for (upstream sampling); 1 is itself"),
        text("keep_reason", "Policy that kept the trace").few(),
        boolean("late", "The span came after the decision on its trace"),
        boolean("evidence", "Kept because an incident opened"),
        text("trace_state", "W3C trace state").optional(),
        text("scope_name", "Name of the instrumentation scope").optional().few(),
        text("scope_version", "Version of the instrumentation scope").optional().few(),
        nested("exception", Kind::Struct(EXCEPTION), "The first exception event").optional(),
        nested("events", Kind::Structs(EVENT), "Events; what stands in `exception` is not repeated here"),
        nested("links", Kind::Structs(LINK), "Links to other spans"),
        nested("attributes", Kind::TextMap, "All attributes; numbers as text, arrays and maps as JSON"),
        nested("resource_attributes", Kind::TextMap, "All attributes of the resource").few(),
    ],
};
