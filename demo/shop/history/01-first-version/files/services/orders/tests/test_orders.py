import pytest

from services.orders.app import Orders
from shop import web
from shop.testing import serving

CONFIG = {"payments": {"timeout_ms": 5000}, "orders": {"keep": 2}}
BODY = {"item": "tea", "amount_cents": 1250}


def test_an_order_is_kept_once_it_is_paid():
    with serving({("POST", "/payments"): lambda body: {"id": "c-9"}}) as url:
        orders = Orders(url, CONFIG)
        placed = orders.place(BODY)
        assert placed["payment"] == "c-9"
        assert orders.find({}, placed["id"]) == placed


def test_an_order_that_is_not_paid_is_not_kept():
    def fail(body):
        raise web.HttpError(503, "bank is away")

    with serving({("POST", "/payments"): fail}) as url:
        orders = Orders(url, CONFIG)
        with pytest.raises(web.HttpError, match="bank is away") as caught:
            orders.place(BODY)
        assert caught.value.status == 502
        with pytest.raises(web.HttpError, match="no order"):
            orders.find({}, "o-1")


def test_the_oldest_orders_are_forgotten():
    with serving({("POST", "/payments"): lambda body: {"id": "c-9"}}) as url:
        orders = Orders(url, CONFIG)
        ids = [orders.place(BODY)["id"] for _ in range(3)]
        assert orders.find({}, ids[2])["id"] == ids[2]
        with pytest.raises(web.HttpError) as caught:
            orders.find({}, ids[0])
        assert caught.value.status == 404
