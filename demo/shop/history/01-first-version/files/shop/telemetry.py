"""Traces, logs and metrics by OpenTelemetry, where its SDK is installed and `OTEL_EXPORTER_OTLP_ENDPOINT` is set.

Without it every call here does nothing, so that the services and their tests need Python alone. Names and attributes
are those of OpenTelemetry's semantic conventions.
"""

import atexit
import contextlib
import functools
import logging
import os
import sys

from shop.settings import ROOT

try:
    from opentelemetry import metrics, propagate, trace
except ImportError:
    trace = None

_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]


def start(service):
    """Sends what this process does to the endpoint of `OTEL_EXPORTER_OTLP_ENDPOINT`; without one, nowhere."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    if trace is None or not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return
    from opentelemetry._logs import set_logger_provider
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.logging.handler import LoggingHandler
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # Version, commit and environment come from whoever deploys: OTEL_RESOURCE_ATTRIBUTES.
    resource = Resource.create({"service.name": service, "service.namespace": "shop"})
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(tracers)
    meters = MeterProvider(resource=resource, metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter())])
    metrics.set_meter_provider(meters)
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    set_logger_provider(loggers)
    logging.getLogger("services").addHandler(LoggingHandler(logger_provider=loggers, log_code_attributes=True))
    for provider in (tracers, meters, loggers):
        atexit.register(provider.shutdown)


def code_of(function):
    """Where a function stands, as attributes."""
    function = getattr(function, "__func__", function)
    module, code = function.__module__, function.__code__
    if module == "__main__":
        module = sys.modules["__main__"].__spec__.name
    return {
        "code.function.name": f"{module}.{function.__qualname__}",
        "code.file.path": os.path.relpath(code.co_filename, ROOT),
        "code.line.number": code.co_firstlineno,
    }


@contextlib.contextmanager
def span(name, kind="internal", attributes=None, headers=None):
    """A span around a block: an exception that leaves the block is recorded and makes it an error.

    `headers` of a request that came in make it a child of the caller's span.
    """
    if trace is None:
        yield _NoSpan()
        return
    parent = propagate.extract(headers) if headers is not None else None
    tracer = trace.get_tracer("shop")
    kind = trace.SpanKind[kind.upper()]
    with tracer.start_as_current_span(name, parent, kind, attributes) as current:
        try:
            yield current
        except Exception as error:
            current.set_attribute("error.type", type(error).__qualname__)
            raise


def traced(function):
    """A span for every call of the function, named as the function and with its place in the code."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        with span(function.__qualname__, attributes=code_of(function)):
            return function(*args, **kwargs)

    return wrapper


def current_span():
    """The span that the caller runs in."""
    return _NoSpan() if trace is None else trace.get_current_span()


def fail(span, error_type):
    """Marks a span as failed without an exception."""
    span.set_attribute("error.type", error_type)
    if trace is not None:
        span.set_status(trace.StatusCode.ERROR)


def inject(headers):
    """Adds the headers that make the receiver's span a child of the current one."""
    if trace is not None:
        propagate.inject(headers)
    return headers


def counter(name, description=""):
    """Something that is counted: `.add(1, {...})`."""
    return _NoMeter() if trace is None else metrics.get_meter("shop").create_counter(name, description=description)


def up_down_counter(name, description=""):
    """Something that is counted up and down: `.add(-1, {...})`."""
    if trace is None:
        return _NoMeter()
    return metrics.get_meter("shop").create_up_down_counter(name, description=description)


def histogram(name, description=""):
    """A distribution of seconds: `.record(0.2, {...})`."""
    if trace is None:
        return _NoMeter()
    meter = metrics.get_meter("shop")
    return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=_SECONDS)


class _NoSpan:
    """Stands for a span where nobody listens."""

    def set_attribute(self, key, value):
        """Does nothing."""


class _NoMeter:
    """Stands for an instrument where nobody listens."""

    def add(self, amount, attributes=None):
        """Does nothing."""

    def record(self, amount, attributes=None):
        """Does nothing."""
