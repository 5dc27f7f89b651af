"""What a transaction on its way is after what was heard and seen of it, and what its caller is told."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, ParamSpec

import pytest

from ogpu.errors import (
    ContractReverted,
    FeeTooLow,
    ForeignNonce,
    InsufficientFunds,
    NonceConflict,
    TransactionDropped,
    TransactionError,
    TransactionUndetermined,
)
from ogpu.rpc.reverts import Revert
from ogpu.tx.fees import Fees
from ogpu.tx.flight import (
    CALM_RESEND,
    FIRST_RESEND,
    LAST_RESEND,
    Flight,
    block_of,
    receipt_outcome,
    recovered,
    refused,
    result_of,
    spent,
    undetermined,
)
from ogpu.tx.journal import Attempt, Intent, Kind, Outcome, State
from ogpu.tx.replies import Reply
from ogpu.tx.state import Receipt, SendOptions

P = ParamSpec("P")

SENDER = "0x" + "A1" * 20


def on_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """An asynchronous test."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


def attempt(number: int, nonce: int = 7, kind: Kind = Kind.CALL, max_fee: int = 100) -> Attempt:
    """A signed transaction; the number makes its hash."""
    return Attempt(kind, nonce, f"0x{number:064x}", Fees(max_fee, 1), 90_000, b"raw", 1, 0.0)


def intent(*attempts: Attempt, named: bool = False, nonce: int = 7) -> Intent:
    """An intent of 1,000 wei of value and 50 of payment."""
    return Intent(
        key="k",
        named=named,
        chain="1:0x",
        sender=SENDER,
        content="c",
        label="Nexus.call",
        to="0x",
        data="0x",
        value=1_000,
        payment=50,
        expires=None,
        owner="me",
        nonce=nonce,
        attempts=attempts or (attempt(1),),
    )


def flight_of(*attempts: Attempt, now: float = 100.0) -> Flight:
    return Flight(intent(*attempts), SendOptions(), now)


def receipt(number: int = 1, *, succeeded: bool = True) -> Receipt:
    return Receipt(f"0x{number:064x}", 12, "0xb10c", succeeded, 60_000, 3, (), 1_700_000_000)


def settled(
    kind: Kind = Kind.CALL, *, succeeded: bool = True, reason: str = "", final: bool = False
) -> Intent:
    """The intent after a receipt of its only attempt."""
    before = intent(attempt(1, kind=kind))
    seen = receipt_outcome(
        before, before.attempts[0], receipt(succeeded=succeeded), Revert(reason), final=final, owner=None
    )
    return replace(before, state=seen.state, final=seen.final, outcome=seen.outcome)


# --- when it is sent again


@on_a_loop
async def test_nothing_is_sent_again_before_the_first_send_was_answered() -> None:
    assert flight_of().resend_at == math.inf


@on_a_loop
async def test_what_no_node_has_is_sent_again_soon_and_then_more_slowly() -> None:
    flight, pauses = flight_of(), []
    for _ in range(8):
        flight.heard(Reply.UNDETERMINED, "timeout", 100.0)
        pauses.append(flight.resend_at - 100.0)
    assert pauses == pytest.approx([0.3, 0.6, 1.2, 2.4, 4.8, 8.0, 8.0, 8.0])
    assert (FIRST_RESEND, LAST_RESEND) == (0.3, 8.0)


@on_a_loop
async def test_what_a_node_has_is_sent_again_all_the_same_since_nodes_lose_things() -> None:
    flight = flight_of()
    flight.heard(Reply.ACCEPTED, "0x1", 100.0)
    assert flight.resend_at == 100.0 + CALM_RESEND


@pytest.mark.parametrize(
    ("reply", "offered"),
    [
        (Reply.ACCEPTED, True),
        (Reply.UNDETERMINED, True),
        (Reply.NONCE_TOO_LOW, True),
        (Reply.NONCE_OCCUPIED, False),
        (Reply.UNDERPRICED, False),
        (Reply.INSUFFICIENT_FUNDS, False),
        (Reply.REFUSED, False),
    ],
)
def test_only_a_plain_refusal_proves_that_no_node_has_it(reply: Reply, offered: bool) -> None:
    @on_a_loop
    async def check() -> None:
        flight = flight_of()
        flight.heard(reply, "words", 100.0)
        assert flight.offered is offered
        assert flight.node_said == ("" if reply is Reply.ACCEPTED else "words")
        flight.heard(Reply.REFUSED, "never", 101.0)
        assert flight.offered is offered  # what was placed before stays where it is

    check()


@on_a_loop
async def test_what_was_recovered_may_be_anywhere_and_is_sent_at_once() -> None:
    flight = recovered(intent(), 100.0)
    assert (flight.offered, flight.resend_at, flight.settled.done()) == (True, 100.0, False)
    over = recovered(settled(), 100.0)
    assert over.settled.done()
    assert not over.pending


