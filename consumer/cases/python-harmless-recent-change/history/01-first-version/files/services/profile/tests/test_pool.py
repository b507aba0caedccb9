import pytest

from profile_fakes import Store
from profile_service.pool import Pool, PoolExhausted


def test_a_full_pool_says_so():
    pool = Pool(Store({}).connect, 2, 0.0)
    first = pool.take()
    pool.take()
    with pytest.raises(PoolExhausted):
        pool.take()
    pool.put(first)
    assert pool.take() is first


def test_a_failing_block_costs_the_connection_and_not_the_place():
    store = Store({})
    pool = Pool(store.connect, 1, 0.0)
    for _ in range(3):
        with pytest.raises(KeyError):
            with pool.connection():
                raise KeyError
    assert (store.opened, store.closed) == (3, 3)
