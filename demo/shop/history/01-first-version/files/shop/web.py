"""HTTP between the services: JSON over http.server and http.client, with a span at both ends."""

import argparse
import http.client
import json
import logging
import re
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from shop import telemetry

log = logging.getLogger("services.web")
duration = telemetry.histogram("http.server.request.duration", "Duration of requests")


class HttpError(Exception):
    """An answer that is no success."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Server(ThreadingHTTPServer):
    """A thread for every request. `routes` maps (method, path with {names}) to functions of (request body, **names)."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port, routes):
        self.routes = [(method, route, _pattern(route), handler) for (method, route), handler in routes.items()]
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a caller that left is no fault of ours
            log.exception("request failed")


class PooledServer(Server):
    """A fixed number of workers; who finds none free waits in the socket's backlog, and beyond it in nobody's.

    A worker learns of a request when it takes it up. It does not know that the caller may have left by then.
    """

    def __init__(self, port, routes, workers, backlog):
        self.workers = workers
        self.request_queue_size = backlog
        self.busy = telemetry.up_down_counter("worker_pool.active", "Workers that serve a request")
        telemetry.up_down_counter("worker_pool.max", "Workers").add(workers)
        super().__init__(port, routes)

    def serve_forever(self, poll_interval=0.5):
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self.workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self):
        while True:
            try:
                connection, address = self.socket.accept()
            except OSError:
                return  # closed
            self.busy.add(1)
            self.process_request_thread(connection, address)
            self.busy.add(-1)

    def shutdown(self):
        self.socket.shutdown(socket.SHUT_RDWR)  # wakes the workers
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Finds the route of a request and answers it."""

    timeout = 5
    wbufsize = -1  # one write an answer

    def do_GET(self):
        self.answer("GET")

    def do_POST(self):
        self.answer("POST")

    def answer(self, method):
        """Answers one request in a span."""
        path = urlsplit(self.path).path
        if path == "/healthz":
            self.reply(200, {"status": "ok"})
            return
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        route, handler, names = self.find(method, path)
        attributes = {"http.request.method": method, "url.path": path, "url.scheme": "http"}
        if handler:
            attributes |= {"http.route": route, **telemetry.code_of(handler)}
        began = time.monotonic()
        with telemetry.span(f"{method} {route}".strip(), "server", attributes, self.headers) as span:
            status, reply = self.handle_route(handler, names, body)
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                telemetry.fail(span, str(status))
            self.reply(status, reply)
        measured = {"http.request.method": method, "http.route": route, "http.response.status_code": status}
        if status >= 500:
            measured["error.type"] = str(status)
        duration.record(time.monotonic() - began, measured)

    def find(self, method, path):
        for known, route, pattern, handler in self.server.routes:
            match = pattern.fullmatch(path)
            if known == method and match:
                return route, handler, match.groupdict()
        return "", None, {}

    def handle_route(self, handler, names, body):
        if handler is None:
            return 404, {"error": "no such route"}
        try:
            return 200, handler(json.loads(body or b"{}"), **names)
        except HttpError as error:
            return error.status, {"error": str(error)}
        except ValueError as error:
            return 400, {"error": f"the body is not understood: {error}"}

    def reply(self, status, reply):
        data = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format, *args):
        """Requests are told by spans."""


def call(method, url, body=None, *, peer, timeout_s, headers=None, resend=0):
    """Calls another service and answers its JSON.

    Raises HttpError for a status that is no success, TimeoutError and ConnectionError where there is no answer. `resend`
    says how often this request was sent before.
    """
    address = urlsplit(url)
    attributes = {
        "http.request.method": method,
        "url.full": url,
        "server.address": address.hostname,
        "server.port": address.port,
        "service.peer.name": peer,
    }
    if resend:
        attributes["http.request.resend_count"] = resend
    with telemetry.span(method, "client", attributes) as span:
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=timeout_s)
        try:
            data = None if body is None else json.dumps(body)
            sent = telemetry.inject({"content-type": "application/json", **(headers or {})})
            connection.request(method, address.path or "/", data, sent)
            response = connection.getresponse()
            reply = json.loads(response.read() or b"{}")
        finally:
            connection.close()
        span.set_attribute("http.response.status_code", response.status)
        if response.status < 400:
            return reply
        telemetry.fail(span, str(response.status))
    raise HttpError(response.status, reply.get("error", response.reason))


def arguments(service, *peers):
    """The command line of a service: its port and where its peers are."""
    parser = argparse.ArgumentParser(prog=service)
    parser.add_argument("--port", type=int, default=0, help="port on loopback; a free one if it is 0")
    for peer in peers:
        parser.add_argument(f"--{peer}", required=True, metavar="URL", help=f"where {peer} is")
    return parser.parse_args()


def run(server):
    """Serves until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


def _pattern(route):
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(route)))
