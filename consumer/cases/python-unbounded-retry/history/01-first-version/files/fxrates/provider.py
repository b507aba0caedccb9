"""The provider of rates."""

from __future__ import annotations

import json
import logging
import random
import time
import urllib.error
import urllib.request
from typing import Callable

log = logging.getLogger(__name__)

# send(url, timeout_s) -> (status, body)
Send = Callable[[str, float], tuple[int, bytes]]


class ProviderError(Exception):
    """There is no rate to be had from the provider."""


class UnknownCurrency(ProviderError):
    """The provider does not know the pair."""


def http_send(url: str, timeout_s: float) -> tuple[int, bytes]:
    """By HTTP; trouble with the connection counts as 503."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""
    except OSError:
        return 503, b""


class Provider:
    """Asks for rates."""

    def __init__(self, settings: dict[str, str], send: Send = http_send, sleep=time.sleep) -> None:
        self._url = settings["RATES_PROVIDER_URL"]
        self._timeout_s = int(settings["RATES_PROVIDER_TIMEOUT_MS"]) / 1000
        self._first_s = int(settings["RATES_PAUSE_FIRST_MS"]) / 1000
        self._longest_s = int(settings["RATES_PAUSE_LONGEST_MS"]) / 1000
        self._send = send
        self._sleep = sleep

    def rate(self, base: str, target: str) -> float:
        """Units of `target` for one unit of `base`."""
        url = f"{self._url}/latest/{base}/{target}"
        pause = self._first_s
        while True:
            status, body = self._send(url, self._timeout_s)
            if status == 200:
                return self._parse(body)
            if status == 404:
                raise UnknownCurrency(f"{base}/{target}")
            if status not in (429, 503):
                raise ProviderError(f"provider answered {status}")
            # Half fixed, half by chance: our instances must not come back in step.
            self._sleep(pause / 2 + random.uniform(0, pause / 2))
            pause = min(pause * 2, self._longest_s)

    @staticmethod
    def _parse(body: bytes) -> float:
        try:
            rate = float(json.loads(body)["rate"])
        except (ValueError, KeyError, TypeError) as error:
            raise ProviderError("provider sent no rate") from error
        if not rate > 0:
            raise ProviderError(f"provider sent the rate {rate}")
        return rate
