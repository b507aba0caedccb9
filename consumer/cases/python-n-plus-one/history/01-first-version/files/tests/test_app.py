import io
import json

import pytest

from wishlist import app

from .fake_catalog import FakeCatalog

PRODUCTS = {
    "lamp": {"sku": "lamp", "title": "Lamp", "price_cents": 1999, "stock": 3},
    "rug": {"sku": "rug", "title": "Rug", "price_cents": 8900, "stock": 0},
}


@pytest.fixture
def fake():
    return FakeCatalog(PRODUCTS)


@pytest.fixture
def application(fake):
    return app.create({"l1": ["lamp", "gone", "rug"], "empty": []}, fake)


def call(application, method, path, body=b""):
    seen = []
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    chunks = application(environ, lambda status, headers: seen.append(status))
    return int(seen[0][:3]), json.loads(b"".join(chunks))


def test_shows_the_items_in_order(application):
    status, document = call(application, "GET", "/wishlists/l1")
    assert status == 200
    assert [item["sku"] for item in document["items"]] == ["lamp", "gone", "rug"]
    assert document["total_cents"] == 1999 + 8900


def test_a_product_that_is_gone_is_not_available(application):
    _, document = call(application, "GET", "/wishlists/l1")
    assert [item["available"] for item in document["items"]] == [True, False, True]
    assert document["items"][2]["in_stock"] is False


def test_an_empty_list_is_fine(application):
    assert call(application, "GET", "/wishlists/empty") == (200, {"id": "empty", "items": [], "total_cents": 0})


def test_says_when_the_catalogue_fails(application, fake):
    fake.broken = True
    status, document = call(application, "GET", "/wishlists/l1")
    assert status == 502


def test_adds_an_item(application):
    assert call(application, "POST", "/wishlists/empty/items", b'{"sku": "rug"}')[0] == 201
    assert call(application, "POST", "/wishlists/empty/items", b"[]")[0] == 400
    assert call(application, "GET", "/wishlists/nobody")[0] == 404


def test_a_list_does_not_grow_for_ever(fake):
    application = app.create({"l": ["lamp"] * 200}, fake)
    assert call(application, "POST", "/wishlists/l/items", b'{"sku": "rug"}')[0] == 409
