"""The number of calls to the catalogue must not grow with the list, and the document must stay what it was."""

import io
import json

import pytest

from wishlist import app


class Catalogue:
    """Counts the calls of whichever kind; its bulk lookup takes at most 50 SKUs, as the real one."""

    def __init__(self, count):
        self.calls = 0
        self.status = 200
        self.products = {
            f"p{i}": {"sku": f"p{i}", "title": f"T{i}", "price_cents": 10 * i, "stock": i % 5} for i in range(count)
        }

    def __call__(self, path, query):
        self.calls += 1
        if self.status != 200:
            return self.status, {}
        if path.rstrip("/") == "/products":
            skus = query["skus"].split(",")
            if not 0 < len(skus) <= 50 or "" in skus:
                return 400, {}
            # In the catalogue's own order, each product once.
            return 200, {"products": [p for sku, p in reversed(self.products.items()) if sku in skus]}
        product = self.products.get(path.removeprefix("/products/"))
        return (200, product) if product else (404, {})


def show(skus, catalogue):
    seen = []
    application = app.create({"l": skus}, catalogue)
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/wishlists/l",
        "CONTENT_LENGTH": "0",
        "wsgi.input": io.BytesIO(),
    }
    chunks = application(environ, lambda status, headers, *_: seen.append(status))
    return int(seen[0][:3]), json.loads(b"".join(chunks))


@pytest.mark.parametrize(("items", "most"), [(1, 1), (10, 1), (50, 1), (51, 2), (200, 4)])
def test_calls_do_not_grow_with_the_items(items, most):
    catalogue = Catalogue(items)
    status, document = show([f"p{i}" for i in range(items)], catalogue)
    assert status == 200
    assert len(document["items"]) == items
    assert catalogue.calls <= most


def test_the_document_is_what_it_was():
    catalogue = Catalogue(8)
    skus = ["p7", "gone", "p1", "p7", "p5"]
    status, document = show(skus, catalogue)
    assert status == 200
    assert [item["sku"] for item in document["items"]] == skus
    assert document["items"][1] == {"sku": "gone", "available": False}
    assert document["items"][2] == {
        "sku": "p1",
        "available": True,
        "title": "T1",
        "price_cents": 10,
        "in_stock": True,
        "low_stock": True,
    }
    assert document["items"][4]["in_stock"] is False
    assert document["total_cents"] == 70 + 10 + 70 + 50


def test_an_empty_list_needs_no_catalogue():
    assert show([], Catalogue(1)) == (200, {"id": "l", "items": [], "total_cents": 0})


def test_a_failing_catalogue_is_still_said():
    catalogue = Catalogue(20)
    catalogue.status = 500
    assert show([f"p{i}" for i in range(20)], catalogue)[0] == 502
