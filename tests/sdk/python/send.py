"""Sends traces with the unmodified OpenTelemetry SDK and prints what it sent, one JSON document.

usage: send.py grpc|http ENDPOINT TRACES
"""
import json
import sys

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode


def exporter(protocol, endpoint):
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter(endpoint=endpoint, insecure=True, compression=None)
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=endpoint + "/v1/traces", compression=Compression.Gzip)


def main():
    protocol, endpoint, traces = sys.argv[1], sys.argv[2], int(sys.argv[3])
    resource = Resource.create({"service.name": f"python-{protocol}", "service.version": "2.0.1"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(exporter(protocol, endpoint), max_queue_size=100_000))
    tracer = provider.get_tracer("sdk-test", "1.0")
    sent = []

    def note(span, name):
        context = span.get_span_context()
        sent.append({"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}", "name": name})

    for i in range(traces):
        with tracer.start_as_current_span("GET /users/{id}", kind=SpanKind.SERVER) as root:
            root.set_attributes({"http.request.method": "GET", "http.route": "/users/{id}", "user.ids": [i, i + 1]})
            note(root, "GET /users/{id}")
            with tracer.start_as_current_span("load", attributes={"code.function.name": "app.load"}) as child:
                child.add_event("cache miss", {"key": f"user-{i}"})
                note(child, "load")
                if i % 10 == 0:
                    try:
                        raise ValueError("no such user")
                    except ValueError as error:
                        child.record_exception(error)
                        child.set_status(Status(StatusCode.ERROR, "no such user"))
    assert provider.force_flush(30_000), "the exporter did not finish"
    provider.shutdown()
    json.dump(sent, sys.stdout)


main()
