import pytest

from services.payments.pool import Exhausted, Pool


def test_a_pool_gives_out_no_more_than_it_has_and_takes_back():
    pool = Pool(2)
    with pool.connection():
        with pool.connection():
            with pytest.raises(Exhausted), pool.connection():
                pass
        with pool.connection():
            pass


def test_a_connection_comes_back_from_a_failure():
    pool = Pool(1)
    for _ in range(3):
        with pytest.raises(TimeoutError), pool.connection():
            raise TimeoutError
