import pytest

from services.payments.app import Payments
from services.payments.bank_adapter import BankUnavailable
from services.payments.pool import Exhausted
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


@pytest.mark.parametrize("failure", [BankUnavailable("away"), Exhausted("all in use")])
def test_without_the_bank_there_is_no_payment(failure):
    with pytest.raises(web.HttpError) as caught:
        Payments(Bank(failure)).take({"order": "o-1", "amount_cents": 5})
    assert caught.value.status == 503
