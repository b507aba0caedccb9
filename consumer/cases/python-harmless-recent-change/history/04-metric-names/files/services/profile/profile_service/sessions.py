"""Sessions in the session store."""

from __future__ import annotations

import json
import time

from . import metrics
from .pool import Pool


class Sessions:
    """Looks sessions up."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def find(self, token: str) -> dict | None:
        """The session of a token; None if there is none or it is over."""
        connection = self._pool.take()
        started = time.perf_counter()
        raw = connection.get(f"session:{token}")
        elapsed_ms = (time.perf_counter() - started) * 1000
        metrics.observe("profile.session_lookup", elapsed_ms, outcome="hit" if raw else "miss")
        self._pool.put(connection)
        return json.loads(raw) if raw else None

    def end(self, token: str) -> None:
        """Logs out."""
        with self._pool.connection() as connection:
            connection.delete(f"session:{token}")
