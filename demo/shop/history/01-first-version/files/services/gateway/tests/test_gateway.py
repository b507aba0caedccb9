import pytest

from services.gateway.app import Gateway
from shop import settings, web
from shop.testing import serving


def gateway(url):
    return Gateway(url, settings.load("gateway"))


def test_a_checkout_becomes_an_order():
    def place(body):
        assert body == {"item": "tea", "amount_cents": 1250}
        return {"id": "o-1", "status": "paid"}

    with serving({("POST", "/orders"): place}) as url:
        assert gateway(url).checkout({"item": "tea", "amount_cents": 1250}) == {"order": "o-1", "status": "paid"}


def test_an_order_is_looked_up():
    with serving({("GET", "/orders/{order}"): lambda body, order: {"id": order}}) as url:
        assert gateway(url).order({}, "o-7") == {"id": "o-7"}


@pytest.mark.parametrize(("theirs", "ours"), [(404, 404), (500, 502), (503, 502)])
def test_the_customers_faults_are_passed_on_and_ours_are_a_bad_gateway(theirs, ours):
    def fail(body, order):
        raise web.HttpError(theirs, "no")

    with serving({("GET", "/orders/{order}"): fail}) as url, pytest.raises(web.HttpError) as caught:
        gateway(url).order({}, "o-1")
    assert caught.value.status == ours
