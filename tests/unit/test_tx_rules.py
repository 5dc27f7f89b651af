"""The pure rules of transactions: fees, and which nonce is next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ogpu.tx.fees import Fees, gas_limit, replacement, suggest
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
    ],
)
def test_which_nonce_is_next(
    pending: int, cached: int | None, unresolved: list[int], expected: int | None
) -> None:
    assert next_nonce(pending, cached, unresolved) == expected


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
