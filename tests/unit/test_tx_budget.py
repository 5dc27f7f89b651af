"""A budget is never overrun, whatever is reserved and settled in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ogpu.errors import BudgetExceeded
from ogpu.tx.budget import Budget

LIMIT = 1_000


def left(budget: Budget) -> int:
    """What may still be reserved, found by asking for too much."""
    with pytest.raises(BudgetExceeded) as caught:
        budget.reserve("a key that nobody has", LIMIT + 1)
    return int(caught.value.facts["left"])


def test_what_is_reserved_is_not_there_for_others() -> None:
    budget = Budget(LIMIT)
    budget.reserve("a", 600)
    with pytest.raises(BudgetExceeded, match=r"up to 401 wei; of the 1000 wei .* 400 are left") as caught:
        budget.reserve("b", 401)
    assert caught.value.facts == {"needed": 401, "left": 400, "max_spend": LIMIT}
    budget.reserve("b", 400)
    assert left(budget) == 0


def test_what_was_not_spent_comes_back() -> None:
    budget = Budget(LIMIT)
    budget.reserve("a", 600)
    budget.settle("a", 250)
    assert left(budget) == 750
    budget.settle("a", 250)  # told twice, as after a reorganisation
    assert left(budget) == 750


def test_what_was_never_sent_comes_back_whole() -> None:
    budget = Budget(LIMIT)
    budget.reserve("a", LIMIT)
    budget.settle("a", 0)
    assert left(budget) == LIMIT


def test_a_higher_offer_for_the_same_call_counts_once() -> None:
    budget = Budget(LIMIT)
    budget.reserve("a", 600)
    budget.reserve("a", 660)
    assert left(budget) == 340


def test_a_reservation_that_is_refused_changes_nothing() -> None:
    budget = Budget(LIMIT)
    budget.reserve("a", 600)
    budget.reserve("b", 300)
    with pytest.raises(BudgetExceeded):
        budget.reserve("a", 701)
    assert left(budget) == 100
    budget.settle("a", 600)
    assert left(budget) == 100


def test_what_is_not_reserved_here_is_settled_without_effect() -> None:
    budget = Budget(LIMIT)
    budget.settle("of another client", 500)
    assert left(budget) == LIMIT


def test_nothing_is_left_of_a_budget_of_nothing() -> None:
    budget = Budget(0)
    budget.reserve("free", 0)
    with pytest.raises(BudgetExceeded):
        budget.reserve("a", 1)


@given(st.lists(st.integers(0, 2**256)))
def test_without_a_limit_everything_is_allowed(amounts: list[int]) -> None:
    budget = Budget(None)
    for number, amount in enumerate(amounts):
        budget.reserve(str(number), amount)


class Spending(RuleBasedStateMachine):
    """Calls that are reserved, offered for more, and settled at no more than was reserved."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = Budget(LIMIT)
        self.reserved: dict[str, int] = {}
        self.spent = 0

    @rule(key=st.sampled_from("abcdefgh"), most=st.integers(0, LIMIT))
    def reserve(self, key: str, most: int) -> None:
        others = self.spent + sum(amount for of, amount in self.reserved.items() if of != key)
        if others + most <= LIMIT:
            self.budget.reserve(key, most)
            self.reserved[key] = most
        else:
            with pytest.raises(BudgetExceeded) as caught:
                self.budget.reserve(key, most)
            assert caught.value.facts["left"] == LIMIT - others

    @precondition(lambda self: self.reserved)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.reserved)))
        cost = data.draw(st.integers(0, self.reserved.pop(key)))
        self.budget.settle(key, cost)
        self.spent += cost

    @invariant()
    def adds_up(self) -> None:
        assert left(self.budget) == LIMIT - self.spent - sum(self.reserved.values())
        assert self.spent <= LIMIT


TestSpending = Spending.TestCase
