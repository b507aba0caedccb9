"""The bank: few workers, each of them slow."""

import itertools
import threading
import time

from shop import settings, telemetry, web


class Bank:
    """Charges cards. A charge that it has seen is answered again and not charged again, but takes as long."""

    MOST_KEYS = 10_000

    def __init__(self, config):
        self.takes_s = config["charge"]["takes_ms"] / 1000
        self._numbers = itertools.count(1)
        self._receipts = {}
        self._lock = threading.Lock()

    def charge(self, body):
        """POST /charges."""
        if body.get("amount_cents", 0) <= 0:
            raise web.HttpError(422, "an amount is positive")
        time.sleep(self.takes_s)
        with self._lock:
            receipt = self._receipts.get(body["order"]) or {"id": f"c-{next(self._numbers)}", "order": body["order"]}
            self._receipts[body["order"]] = receipt
            while len(self._receipts) > self.MOST_KEYS:
                del self._receipts[next(iter(self._receipts))]
        return receipt

    def routes(self):
        return {("POST", "/charges"): self.charge}


def main():
    arguments = web.arguments("bank")
    telemetry.start("bank")
    config = settings.load("bank")
    workers = config["workers"]
    web.run(web.PooledServer(arguments.port, Bank(config).routes(), workers["count"], workers["backlog"]))


if __name__ == "__main__":
    main()
