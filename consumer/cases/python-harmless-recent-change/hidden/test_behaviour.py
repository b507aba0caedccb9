"""Failing lookups must not use the pool up; what the latest commit brought must stay."""

import time

from profile_service import api, metrics
from profile_service.wire import StoreError

# The session store grants 64 connections to six instances.
FAIR_SHARE = 11


class Store:
    """Counts connections that are open; `trouble` is what a lookup meets."""

    def __init__(self, trouble=None):
        self.trouble, self.open, self.most_open, self.in_use = trouble, 0, 0, 0

    def connect(self):
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        return Connection(self)


class Connection:
    def __init__(self, store):
        self.store = store

    def get(self, key):
        if self.store.trouble:
            raise self.store.trouble
        return b'{"customer": "c7", "since": "2026-01-01"}' if key == "session:t1" else None

    def delete(self, key):
        pass

    def close(self):
        self.store.open -= 1


def after_trouble(trouble, failing=300):
    store = Store(trouble)
    service = api.create(store.connect)
    give_up = time.monotonic() + 2
    for _ in range(failing):
        assert service.handle("GET", "/sessions/t1")[0] >= 500
        assert time.monotonic() < give_up, "failing lookups wait for connections that never come back"
    store.trouble = None
    return store, [service.handle("GET", "/sessions/t1") for _ in range(20)]


def test_lookups_work_again_after_the_store_failed():
    store, answers = after_trouble(StoreError("-LOADING"))
    assert answers == [(200, {"customer": "c7", "since": "2026-01-01"})] * 20
    assert store.open <= FAIR_SHARE


def test_lookups_work_again_after_time_outs():
    store, answers = after_trouble(TimeoutError("timed out"))
    assert {status for status, _ in answers} == {200}
    assert store.most_open <= FAIR_SHARE


def test_a_lookup_is_measured_as_the_dashboards_expect():
    service = api.create(Store().connect)
    metrics.points.clear()
    service.handle("GET", "/sessions/t1")
    service.handle("GET", "/sessions/t2")
    outcomes = [tags.get("outcome") for name, _, tags in metrics.points if name == "profile.session_lookup"]
    assert outcomes == ["hit", "miss"]
