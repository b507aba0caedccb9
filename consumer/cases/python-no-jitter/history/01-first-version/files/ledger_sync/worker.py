"""Moves entries from the outbox to the bank core."""

from __future__ import annotations

import logging
from typing import Protocol

from .core_client import CoreClient, CoreRejected, CoreUnavailable

log = logging.getLogger(__name__)


class Outbox(Protocol):
    """The table of entries that wait."""

    def oldest(self, limit: int) -> list[dict]: ...

    def forwarded(self, ids: list[str]) -> None: ...

    def parked(self, ids: list[str], reason: str) -> None: ...


def run_once(outbox: Outbox, client: CoreClient, market: str, limit: int) -> int:
    """One run: returns how many entries were delivered."""
    entries = outbox.oldest(limit)
    if not entries:
        return 0
    ids = [entry["id"] for entry in entries]
    # The first entry names the batch: the same entries make the same batch after a crash.
    batch_id = f"{market}-{ids[0]}"
    try:
        client.post(batch_id, entries)
    except CoreRejected as error:
        outbox.parked(ids, str(error))
        return 0
    except CoreUnavailable as error:
        log.error("%s; %d entries stay in the outbox", error, len(ids))
        return 0
    outbox.forwarded(ids)
    return len(ids)
