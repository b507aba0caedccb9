import json

import pytest

from fxrates import api, env


class Provider:
    """Gives the answers in turn, the last one for ever."""

    def __init__(self, *answers):
        self.answers, self.urls = list(answers), []

    def __call__(self, url, timeout_s):
        self.urls.append(url)
        status, document = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return status, json.dumps(document).encode()


class Clock:
    def __init__(self):
        self.at, self.pauses = 0.0, []

    def now(self):
        return self.at

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.at += seconds


@pytest.fixture
def clock():
    return Clock()


def service(provider, clock):
    return api.create(provider, clock.sleep, clock.now)


def test_gives_a_rate(clock):
    provider = Provider((200, {"rate": 1.08}))
    assert service(provider, clock).handle("GET", "/rates/EUR/USD") == (
        200,
        {"base": "EUR", "target": "USD", "rate": 1.08},
    )
    assert provider.urls == ["https://fx.provider.example/v2/latest/EUR/USD"]


def test_keeps_a_rate_for_a_minute(clock):
    provider = Provider((200, {"rate": 1.08}))
    rates = service(provider, clock)
    for _ in range(5):
        rates.handle("GET", "/rates/EUR/USD")
    assert len(provider.urls) == 1
    clock.at += 61
    rates.handle("GET", "/rates/EUR/USD")
    assert len(provider.urls) == 2


@pytest.mark.parametrize("busy", [429, 503])
def test_a_busy_provider_is_asked_again_after_a_pause(clock, busy):
    provider = Provider((busy, {}), (200, {"rate": 2.0}))
    assert service(provider, clock).handle("GET", "/rates/EUR/USD")[0] == 200
    assert len(clock.pauses) == 1
    assert 0.025 <= clock.pauses[0] <= 0.05


@pytest.mark.parametrize(
    ("answer", "status"),
    [((404, {}), 404), ((500, {}), 503), ((200, {}), 503), ((200, {"rate": 0}), 503)],
)
def test_other_answers_are_final(clock, answer, status):
    provider = Provider(answer)
    assert service(provider, clock).handle("GET", "/rates/EUR/XXX")[0] == status
    assert len(provider.urls) == 1


def test_other_routes(clock):
    rates = service(Provider((200, {"rate": 1})), clock)
    assert rates.handle("GET", "/rates/eur/usd")[0] == 404
    assert rates.handle("POST", "/rates/EUR/USD")[0] == 405
    assert rates.handle("GET", "/healthz") == (200, {"status": "up", "pairs": 0})


def test_the_environment_wins(monkeypatch):
    monkeypatch.setenv("RATES_KEEP_S", "5")
    assert env.read()["RATES_KEEP_S"] == "5"
