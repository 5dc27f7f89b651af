"""How long a follower waits out what goes wrong; the time is passed in."""

from __future__ import annotations

import logging

import pytest

from ogpu.errors import (
    ChainInconsistent,
    FinalityBroken,
    NetworkError,
    NodeBehind,
    RPCAnswerTooLarge,
    RPCFailed,
    RPCRateLimited,
    RPCUnreachable,
    WrongChain,
)
from ogpu.rpc.patience import LONGEST_PAUSE, LONGEST_RETRY_AFTER, REMINDER, Patience


def waits(patience: Patience, error: NetworkError, most: int = 1000) -> tuple[int, float]:
    """How often it waits after the same error, and for how many seconds in all, until it is raised."""
    now = 0.0
    for times in range(most):
        try:
            now += patience.pause_after(error, now)
        except type(error):
            return times, now
    return most, now


@pytest.mark.parametrize("error", [RPCUnreachable("Away."), NodeBehind("Behind.")])
def test_a_network_that_is_away_is_waited_for_for_ever_or_as_long_as_was_said(error: NetworkError) -> None:
    assert waits(Patience(), error)[0] == 1000
    times, seconds = waits(Patience(30), error)
    assert times < 1000
    assert 30 <= seconds <= 30 + LONGEST_PAUSE


@pytest.mark.parametrize(
    ("error", "times"),
    [
        (ChainInconsistent("Odd."), 7),
        (FinalityBroken("Changed."), 2),
        (RPCFailed("No.", code=-32000), 4),
        (RPCFailed("No such method.", code=-32601), 0),
        (RPCAnswerTooLarge("Much."), 0),
        (WrongChain("Another."), 0),
    ],
)
def test_what_no_waiting_helps_is_tried_a_few_times(error: NetworkError, times: int) -> None:
    assert waits(Patience(), error)[0] == times
    assert waits(Patience(1000), error)[0] == times


def test_a_network_that_is_away_does_not_use_up_the_tries() -> None:
    patience, odd = Patience(), FinalityBroken("Changed.")
    patience.pause_after(odd, 0)
    assert waits(patience, RPCUnreachable("Away."), 50)[0] == 50
    patience.pause_after(odd, 100)
    with pytest.raises(FinalityBroken):
        patience.pause_after(odd, 101)


def test_what_goes_on_has_all_its_tries_again() -> None:
    patience, odd = Patience(5), ChainInconsistent("Odd.")
    for now in range(0, 100, 2):
        patience.pause_after(odd, now)
        patience.calm(now + 1)
    patience.pause_after(RPCUnreachable("Away."), 100)
    assert patience.pause_after(RPCUnreachable("Away."), 104.9) > 0
    with pytest.raises(RPCUnreachable):
        patience.pause_after(RPCUnreachable("Away."), 105)


def test_a_node_s_wish_is_followed_within_bounds() -> None:
    for wish, pause in ((None, 0.1), (7.0, 7.0), (1e9, LONGEST_RETRY_AFTER)):
        error = RPCRateLimited("Slower.", facts={"retry_after": wish})
        assert Patience().pause_after(error, 0) == pause


def test_a_long_trouble_is_warned_of_now_and_then_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    patience, now = Patience(), 0.0
    while now < 10 * REMINDER:
        now += patience.pause_after(RPCUnreachable("Away."), now)
    assert 9 <= len(caplog.records) <= 11
    patience.calm(now)
    assert "going on" in caplog.records[-1].message