# --- attempts


@on_a_loop
async def test_only_attempts_at_the_present_nonce_are_sent() -> None:
    """One at an earlier nonce could be mined beside it after a reorganisation."""
    flight = flight_of(attempt(1, nonce=6), attempt(2), attempt(3))
    assert [each.hash for each in flight.sendable] == [attempt(2).hash, attempt(3).hash]


@on_a_loop
async def test_once_it_is_cancelled_the_call_is_not_sent_any_more() -> None:
    flight = flight_of(attempt(1), attempt(2, kind=Kind.CANCEL), attempt(3, kind=Kind.CANCEL))
    assert [each.hash for each in flight.sendable] == [attempt(2).hash, attempt(3).hash]
    assert len(flight.attempts) == 3


@on_a_loop
async def test_a_replacement_must_outbid_the_highest_at_the_present_nonce() -> None:
    flight = flight_of(attempt(1, nonce=6, max_fee=900), attempt(2, max_fee=300), attempt(3, max_fee=200))
    assert flight.fees.max_fee == 300


@on_a_loop
async def test_a_further_attempt_at_the_same_nonce_does_not_undo_what_is_known() -> None:
    """It was mined while the replacement was signed."""
    flight = flight_of()
    flight.learn(Outcome("k", State.DONE, True, {"receipt": receipt().record()}))
    flight.add(attempt(2), 110.0)
    assert (flight.intent.state, flight.intent.final) == (State.DONE, True)
    assert block_of(flight.intent) == (12, "0xb10c")
    assert len(flight.attempts) == 2
    assert flight.settled.done()


@on_a_loop
async def test_a_further_attempt_is_young_and_waits_for_its_own_answer() -> None:
    flight = flight_of()
    flight.heard(Reply.UNDETERMINED, "", 101.0)
    flight.heard(Reply.UNDETERMINED, "", 102.0)
    flight.add(attempt(2), 110.0)
    assert (flight.moved_at, flight.resend_at, flight.pending) == (110.0, math.inf, True)
    flight.heard(Reply.UNDETERMINED, "", 110.0)
    assert flight.resend_at == 110.0 + FIRST_RESEND


@on_a_loop
async def test_an_attempt_at_another_nonce_begins_anew() -> None:
    flight = flight_of()
    flight.learn(Outcome("k", State.FOREIGN, False, {"foreign": {"hash": "0xf"}}))
    flight.add(attempt(2, nonce=9), 110.0)
    assert (flight.intent.nonce, flight.intent.state, flight.intent.outcome) == (9, State.PENDING, None)
    assert [each.nonce for each in flight.attempts] == [9]
    assert len(flight.intent.attempts) == 2
    assert not flight.settled.done()


# --- what the chain has told


@pytest.mark.parametrize("state", [state for state in State if state is not State.PENDING])
def test_whoever_waits_is_told_of_every_end(state: State) -> None:
    @on_a_loop
    async def check() -> None:
        flight = flight_of()
        waiting = asyncio.create_task(flight.until_settled())
        await asyncio.sleep(0)
        assert not waiting.done()
        flight.learn(Outcome("k", state, False, {}))
        await asyncio.wait_for(waiting, 30)

    check()


@on_a_loop
async def test_what_a_reorganisation_takes_back_is_waited_for_again() -> None:
    """Also by who had not been told yet when it was taken back."""
    flight = flight_of()
    early = asyncio.create_task(flight.until_settled())
    await asyncio.sleep(0)
    flight.learn(Outcome("k", State.DONE, False, {"receipt": receipt().record()}))
    flight.learn(Outcome("k", State.PENDING, False, None))
    late = asyncio.create_task(flight.until_settled())
    for _ in range(5):
        await asyncio.sleep(0)
    assert (early.done(), late.done(), flight.intent.outcome) == (False, False, None)
    flight.learn(Outcome("k", State.DONE, False, {"receipt": receipt(2).record()}))
    await asyncio.wait_for(asyncio.gather(early, late), 30)
    assert result_of(flight.intent).hash == receipt(2).hash


