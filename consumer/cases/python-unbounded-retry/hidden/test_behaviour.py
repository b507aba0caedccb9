"""While the provider is overloaded, requests must end soon and make few calls; afterwards all is well again."""

import time

import pytest

from fxrates import api

REQUESTS = 20
PAIRS = ["USD", "GBP", "SEK", "PLN", "CZK"]
# The price service waits three seconds (README).
CALLER_WAITS_S = 3.0


class Endless(BaseException):
    """Ends the endless; no `except Exception` may catch it."""


class World:
    """A provider and a clock. An attempt takes as long as it takes; a pause moves the clock."""

    def __init__(self, status, attempt_s):
        self.status, self.attempt_s = status, attempt_s
        self.at, self.calls = 0.0, 0

    def send(self, url, timeout_s):
        self.calls += 1
        if self.calls > 100 * REQUESTS:
            raise Endless
        self.at += min(self.attempt_s, timeout_s)
        return (200, b'{"rate": 1.5}') if self.status == 200 else (self.status, b"")

    def sleep(self, seconds):
        self.at += seconds

    def now(self):
        return self.at


@pytest.fixture
def world(request, monkeypatch):
    world = World(*request.param)
    # A repair may look at any clock; the real one stands still meanwhile.
    monkeypatch.setattr(time, "sleep", world.sleep)
    monkeypatch.setattr(time, "monotonic", world.now)
    return world


def ask(service, number):
    return service.handle("GET", f"/rates/EUR/{PAIRS[number % len(PAIRS)]}")


@pytest.mark.parametrize("world", [(503, 0.01), (429, 0.01), (503, 10.0)], indirect=True)
def test_few_calls_and_an_answer_in_time(world):
    service = api.create(world.send, world.sleep, world.now)
    try:
        for number in range(REQUESTS):
            before = world.at
            status, _ = ask(service, number)
            assert status >= 500
            assert world.at - before <= CALLER_WAITS_S
            world.at += 0.5
    except Endless:
        pytest.fail("a request never ends")
    assert world.calls <= 5 * REQUESTS


@pytest.mark.parametrize("world", [(503, 0.01)], indirect=True)
def test_recovers_with_the_provider(world):
    service = api.create(world.send, world.sleep, world.now)
    try:
        for number in range(REQUESTS):
            ask(service, number)
    except Endless:
        pytest.fail("a request never ends")
    world.status = 200
    world.at += 120
    for number in range(REQUESTS):
        ask(service, number)
        world.at += 5
    assert ask(service, 0) == (200, {"base": "EUR", "target": "USD", "rate": 1.5})
