"""Records what the shop tells during a retry storm, for `backtrail replay`.

    python record.py                                  # into recording/
    python record.py --at 2026-05-21T10:00:00Z --app /app

Receives OTLP/HTTP from the services' OpenTelemetry SDKs, as protobuf, and writes OTLP/JSON, one request a line, as it
came: nothing is added, dropped or changed. Writes `changes.yaml` beside it: the commits of the history, and the
deployments of this run.

`--at` sets the wall clock of the services (`clock/`), so that a recording lies in the days of the shop's commits. `--app`
is where the working tree lies while it runs, as it would in a container: stack traces name it.
"""

import argparse
import base64
import contextlib
import gzip
import json
import os
import shutil
import tempfile
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import zstandard
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import changes
import load
import repository

SIGNALS = {
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}
IDS = {"traceId", "spanId", "parentSpanId"}
HERE = Path(__file__).resolve().parent


def to_json(signal, body):
    """An OTLP/protobuf request as OTLP/JSON: enumerations are numbers, and ids hexadecimal."""
    message = SIGNALS[signal].FromString(body)
    return with_hex_ids(MessageToDict(message, use_integers_for_enums=True))


def with_hex_ids(value):
    """Protobuf's own JSON writes bytes as base64; OTLP wants ids in hexadecimal."""
    if isinstance(value, list):
        return [with_hex_ids(item) for item in value]
    if isinstance(value, dict):
        return {
            key: base64.b64decode(item).hex() if key in IDS else with_hex_ids(item) for key, item in value.items()
        }
    return value


class Sink(ThreadingHTTPServer):
    """An OTLP/HTTP endpoint that writes lines."""

    daemon_threads = True

    def __init__(self, files):
        self.files = files
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), Export)


class Export(BaseHTTPRequestHandler):
    """One export request."""

    def do_POST(self):
        signal = self.path.removeprefix("/v1/")
        if signal not in SIGNALS:
            self.send_error(404)
            return
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        line = json.dumps(to_json(signal, body), separators=(",", ":"), ensure_ascii=False)
        with self.server.lock:
            self.server.files[signal].write(line.encode() + b"\n")
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format, *args):
        """The lines tell."""


def record(checkout, out, plan, offset):
    """Runs the plan against the shop of a working tree and records into the folder `out`; answers when it began."""
    with contextlib.ExitStack() as stack:
        files = {}
        for signal in SIGNALS:
            file = stack.enter_context(open(out / f"{signal}.otlp.jsonl.zst", "wb"))
            files[signal] = stack.enter_context(zstandard.ZstdCompressor(level=19).stream_writer(file))
        sink = Sink(files)
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        began = datetime.now(timezone.utc) + offset
        with load.shop(checkout, f"http://127.0.0.1:{sink.server_port}") as gateway:
            outcome = load.drive(gateway, plan, print)
        sink.shutdown()
    (out / "load.json").write_text(json.dumps({"began": began.isoformat(timespec="seconds"), **load.summary(outcome, plan)}, indent=1) + "\n")
    return began


def clock(at):
    """What starts the services with their wall clock at that time, and how far that is from now."""
    offset = round(datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp() - datetime.now().timestamp())
    return timedelta(seconds=offset), {"PYTHONPATH": str(HERE / "clock"), "SHOP_CLOCK_OFFSET": str(offset)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "recording")
    parser.add_argument("--at", metavar="TIME", help="RFC 3339")
    parser.add_argument("--app", type=Path, help="a folder that is not there yet; removed at the end")
    load.add_plan(parser)
    arguments = parser.parse_args()
    offset, environment = clock(arguments.at) if arguments.at else (timedelta(), {})
    os.environ.update(environment)  # for the services; this process has begun
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        checkout = arguments.app or Path(temporary) / "shop"
        repository.build(checkout)
        try:
            began = record(checkout, arguments.out, load.plan_of(arguments), offset)
            (arguments.out / "changes.yaml").write_text(changes.document(checkout, began), encoding="utf-8")
        finally:
            shutil.rmtree(checkout)


if __name__ == "__main__":
    main()