@on_a_loop
async def test_a_waiter_that_is_cancelled_leaves_the_others_waiting() -> None:
    flight = flight_of()
    first, second = (asyncio.create_task(flight.until_settled()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    flight.learn(Outcome("k", State.DONE, False, {"receipt": receipt().record()}))
    await asyncio.wait_for(second, 30)
    assert first.cancelled()


@pytest.mark.parametrize(
    ("kind", "succeeded", "state"),
    [
        (Kind.CALL, True, State.DONE),
        (Kind.CALL, False, State.REVERTED),
        (Kind.CANCEL, True, State.CANCELED),
        (Kind.CANCEL, False, State.CANCELED),
    ],
)
def test_what_a_receipt_means(kind: Kind, succeeded: bool, state: State) -> None:
    found = settled(kind, succeeded=succeeded, reason="no")
    assert found.state is state
    assert (found.outcome or {}).get("reason") == ("no" if state is State.REVERTED else None)
    assert settled(final=True).final
    assert block_of(found) == (12, "0xb10c")


def test_the_block_of_what_is_in_none() -> None:
    assert block_of(intent()) is None
    theirs = {"foreign": {"hash": "0xf", "block_number": 5, "block_hash": "0x5"}}
    assert block_of(replace(intent(), state=State.FOREIGN, outcome=theirs)) == (5, "0x5")


@pytest.mark.parametrize(
    ("found", "wei"),
    [
        (settled(), 60_000 * 3 + 1_000 + 50),
        (settled(succeeded=False), 60_000 * 3),
        (settled(Kind.CANCEL), 60_000 * 3),
        (replace(intent(), state=State.FOREIGN, outcome={"foreign": {"hash": "0xf"}}), 0),
        (replace(intent(), state=State.REFUSED, outcome={"reply": "REFUSED", "said": ""}), 0),
        (intent(), 0),
    ],
)
def test_what_was_spent_is_gas_and_what_was_paid_for_a_success(found: Intent, wei: int) -> None:
    assert spent(found) == wei


# --- what it means to the caller


def test_a_receipt_outlives_its_journal() -> None:
    assert result_of(settled()) == receipt()


def error_of(found: Intent) -> TransactionError:
    with pytest.raises(TransactionError) as caught:
        result_of(found)
    return caught.value


def test_a_revert_tells_its_reason_and_where_it_is() -> None:
    error = error_of(settled(succeeded=False, reason="Task: expired"))
    assert isinstance(error, ContractReverted)
    assert (error.reason, error.message.endswith("reverted: Task: expired.")) == ("Task: expired", True)
    assert (error.facts["hash"], error.facts["block"]) == (receipt().hash, 12)
    assert error_of(settled(succeeded=False)).message.endswith("was mined and reverted.")


def test_a_cancelled_call_names_the_transfer_that_was_mined_and_not_the_last_one() -> None:
    before = intent(attempt(1), attempt(2, kind=Kind.CANCEL), attempt(3, kind=Kind.CANCEL))
    seen = receipt_outcome(before, before.attempts[1], receipt(2), Revert(), final=False, owner=None)
    error = error_of(replace(before, state=seen.state, outcome=seen.outcome))
    assert isinstance(error, TransactionDropped)
    assert error.facts["hash"] == attempt(2).hash


@pytest.mark.parametrize(("named", "hint"), [(True, "with another idempotency_key."), (False, "call again.")])
def test_a_cancelled_call_says_how_to_make_it_after_all(named: bool, hint: str) -> None:
    assert error_of(replace(settled(Kind.CANCEL), named=named)).hint.endswith(hint)


def test_a_foreign_nonce_names_the_other_transaction() -> None:
    theirs = {"foreign": {"hash": "0xf0", "block_number": 5, "block_hash": "0x5"}}
    error = error_of(replace(intent(), state=State.FOREIGN, outcome=theirs))
    assert isinstance(error, ForeignNonce)
    assert (error.facts["hash"], error.facts["nonce"]) == ("0xf0", 7)
    assert "0xf0" in error.message


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply.INSUFFICIENT_FUNDS, InsufficientFunds),
        (Reply.NONCE_OCCUPIED, NonceConflict),
        (Reply.UNDERPRICED, FeeTooLow),
        (Reply.REFUSED, TransactionError),
    ],
)
def test_a_refusal_is_the_same_error_when_it_is_read_from_the_journal(
    reply: Reply, kind: type[TransactionError]
) -> None:
    told = refused(intent(), reply, "the node's words")
    record = {"reply": reply.name, "said": "the node's words"}
    read = error_of(replace(intent(), state=State.REFUSED, outcome=record))
    assert type(told) is type(read) is kind
    assert (str(told), told.facts) == (str(read), read.facts)


@pytest.mark.parametrize(
    ("named", "hint"), [(True, "its idempotency_key is the same."), (False, "the next.")]
)
def test_an_open_fate_says_what_is_known_and_what_to_do(named: bool, hint: str) -> None:
    error = undetermined(intent(attempt(1), attempt(2), named=named), "pool is full", 1.5)
    assert isinstance(error, TransactionUndetermined)
    assert error.facts == {"key": "k", "hash": attempt(2).hash, "nonce": 7, "address": SENDER}
    assert "after 1.5 s" in error.message
    assert "The node said: pool is full." in error.message
    assert error.hint.endswith(hint)
