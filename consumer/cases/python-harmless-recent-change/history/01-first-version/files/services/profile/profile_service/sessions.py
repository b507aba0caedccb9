"""Sessions in the session store."""

from __future__ import annotations

import json

from .pool import Pool


class Sessions:
    """Looks sessions up."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def find(self, token: str) -> dict | None:
        """The session of a token; None if there is none or it is over."""
        with self._pool.connection() as connection:
            raw = connection.get(f"session:{token}")
        return json.loads(raw) if raw else None

    def end(self, token: str) -> None:
        """Logs out."""
        with self._pool.connection() as connection:
            connection.delete(f"session:{token}")
