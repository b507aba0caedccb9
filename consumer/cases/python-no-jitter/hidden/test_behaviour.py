"""The moments at which many instances come back must spread, and a failover must still be survived."""

import subprocess
import sys
import time

import pytest

from ledger_sync import settings
from ledger_sync.core_client import CoreClient, CoreUnavailable

INSTANCES = 40


class Down:
    """Answers 503 `failures` times, then 201."""

    def __init__(self, failures=10_000):
        self.failures, self.calls = failures, 0

    def __call__(self, url, body, timeout_s):
        self.calls += 1
        if self.calls > 100:
            raise SystemExit("more than 100 attempts for one batch")
        return 503 if self.calls <= self.failures else 201


def pauses_of(batch_id, core):
    """The pauses of one instance, whichever sleep it takes."""
    seen, real = [], time.sleep
    time.sleep = seen.append
    try:
        CoreClient(settings.load(), core, seen.append).post(batch_id, [{"id": batch_id, "amount": 1}])
    except CoreUnavailable:
        pass
    finally:
        time.sleep = real
    return seen


@pytest.fixture
def fleet():
    return [pauses_of(f"m{i}-e{i}", Down()) for i in range(INSTANCES)]


def test_the_first_retry_of_a_fleet_is_spread(fleet):
    first = sorted(pauses[0] for pauses in fleet)
    mean = sum(first) / len(first)
    assert mean > 0.01, "instances do not wait at all"
    assert len({round(pause, 4) for pause in first}) > INSTANCES / 2, first
    assert first[-1] - first[0] > 0.2 * mean, first


def test_the_last_attempt_of_a_fleet_is_spread(fleet):
    arrivals = sorted(sum(pauses) for pauses in fleet)
    assert len({round(arrival, 4) for arrival in arrivals}) > INSTANCES / 2, arrivals


def test_nobody_waits_longer_than_a_run_allows(fleet):
    assert max(sum(pauses) for pauses in fleet) < 60
    assert all(pause >= 0 for pauses in fleet for pause in pauses)


def test_processes_do_not_share_their_chance():
    """A generator with a fixed seed spreads inside of a process and not over the fleet."""
    code = (
        "import sys; sys.path[:0] = ['.', '.hidden']; import test_behaviour as t;"
        "print(t.pauses_of(sys.argv[1], t.Down()))"
    )
    runs = {
        subprocess.run([sys.executable, "-c", code, f"m{i}-e{i}"], capture_output=True, text=True, check=True).stdout
        for i in range(3)
    }
    assert len(runs) == 3, runs


def test_a_failover_is_still_survived():
    core = Down(failures=1)
    pauses_of("m1-e1", core)
    assert core.calls == 2


def test_attempts_stay_few():
    core = Down()
    pauses_of("m1-e1", core)
    assert 2 <= core.calls <= 8
