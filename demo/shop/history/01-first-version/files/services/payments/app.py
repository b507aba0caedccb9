"""Payments: charges cards."""

import logging

from services.payments import pool
from services.payments.bank_adapter import BankAdapter, BankUnavailable
from shop import settings, telemetry, web

log = logging.getLogger("services.payments")


class Payments:
    """Takes payments by way of the bank."""

    def __init__(self, bank):
        self.bank = bank

    def take(self, body):
        """POST /payments: charges an order."""
        try:
            receipt = self.bank.charge(body["order"], body["amount_cents"])
        except (BankUnavailable, pool.Exhausted) as error:
            log.error("payment failed: %s", error, extra={"order": body["order"]})
            raise web.HttpError(503, str(error)) from error
        log.info("payment taken", extra={"order": body["order"], "amount_cents": body["amount_cents"]})
        return {"id": receipt["id"], "order": body["order"]}

    def routes(self):
        return {("POST", "/payments"): self.take}


def main():
    arguments = web.arguments("payments", "bank")
    telemetry.start("payments")
    adapter = BankAdapter(arguments.bank, settings.load("payments")["bank"])
    web.run(web.Server(arguments.port, Payments(adapter).routes()))


if __name__ == "__main__":
    main()
