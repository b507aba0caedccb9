import pytest

from services.payments.bank_adapter import BankAdapter, BankUnavailable
from services.payments.tests.fake_bank import fake_bank


def adapter(url, **changed):
    config = {"timeout_ms": 5000, "pool_size": 4, "max_retries": 1, "retry_budget": 1.0}
    waits = {"backoff_base_ms": 1, "backoff_cap_ms": 4}
    return BankAdapter(url, config | waits | changed)


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
        with pytest.raises(BankUnavailable, match="after 2 attempts"):
            adapter(url).charge("o-1", 100)
        assert len(bank.charges) == 2


def test_an_empty_budget_allows_no_retry():
    with fake_bank(hangs_up=10) as (bank, url):
        with pytest.raises(BankUnavailable, match="after 1 attempts"):
            adapter(url, retry_budget=0.1).charge("o-1", 100)
        assert len(bank.charges) == 1


def test_the_wait_doubles_up_to_its_cap_and_is_never_the_same():
    bank = adapter("http://unused", backoff_base_ms=100, backoff_cap_ms=400)
    for attempt, ceiling in enumerate([0.1, 0.2, 0.4, 0.4]):
        waits = [bank.backoff_s(attempt) for _ in range(50)]
        assert len(set(waits)) > 40
        assert 0 <= min(waits) and ceiling / 2 < max(waits) <= ceiling
