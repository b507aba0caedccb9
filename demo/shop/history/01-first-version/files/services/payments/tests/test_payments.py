import pytest

from services.payments.app import Payments
from services.payments.bank_adapter import BankUnavailable
from shop import web


class Bank:
    def __init__(self, answer):
        self.answer = answer

    def charge(self, order, amount_cents):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_payment_has_the_id_of_the_receipt():
    assert Payments(Bank({"id": "c-3"})).take({"order": "o-1", "amount_cents": 5}) == {"id": "c-3", "order": "o-1"}


def test_without_the_bank_there_is_no_payment():
    with pytest.raises(web.HttpError) as caught:
        Payments(Bank(BankUnavailable("away"))).take({"order": "o-1", "amount_cents": 5})
    assert caught.value.status == 503
