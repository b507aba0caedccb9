from services.payments.retry_budget import RetryBudget


def test_ten_requests_earn_one_retry():
    budget = RetryBudget(0.1)
    spent = []
    for _ in range(30):
        budget.earn()
        spent.append(budget.spend())
    assert 2 <= sum(spent) <= 3


def test_no_more_than_the_most_is_saved():
    budget = RetryBudget(0.5, most=2.0)
    for _ in range(100):
        budget.earn()
    assert [budget.spend() for _ in range(3)] == [True, True, False]


def test_a_ratio_of_nothing_allows_nothing():
    budget = RetryBudget(0)
    budget.earn()
    assert not budget.spend()
