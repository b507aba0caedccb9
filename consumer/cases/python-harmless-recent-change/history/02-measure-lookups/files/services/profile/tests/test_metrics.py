from profile_fakes import Store
from profile_service import api, metrics


def test_a_lookup_is_measured():
    metrics.points.clear()
    api.create(Store({}).connect).handle("GET", "/sessions/t1")
    assert [name for name, _, _ in metrics.points] == ["lookup_ms", "profile.requests"]
