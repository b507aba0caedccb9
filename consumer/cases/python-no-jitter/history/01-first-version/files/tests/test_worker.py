from ledger_sync.core_client import CoreRejected, CoreUnavailable
from ledger_sync.worker import run_once


class Table:
    def __init__(self, count):
        self.waiting = [{"id": f"e{i}", "amount": i} for i in range(count)]
        self.done, self.aside = [], []

    def oldest(self, limit):
        return self.waiting[:limit]

    def forwarded(self, ids):
        self.done += ids

    def parked(self, ids, reason):
        self.aside += ids


class Client:
    def __init__(self, error=None):
        self.error, self.batches = error, []

    def post(self, batch_id, entries):
        self.batches.append((batch_id, len(entries)))
        if self.error:
            raise self.error


def test_forwards_a_batch():
    table, client = Table(150), Client()
    assert run_once(table, client, "de", 100) == 100
    assert client.batches == [("de-e0", 100)]
    assert len(table.done) == 100


def test_an_empty_outbox_is_no_call():
    client = Client()
    assert run_once(Table(0), client, "de", 100) == 0
    assert client.batches == []


def test_undelivered_entries_stay():
    table = Table(3)
    assert run_once(table, Client(CoreUnavailable("no")), "de", 100) == 0
    assert table.done == [] and table.aside == []


def test_refused_entries_are_parked():
    table = Table(3)
    run_once(table, Client(CoreRejected("no")), "de", 100)
    assert table.aside == ["e0", "e1", "e2"]
