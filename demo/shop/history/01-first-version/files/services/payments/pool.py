"""A bounded pool: payments keeps no more than so many connections to the bank open at a time."""

import contextlib
import threading

from shop import telemetry


class Exhausted(Exception):
    """All of them are in use."""


class Pool:
    """Who finds no free connection is told so at once: waiting would only fill the threads as well."""

    def __init__(self, size):
        self._free = threading.BoundedSemaphore(size)
        self._active = telemetry.up_down_counter("bank.connection_pool.active", "Connections to the bank in use")
        telemetry.up_down_counter("bank.connection_pool.max", "Most connections to the bank").add(size)

    @contextlib.contextmanager
    def connection(self):
        """Holds a connection while the block runs."""
        if not self._free.acquire(blocking=False):
            raise Exhausted("every connection to the bank is in use")
        self._active.add(1)
        try:
            yield
        finally:
            self._active.add(-1)
            self._free.release()
