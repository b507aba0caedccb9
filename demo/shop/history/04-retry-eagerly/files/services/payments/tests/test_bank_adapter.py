import pytest

from services.payments.bank_adapter import BankAdapter, BankUnavailable
from services.payments.tests.fake_bank import fake_bank


def adapter(url, **changed):
    config = {"timeout_ms": 5000, "pool_size": 4, "max_retries": 3, "retry_budget": 0, "delay_ms": 1}
    return BankAdapter(url, config | changed)


def test_a_charge_gets_a_receipt():
    with fake_bank() as (bank, url):
        assert adapter(url).charge("o-1", 100) == {"id": "c-1", "order": "o-1"}
        assert bank.charges == [{"order": "o-1", "amount_cents": 100}]


def test_a_charge_without_an_answer_is_sent_again():
    with fake_bank(hangs_up=1) as (bank, url):
        assert adapter(url).charge("o-1", 100)["id"] == "c-1"
        assert len(bank.charges) == 2


def test_it_gives_up_after_the_last_retry():
    with fake_bank(hangs_up=10) as (bank, url):
        with pytest.raises(BankUnavailable, match="after 4 attempts"):
            adapter(url).charge("o-1", 100)
        assert len(bank.charges) == 4


def test_an_empty_budget_allows_no_retry():
    with fake_bank(hangs_up=10) as (bank, url):
        with pytest.raises(BankUnavailable, match="after 1 attempts"):
            adapter(url, retry_budget=0.1).charge("o-1", 100)
        assert len(bank.charges) == 1
