"""The bank, as payments sees it."""

import logging
import random
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
        self.backoff_base_s = config["backoff_base_ms"] / 1000
        self.backoff_cap_s = config["backoff_cap_ms"] / 1000
        self.budget = RetryBudget(config["retry_budget"])

    @telemetry.traced
    def charge(self, order, amount_cents):
        """Charges a card for an order; answers the bank's receipt."""
        self.budget.earn()
        for attempt in range(self.max_retries + 1):
            try:
                return self.send(order, amount_cents, attempt)
            except (TimeoutError, ConnectionError) as error:
                failure = error
                if attempt == self.max_retries or not self.budget.spend():
                    break
                log.warning("bank did not answer, charge is sent again", extra={"order": order, "attempt": attempt + 1})
                retries.add(1)
                time.sleep(self.backoff_s(attempt))
        raise BankUnavailable(f"no answer from the bank after {attempt + 1} attempts") from failure

    def backoff_s(self, attempt):
        """How long to wait before the next attempt: a random part of a ceiling that doubles (full jitter)."""
        return random.uniform(0, min(self.backoff_cap_s, self.backoff_base_s * 2**attempt))

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
