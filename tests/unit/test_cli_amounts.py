"""Amounts and durations as people write them: exact, and refused where they may mean something else."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ogpu.cli.amounts import about, amount_of, decimal, duration_of, exact_period, period
from ogpu.errors import InvalidInput

AMOUNTS = {
    "0.01ogpu": 10**16,
    "0.01 OGPU": 10**16,
    " 1ogpu ": 10**18,
    "1_000.5ogpu": 1000 * 10**18 + 5 * 10**17,
    "0.000000000000000001ogpu": 1,
    "0.100000000000000000000000ogpu": 10**17,
    "5gwei": 5 * 10**9,
    "0.5Gwei": 5 * 10**8,
    "100wei": 100,
    "100": 100,
    "0": 0,
    "10000000000000000": 10**16,
    "1.0wei": 1,
    "123456789.123456789123456789ogpu": 123456789123456789123456789,
    f"{2**256 - 1}": 2**256 - 1,
}
NO_AMOUNTS = {
    "0.01": "has no unit",
    "1.0": "has no unit",
    "1,5ogpu": "is not an amount",
    "-1ogpu": "is not an amount",
    "+1ogpu": "is not an amount",
    ".5ogpu": "is not an amount",
    "1e18": "is not an amount",
    "1e999999999ogpu": "is not an amount",
    "0x10": "is not an amount",
    "": "is not an amount",
    "ogpu": "is not an amount",
    "1 000ogpu": "is not an amount",
    "١ogpu": "is not an amount",
    "nan": "is not an amount",
    "inf": "is not an amount",
    "1ether": "has a unit that is none",
    "1ogpus": "has a unit that is none",
    "0.5wei": "is finer than a wei",
    "0.0000000000000000001ogpu": "is finer than a wei",
    "0.0000000001gwei": "is finer than a wei",
    f"{2**256}": "is more than a contract can hold",
    f"{10**60}ogpu": "is more than a contract can hold",
    "9" * 10_000: "is not an amount",
}


@pytest.mark.parametrize("text", AMOUNTS)
def test_an_amount_is_exact(text: str) -> None:
    assert amount_of(text, "--payment") == AMOUNTS[text]


@pytest.mark.parametrize("text", NO_AMOUNTS)
def test_what_is_ambiguous_or_no_amount_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=NO_AMOUNTS[text]) as caught:
        amount_of(text, "--payment")
    assert caught.value.message.startswith("--payment: ")
    assert caught.value.hint
    assert len(str(caught.value)) < 400


@given(st.integers(0, 2**256 - 1), st.sampled_from([("ogpu", 18), ("gwei", 9), ("wei", 0), ("", 0)]))
def test_what_is_written_is_read_again_to_the_last_wei(wei: int, unit: tuple[str, int]) -> None:
    name, places = unit
    assert amount_of(decimal(wei, places) + name, "") == wei


@given(st.integers(0, 10**30))
def test_the_sum_that_is_shown_is_never_too_low(wei: int) -> None:
    shown = Decimal(about(wei, 18)) * 10**18
    assert wei <= shown <= wei + wei // 1000 + 1
    assert len(about(wei, 18).replace(".", "").strip("0")) <= 6


DURATIONS = {"90s": 90, "15m": 900, "2h": 7200, "3d": 259_200, "1w": 604_800, "1h30m": 5400, "90": 90}
DURATIONS |= {"0": 0, "1.5h": 5400, "1d12h30m5s": 131_405}
NO_DURATIONS = ("", "h", "1y", "-1h", "1h1h", "30m1h", "1.5", "0.1s", "1e3", "1 h", "١h", "9" * 1000, "1h30")


@pytest.mark.parametrize("text", DURATIONS)
def test_a_duration_is_exact(text: str) -> None:
    assert duration_of(text, "--expires") == DURATIONS[text]


@pytest.mark.parametrize("text", NO_DURATIONS)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="--expires: "):
        duration_of(text, "--expires")


@given(st.integers(0, 10**9))
def test_a_duration_that_is_shown_is_read_again(seconds: int) -> None:
    assert duration_of(exact_period(seconds), "") == seconds


def test_about_how_long() -> None:
    shown = [period(seconds) for seconds in (-5, 0, 59.9, 60, 3_700, 200_000, 10**7)]
    assert shown == ["0s", "0s", "59s", "1m", "1h", "2d", "16w"]
