import sys

sys.path.insert(0, "src")
from shopcart.backend import BackendError
from shopcart.page import CartPage


class Down:
    def fetch(self, path):
        raise BackendError("503")


class Up:
    def fetch(self, path):
        return [{"sku": "lamp", "quantity": 2}]


def test_a_store_that_is_down_is_no_empty_cart():
    try:
        status, body = CartPage(Down()).render(7)
    except BackendError:
        return
    assert status >= 500, f"an empty cart with status {status}: {body}"


def test_a_cart():
    assert CartPage(Up()).render(7) == (200, {"items": [{"sku": "lamp", "quantity": 2}], "count": 2})
