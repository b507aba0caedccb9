import pytest

from services.bank.app import Bank
from shop import web

CONFIG = {"charge": {"takes_ms": 0}}


def test_a_charge_gets_a_receipt_and_the_same_one_when_it_is_repeated():
    bank = Bank(CONFIG)
    first = bank.charge({"order": "o-1", "amount_cents": 100})
    assert bank.charge({"order": "o-2", "amount_cents": 100})["id"] != first["id"]
    assert bank.charge({"order": "o-1", "amount_cents": 100}) == first


def test_nothing_is_charged_for_nothing():
    with pytest.raises(web.HttpError, match="positive"):
        Bank(CONFIG).charge({"order": "o-1", "amount_cents": 0})
