"""Client of the bank core's posting API."""

from __future__ import annotations

import json
import logging
import random
import time
import urllib.error
import urllib.request
from typing import Callable

from .settings import Settings

log = logging.getLogger(__name__)

# transport(url, body, timeout_s) -> status
Transport = Callable[[str, bytes, float], int]


class CoreRejected(Exception):
    """The bank core understood the batch and refuses it; sending it again will not help."""


class CoreUnavailable(Exception):
    """The bank core did not take the batch this time."""


def http_transport(url: str, body: bytes, timeout_s: float) -> int:
    """Posts by HTTP. Connection trouble is reported like a 503, because the remedy is the same."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        log.info("bank core is not reachable: %s", error)
        return 503


class CoreClient:
    """Posts batches of entries."""

    def __init__(
        self,
        settings: Settings,
        transport: Transport = http_transport,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._sleep = sleep

    def post(self, batch_id: str, entries: list[dict]) -> None:
        """Delivers a batch. The batch id makes a second delivery harmless."""
        url = f"{self._settings.core_url}/postings/{batch_id}"
        body = json.dumps({"entries": entries}).encode()
        for attempt in range(self._settings.attempts):
            if attempt > 0:
                self._sleep(self._pause(attempt))
            status = self._transport(url, body, self._settings.core_timeout_s)
            if status < 300:
                return
            if status < 500:
                raise CoreRejected(f"batch {batch_id}: bank core answered {status}")
            log.warning("batch %s: bank core answered %d (attempt %d)", batch_id, status, attempt + 1)
        raise CoreUnavailable(f"batch {batch_id}: gave up after {self._settings.attempts} attempts")

    def _pause(self, attempt: int) -> float:
        ceiling = self._settings.first_pause_s * 2 ** (attempt - 1)
        return random.uniform(0, min(ceiling, self._settings.longest_pause_s))
