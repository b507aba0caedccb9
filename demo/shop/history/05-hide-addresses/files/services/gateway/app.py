"""The gateway: where customers come in."""

import logging

from shop import settings, telemetry, web

log = logging.getLogger("services.gateway")


class Gateway:
    """Passes checkouts on to orders."""

    def __init__(self, orders_url, config):
        self.orders_url = orders_url
        self.timeout_s = config["orders"]["timeout_ms"] / 1000

    def checkout(self, body):
        """POST /checkout: buys something."""
        order = self.orders("POST", "/orders", {"item": body.get("item", ""), "amount_cents": body.get("amount_cents", 0)})
        log.info("checked out", extra={"order": order["id"]})
        return {"order": order["id"], "status": order["status"]}

    def order(self, body, order):
        """GET /orders/{order}: what became of an order."""
        return self.orders("GET", f"/orders/{order}")

    def orders(self, method, path, body=None):
        """Calls orders. A failure there is a bad gateway here; what the customer got wrong stays as it is."""
        try:
            return web.call(method, self.orders_url + path, body, peer="orders", timeout_s=self.timeout_s)
        except web.HttpError as error:
            raise web.HttpError(error.status if error.status < 500 else 502, str(error)) from error
        except OSError as error:
            raise web.HttpError(504, "orders does not answer") from error

    def routes(self):
        return {("POST", "/checkout"): self.checkout, ("GET", "/orders/{order}"): self.order}


def main():
    arguments = web.arguments("gateway", "orders")
    telemetry.start("gateway")
    web.run(web.Server(arguments.port, Gateway(arguments.orders, settings.load("gateway")).routes()))


if __name__ == "__main__":
    main()
