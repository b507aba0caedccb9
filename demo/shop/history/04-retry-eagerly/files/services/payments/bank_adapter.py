"""The bank, as payments sees it."""

import logging
import time

from services.payments.pool import Pool
from services.payments.retry_budget import RetryBudget
from shop import flags, telemetry, web

log = logging.getLogger("services.payments.bank_adapter")
retries = telemetry.counter("payments.bank.retries", "Charges that were sent to the bank again")


class BankUnavailable(Exception):
    """The bank did not answer, however often it was asked."""


class BankAdapter:
    """Charges cards at the bank, and asks again when the bank does not answer."""

    def __init__(self, url, config):
        self.url = url
        self.timeout_s = config["timeout_ms"] / 1000
        self.pool = Pool(config["pool_size"])
        self.max_retries = config["max_retries"]
        self.delay_s = config["delay_ms"] / 1000
        # 0 is no limit.
        self.budget = RetryBudget(config["retry_budget"]) if config["retry_budget"] > 0 else None

    @telemetry.traced
    def charge(self, order, amount_cents):
        """Charges a card for an order; answers the bank's receipt."""
        if self.budget:
            self.budget.earn()
        for attempt in range(self.max_retries + 1):
            try:
                return self.send(order, amount_cents, attempt)
            except (TimeoutError, ConnectionError) as error:
                failure = error
                if attempt == self.max_retries or (self.budget and not self.budget.spend()):
                    break
                log.warning("bank did not answer, charge is sent again", extra={"order": order, "attempt": attempt + 1})
                retries.add(1)
                time.sleep(self.delay_s)
        raise BankUnavailable(f"no answer from the bank after {attempt + 1} attempts") from failure

    def send(self, order, amount_cents, attempt):
        """One attempt, over one connection."""
        headers = {}
        if flags.client.get_boolean_value("payments_send_idempotency_key", False):
            headers["idempotency-key"] = order
        body = {"order": order, "amount_cents": amount_cents}
        with self.pool.connection():
            return web.call(
                "POST",
                self.url + "/charges",
                body,
                peer="bank",
                timeout_s=self.timeout_s,
                headers=headers,
                resend=attempt,
            )
