"""The HTTP interface without a server: (method, path) in, (status, document) out."""

from __future__ import annotations

import tomllib
from pathlib import Path

from . import metrics
from .pool import Pool, PoolExhausted
from .sessions import Sessions
from .wire import Connection, StoreError

CONFIG = Path(__file__).resolve().parent.parent / "config" / "profile.toml"


class Api:
    """Answers requests."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def handle(self, method: str, path: str) -> tuple[int, dict]:
        """One request."""
        try:
            status, document = self._route(method, path)
        except PoolExhausted as error:
            status, document = 503, {"error": str(error)}
        except (StoreError, OSError):
            status, document = 503, {"error": "the session store failed"}
        metrics.observe("profile.requests", 1, status=str(status))
        return status, document

    def _route(self, method: str, path: str) -> tuple[int, dict]:
        if path == "/healthz":
            return 200, {"status": "up"}
        kind, _, token = path.strip("/").partition("/")
        if kind != "sessions" or not token:
            return 404, {"error": "expected /sessions/{token}"}
        if method == "DELETE":
            self._sessions.end(token)
            return 204, {}
        session = self._sessions.find(token)
        if session is None:
            return 404, {"error": "no such session"}
        return 200, {"customer": session["customer"], "since": session["since"]}


def create(connect=None) -> Api:
    """The service as deployed."""
    config = tomllib.loads(CONFIG.read_text())["sessions"]
    connect = connect or (lambda: Connection(config["host"], config["port"]))
    return Api(Sessions(Pool(connect, config["connections"], config["wait_s"])))
