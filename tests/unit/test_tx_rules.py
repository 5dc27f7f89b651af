"""The pure rules of transactions: fees, and which nonce is next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ogpu.tx.fees import (
    BASE_FEE_HEADROOM,
    Fees,
    capped,
    gas_limit,
    raise_by_rule,
    replacement,
    replacement_under,
    suggest,
)
from ogpu.tx.state import Call, next_nonce

GWEI = 10**9


def test_fees_leave_room_for_a_rising_base_fee() -> None:
    assert suggest(7 * GWEI, 2 * GWEI, 99) == Fees(16 * GWEI, 2 * GWEI)
    assert suggest(None, 2 * GWEI, 99) == Fees(99, None)
    assert Fees(99, None).fields() == {"gasPrice": 99}


fee = st.integers(min_value=0, max_value=10**15)


@given(fee, fee, fee, fee)
def test_a_replacement_is_a_tenth_over_both_old_fees_and_meets_the_present(
    old_max: int, old_tip: int, now_max: int, now_tip: int
) -> None:
    new = replacement(Fees(old_max, old_tip), Fees(now_max, now_tip))
    assert new.priority_fee is not None
    assert 10 * new.max_fee >= 11 * old_max
    assert 10 * new.priority_fee >= 11 * old_tip
    assert (new.max_fee > old_max, new.priority_fee > old_tip) == (True, True)
    assert new.max_fee >= max(now_max, new.priority_fee)
    assert new.priority_fee >= now_tip


def test_a_legacy_replacement_stays_legacy() -> None:
    assert replacement(Fees(100, None), Fees(50, None)) == Fees(110, None)


fees = st.builds(lambda most, tip: Fees(most, min(most, tip)), fee, fee)
legacy = st.builds(Fees, fee, st.none())


@given(fee, fee, fee, st.none() | fee, st.none() | fee)
def test_what_is_offered_is_what_was_wished_and_never_a_tip_over_the_whole(
    base: int, tip: int, price: int, wanted_max: int | None, wanted_tip: int | None
) -> None:
    """Nodes refuse a priority fee over the max fee."""
    offer = suggest(base, tip, price, wanted_max=wanted_max, wanted_priority=wanted_tip)
    assert offer.priority_fee is not None
    assert offer.priority_fee <= offer.max_fee
    if wanted_max is not None:
        assert offer.max_fee == wanted_max
        assert offer.priority_fee in (wanted_max, tip if wanted_tip is None else wanted_tip)
    else:
        assert offer.priority_fee == (tip if wanted_tip is None else wanted_tip)
        assert offer.max_fee == BASE_FEE_HEADROOM * base + offer.priority_fee
    assert suggest(None, tip, price, wanted_max=wanted_max) == Fees(
        price if wanted_max is None else wanted_max, None
    )


def test_the_headroom_outlasts_five_full_blocks_in_a_row() -> None:
    base = 10**12
    for _ in range(5):
        base += base // 8  # EIP-1559: the most that a block raises it
    assert base <= BASE_FEE_HEADROOM * 10**12 < base + base // 8


@given(st.one_of(fees, legacy), st.none() | fee)
def test_a_cap_is_never_passed_and_changes_nothing_under_it(offer: Fees, cap: int | None) -> None:
    under = capped(offer, cap)
    if cap is None or offer.max_fee <= cap:
        assert under == offer
    else:
        assert under.max_fee == cap
        assert (under.priority_fee is None) == (offer.priority_fee is None)
        assert under.priority_fee is None or under.priority_fee <= min(cap, offer.priority_fee or 0)


@given(st.one_of(st.tuples(fees, fees), st.tuples(legacy, legacy)), st.none() | fee)
def test_a_replacement_under_a_cap_is_one_that_nodes_take_or_none(
    pair: tuple[Fees, Fees], cap: int | None
) -> None:
    old, current = pair
    offer = replacement_under(old, current, cap)
    least = (raise_by_rule(old.max_fee), raise_by_rule(old.priority_fee or 0))
    if offer is None:
        assert cap is not None
        assert cap < max(least) or cap < least[0]
        return
    assert cap is None or offer.max_fee <= cap
    assert offer.max_fee >= least[0]
    assert old.priority_fee is None or (offer.priority_fee or 0) >= least[1]
    assert (offer.priority_fee or 0) <= offer.max_fee


@given(fee)
def test_raises_by_the_rule_go_on_for_ever_also_from_nothing(old: int) -> None:
    assert raise_by_rule(old) > old
    assert 10 * raise_by_rule(old) >= 11 * old


@given(st.integers(21_000, 10**9), st.integers(30_000, 10**9))
def test_the_gas_limit_has_headroom_and_fits_the_block(estimate: int, block: int) -> None:
    allowed = gas_limit(estimate, block)
    assert allowed <= block
    assert allowed >= min(estimate, block)


@pytest.mark.parametrize(
    ("pending", "cached", "unresolved", "expected"),
    [
        (5, None, [], 5),
        (5, 3, [], 5),  # others sent meanwhile
        (5, 5, [], 5),
        (5, 7, [5, 6], 7),  # ours are on their way, and this node has not seen them
        (5, 7, [6], 7),
        (5, 7, [], None),  # a lagging node, or a chain started anew: ask again
        (5, 7, [4], None),
        (0, None, [], 0),
        (5, None, [7], 8),  # ours, which this node has not seen, and nothing is remembered
        (5, 5, [5], 6),
        (5, 7, [5, 6, 9], 7),  # what is remembered was given, and what is over it was given back
    ],
)
def test_which_nonce_is_next(
    pending: int, cached: int | None, unresolved: list[int], expected: int | None
) -> None:
    assert next_nonce(pending, cached, unresolved) == expected


nonces = st.integers(0, 50)


@given(nonces, st.none() | nonces, st.lists(nonces, max_size=5))
def test_the_next_nonce_is_none_that_is_used_and_none_of_ours_that_is_open(
    pending: int, remembered: int | None, unresolved: list[int]
) -> None:
    """Unless one of ours is over what is remembered, which the journal does not let happen."""
    found = next_nonce(pending, remembered, unresolved)
    if found is None:
        assert remembered is not None
        assert remembered > pending
        return
    assert found >= pending
    assert remembered is None or found >= remembered
    if remembered is None or max(unresolved, default=-1) < remembered:
        assert found not in unresolved


@given(nonces, st.sets(nonces, max_size=6))
def test_nonces_are_given_without_a_gap_while_none_is_lost(first: int, mined: set[int]) -> None:
    """Each call follows the last one, however far the node's count lags behind."""
    given_out: list[int] = []
    remembered: int | None = None
    for lag in [*mined, 0]:
        pending = first + max(0, len(given_out) - lag)
        found = next_nonce(pending, remembered, given_out)
        assert found is not None
        assert found == first + len(given_out)
        given_out.append(found)
        remembered = found + 1


def test_calls_are_the_same_by_content_or_by_what_their_caller_says() -> None:
    same = [Call("a", "0x1", "0xaa"), Call("b", "0x1", "0xaa")]
    other = [
        Call("a", "0x1", "0xab"),
        Call("a", "0x2", "0xaa"),
        Call("a", "0x1", "0xaa", value=1),
        Call("a", "0x1", "0xaa", identity="x"),
    ]
    assert len({call.content("1337:0x0", "0x9") for call in same}) == 1
    assert len({call.content("1337:0x0", "0x9") for call in same + other}) == 5
    assert same[0].content("1337:0x0", "0x9") != same[0].content("1337:0x1", "0x9")
    assert same[0].content("1337:0x0", "0x9") != same[0].content("1337:0x0", "0x8")
    tried_again = [
        Call("a", "0x1", data, identity="x").content("1337:0x0", "0x9") for data in ("0xaa", "0xab")
    ]
    assert tried_again[0] == tried_again[1]
