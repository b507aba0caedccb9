import pytest

from profile_fakes import Store
from profile_service import api


@pytest.fixture
def store():
    return Store({"session:t1": b'{"customer": "c7", "since": "2026-01-01"}'})


def test_says_who_a_session_belongs_to(store):
    assert api.create(store.connect).handle("GET", "/sessions/t1") == (
        200,
        {"customer": "c7", "since": "2026-01-01"},
    )


def test_no_session(store):
    assert api.create(store.connect).handle("GET", "/sessions/t2")[0] == 404
    assert api.create(store.connect).handle("GET", "/other")[0] == 404


def test_log_out(store):
    service = api.create(store.connect)
    assert service.handle("DELETE", "/sessions/t1")[0] == 204
    assert service.handle("GET", "/sessions/t1")[0] == 404


def test_many_requests_use_one_connection(store):
    service = api.create(store.connect)
    for _ in range(100):
        service.handle("GET", "/sessions/t1")
    assert store.opened == 1


def test_a_failing_store_is_a_503(store):
    store.failing = True
    assert api.create(store.connect).handle("GET", "/sessions/t1")[0] == 503
