import pytest

from ledger_sync import settings
from ledger_sync.core_client import CoreClient, CoreRejected, CoreUnavailable

ENTRY = {"id": "e1", "amount": 100}


class Core:
    """Answers with the given statuses, the last one for ever."""

    def __init__(self, *statuses):
        self.statuses = list(statuses)
        self.urls = []

    def __call__(self, url, body, timeout_s):
        self.urls.append(url)
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]


def client(core, pauses=None):
    return CoreClient(settings.load(), core, (pauses if pauses is not None else []).append)


def test_delivers_at_the_first_try():
    core = Core(201)
    client(core).post("b1", [ENTRY])
    assert core.urls == ["http://bank-core.internal:8080/postings/b1"]


def test_tries_again_while_the_core_fails_over():
    core, pauses = Core(503, 503, 201), []
    client(core, pauses).post("b1", [ENTRY])
    assert len(core.urls) == 3
    assert len(pauses) == 2


def test_gives_up_in_the_end():
    core = Core(503)
    with pytest.raises(CoreUnavailable):
        client(core).post("b1", [ENTRY])
    assert len(core.urls) == settings.load().attempts


def test_a_refused_batch_is_not_sent_again():
    core = Core(422)
    with pytest.raises(CoreRejected):
        client(core).post("b1", [ENTRY])
    assert len(core.urls) == 1
