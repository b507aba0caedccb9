"""A connection to the session store: one line a command, one line an answer."""

from __future__ import annotations

import socket


class StoreError(Exception):
    """The session store failed."""


class Connection:
    """One socket."""

    def __init__(self, host: str, port: int, timeout_s: float = 0.5) -> None:
        self._socket = socket.create_connection((host, port), timeout=timeout_s)
        self._lines = self._socket.makefile("rb")

    def get(self, key: str) -> bytes | None:
        return self._ask(f"GET {key}") or None

    def delete(self, key: str) -> None:
        self._ask(f"DEL {key}")

    def close(self) -> None:
        self._socket.close()

    def _ask(self, command: str) -> bytes:
        try:
            self._socket.sendall(command.encode() + b"\n")
            line = self._lines.readline()
        except OSError as error:
            raise StoreError(str(error)) from error
        if not line.endswith(b"\n") or line.startswith(b"-"):
            raise StoreError(line.decode(errors="replace").strip() or "connection closed")
        return line[1:-1]
