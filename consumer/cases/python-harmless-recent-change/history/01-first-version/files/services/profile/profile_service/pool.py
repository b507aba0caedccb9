"""A pool of connections to the session store."""

from __future__ import annotations

import contextlib
import threading
from typing import Any, Callable, Iterator


class PoolExhausted(Exception):
    """No connection became free in time."""


class Pool:
    """At most `size` connections, made when they are needed."""

    def __init__(self, connect: Callable[[], Any], size: int, wait_s: float) -> None:
        self._connect = connect
        self._wait_s = wait_s
        self._free: list[Any] = []
        self._slots = threading.BoundedSemaphore(size)
        self._guard = threading.Lock()

    def take(self) -> Any:
        """A connection of one's own until `put` or `discard`."""
        if not self._slots.acquire(timeout=self._wait_s):
            raise PoolExhausted("all connections are taken")
        with self._guard:
            if self._free:
                return self._free.pop()
        try:
            return self._connect()
        except BaseException:
            self._slots.release()
            raise

    def put(self, connection: Any) -> None:
        """Gives a healthy connection back."""
        with self._guard:
            self._free.append(connection)
        self._slots.release()

    def discard(self, connection: Any) -> None:
        """Gives the place of a broken connection back."""
        try:
            connection.close()
        finally:
            self._slots.release()

    @contextlib.contextmanager
    def connection(self) -> Iterator[Any]:
        """For the length of a block; a block that fails costs the connection, whose state is unknown then."""
        connection = self.take()
        try:
            yield connection
        except BaseException:
            self.discard(connection)
            raise
        self.put(connection)
