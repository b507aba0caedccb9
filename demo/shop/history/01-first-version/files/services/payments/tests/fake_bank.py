"""A bank on loopback that hangs up on the first charges."""

import contextlib

from shop.testing import serving


class FakeBank:
    """Counts the charges that reach it, and answers all but the first `hangs_up`."""

    def __init__(self, hangs_up):
        self.hangs_up = hangs_up
        self.charges = []

    def charge(self, body):
        self.charges.append(body)
        if len(self.charges) <= self.hangs_up:
            raise ConnectionAbortedError("no answer")
        return {"id": "c-1", "order": body["order"]}


@contextlib.contextmanager
def fake_bank(hangs_up=0):
    """Answers the bank and its URL."""
    bank = FakeBank(hangs_up)
    with serving({("POST", "/charges"): bank.charge}) as url:
        yield bank, url
