from payments.bank import backoff


def test_backoff_has_jitter_and_a_cap():
    delays = [backoff(attempt) for attempt in range(8)]
    assert len(delays) == 8
    assert all(0 <= delay <= 5.0 for delay in delays)
