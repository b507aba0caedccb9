"""Client of the catalogue."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Callable

# fetch(path, query) -> (status, document)
Fetch = Callable[[str, dict], tuple[int, dict]]


class CatalogError(Exception):
    """The catalogue did not answer as agreed."""


def http_fetch(url: str, timeout_s: float) -> Fetch:
    """A fetch over HTTP."""

    def fetch(path: str, query: dict) -> tuple[int, dict]:
        full = url + path + ("?" + urllib.parse.urlencode(query) if query else "")
        try:
            with urllib.request.urlopen(full, timeout=timeout_s) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, {}
        except OSError as error:
            raise CatalogError(str(error)) from error

    return fetch


class Catalog:
    """What wish lists need of the catalogue."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    def product(self, sku: str) -> dict | None:
        """The product, or None if the catalogue has none of that SKU."""
        status, document = self._fetch(f"/products/{urllib.parse.quote(sku, safe='')}", {})
        if status == 404:
            return None
        if status != 200:
            raise CatalogError(f"product {sku}: catalogue answered {status}")
        return document
