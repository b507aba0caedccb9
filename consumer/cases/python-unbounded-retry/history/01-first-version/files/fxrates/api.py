"""The HTTP interface, without a server: (method, path) in, (status, document) out."""

from __future__ import annotations

import logging
import re
import time

from . import env
from .provider import Provider, ProviderError, UnknownCurrency, http_send

log = logging.getLogger(__name__)
ROUTE = re.compile(r"/rates/([A-Z]{3})/([A-Z]{3})")


class Api:
    """Answers requests; keeps rates for a while."""

    def __init__(self, provider: Provider, keep_s: float, now=time.monotonic) -> None:
        self._provider = provider
        self._keep_s = keep_s
        self._now = now
        self._kept: dict[tuple[str, str], tuple[float, float]] = {}

    def handle(self, method: str, path: str) -> tuple[int, dict]:
        """One request."""
        match = ROUTE.fullmatch(path)
        if not match:
            return 404, {"error": "expected /rates/{base}/{target}"}
        if method != "GET":
            return 405, {"error": "expected GET"}
        pair = (match[1], match[2])
        try:
            return 200, {"base": pair[0], "target": pair[1], "rate": self._rate(pair)}
        except UnknownCurrency as error:
            return 404, {"error": f"unknown pair {error}"}
        except ProviderError as error:
            log.error("rate %s/%s: %s", *pair, error)
            return 503, {"error": "no rate at the moment"}

    def _rate(self, pair: tuple[str, str]) -> float:
        kept = self._kept.get(pair)
        if kept and self._now() < kept[1]:
            return kept[0]
        rate = self._provider.rate(*pair)
        self._kept[pair] = (rate, self._now() + self._keep_s)
        return rate


def create(send=http_send, sleep=time.sleep, now=time.monotonic) -> Api:
    """The service as deployed."""
    settings = env.read()
    return Api(Provider(settings, send, sleep), float(settings["RATES_KEEP_S"]), now)
