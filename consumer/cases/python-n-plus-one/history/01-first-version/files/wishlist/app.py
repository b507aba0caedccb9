"""The WSGI application."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from .catalog import Catalog, CatalogError, http_fetch
from .views import render

log = logging.getLogger(__name__)
CONFIG = Path(__file__).resolve().parent.parent / "config" / "wishlist.json"


class Application:
    """Routes requests. `store` maps list ids to SKUs; in production it is the Redis adapter."""

    def __init__(self, catalog: Catalog, store: dict[str, list[str]], most_items: int) -> None:
        self._catalog = catalog
        self._store = store
        self._most_items = most_items

    def __call__(self, environ, start_response):
        status, document = self._route(environ)
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(document).encode()]

    def _route(self, environ) -> tuple[str, dict]:
        parts = environ["PATH_INFO"].strip("/").split("/")
        method = environ["REQUEST_METHOD"]
        if parts[0] != "wishlists" or len(parts) < 2 or parts[1] not in self._store:
            return "404 Not Found", {"error": "no such list"}
        list_id = parts[1]
        if method == "GET" and len(parts) == 2:
            return self._show(list_id)
        if method == "POST" and parts[2:] == ["items"]:
            return self._add(list_id, environ)
        return "405 Method Not Allowed", {"error": "not supported"}

    def _show(self, list_id: str) -> tuple[str, dict]:
        try:
            return "200 OK", render(list_id, self._store[list_id], self._catalog)
        except CatalogError as error:
            log.error("list %s: %s", list_id, error)
            return "502 Bad Gateway", {"error": "the catalogue is not available"}

    def _add(self, list_id: str, environ) -> tuple[str, dict]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            sku = json.loads(body)["sku"]
        except (ValueError, KeyError, TypeError):
            return "400 Bad Request", {"error": "expected an object with a sku"}
        skus = self._store[list_id]
        if len(skus) >= self._most_items:
            return "409 Conflict", {"error": f"a list holds at most {self._most_items} items"}
        skus.append(sku)
        return "201 Created", {"id": list_id, "count": len(skus)}


def create(store: dict[str, list[str]], fetch=None) -> Application:
    """The application as deployed."""
    config = json.loads(CONFIG.read_text())
    catalog = config["catalog"]
    fetch = fetch or http_fetch(catalog["url"], catalog["timeout_s"])
    return Application(Catalog(fetch), store, config["most_items"])
