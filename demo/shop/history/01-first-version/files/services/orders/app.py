"""Orders: keeps what was ordered and has it paid."""

import itertools
import threading
from collections import OrderedDict

from shop import settings, telemetry, web


class Orders:
    """The newest orders, in memory."""

    def __init__(self, payments_url, config):
        self.payments_url = payments_url
        self.timeout_s = config["payments"]["timeout_ms"] / 1000
        self.keep = config["orders"]["keep"]
        self._numbers = itertools.count(1)
        self._orders = OrderedDict()
        self._lock = threading.Lock()

    def place(self, body):
        """POST /orders: keeps an order once it is paid."""
        number = next(self._numbers)
        order = {"id": f"o-{number}", "item": body["item"], "amount_cents": body["amount_cents"], "status": "paid"}
        order["payment"] = self.pay(order)
        with self._lock:
            self._orders[order["id"]] = order
            while len(self._orders) > self.keep:
                self._orders.popitem(last=False)
        return order

    def find(self, body, order):
        """GET /orders/{order}."""
        with self._lock:
            found = self._orders.get(order)
        if found is None:
            raise web.HttpError(404, f"no order {order}")
        return found

    def pay(self, order):
        """Has payments charge the order; answers the payment's id."""
        payment = {"order": order["id"], "amount_cents": order["amount_cents"]}
        try:
            paid = web.call("POST", self.payments_url + "/payments", payment, peer="payments", timeout_s=self.timeout_s)
        except (web.HttpError, OSError) as error:
            raise web.HttpError(502, f"order {order['id']} is not paid: {error}") from error
        return paid["id"]

    def routes(self):
        return {("POST", "/orders"): self.place, ("GET", "/orders/{order}"): self.find}


def main():
    arguments = web.arguments("orders", "payments")
    telemetry.start("orders")
    web.run(web.Server(arguments.port, Orders(arguments.payments, settings.load("orders")).routes()))


if __name__ == "__main__":
    main()
