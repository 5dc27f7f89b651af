"""Transactions looked after by name: cancel, bump, recover."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from tests.support.calls import MENDED as KEY
from tests.support.calls import (
    SEND,
    Threads,
    in_pool,
    mined_once_replaced,
    observed,
    on_its_way,
    replaced,
    until,
    waiters,
)
from tests.support.market import core_of
from tests.support.proxy import Fault
from tests.support.stage import Case

from ogpu import Client
from ogpu.errors import (
    IdempotencyConflict,
    IntentUnknown,
    InvalidInput,
    TransactionDropped,
    TransactionUndetermined,
)
from ogpu.tx.journal import Kind, State
from ogpu.tx.state import Policy


@pytest.fixture
def client(slow: Case) -> Iterator[Client]:
    with Client(slow.through(), private_key=slow.key) as opened:
        yield opened


@pytest.fixture
def other(slow: Case) -> Iterator[Client]:
    """Another client of the same account and journal."""
    with Client(slow.through(), private_key=slow.key) as opened:
        yield opened


# --- cancel


@pytest.mark.parametrize("by", ["key", "hash", "HASH"])
def test_a_cancelled_call_is_not_executed_and_its_caller_is_told(slow: Case, client: Client, by: str) -> None:
    caller = on_its_way(slow, client)
    (attempt,) = client.intent(KEY).attempts
    name = {"key": KEY, "hash": attempt.hash, "HASH": "0x" + attempt.hash[2:].upper()}[by]
    intent = mined_once_replaced(slow, attempt.hash, lambda: client.cancel(name))
    assert (intent.key, intent.state) == (KEY, State.CANCELED)
    (error,) = caller.outcomes()
    assert isinstance(error, TransactionDropped)
    (mined,) = slow.check([], [KEY]).mined
    assert (mined.empty, mined.nonce) == (True, attempt.nonce)
    assert error.facts["hash"] == mined.hash == intent.attempts[-1].hash
    assert [attempt.kind for attempt in intent.attempts] == [Kind.CALL, Kind.CANCEL]


@pytest.mark.parametrize("sees", ["at once", "when it is over"])
def test_what_another_client_cancels_is_told_to_whoever_waits(slow: Case, other: Client, sees: str) -> None:
    """Also when whoever waits has no node until the other one has settled it in the journal."""
    with observed(slow) as (client, proxy):
        caller = on_its_way(slow, client)
        tx_hash = client.intent(KEY).attempts[0].hash
        if sees == "when it is over":
            proxy.order("*", Fault.BAD_GATEWAY_BEFORE, 100_000)
        intent = mined_once_replaced(slow, tx_hash, lambda: other.cancel(KEY))
        assert intent.state is State.CANCELED
        proxy.calm()
        (error,) = caller.outcomes()
        assert isinstance(error, TransactionDropped)
    slow.check([], [KEY])


def test_a_cancelled_key_says_so_for_ever_and_another_key_executes(slow: Case, client: Client) -> None:
    caller = on_its_way(slow, client)
    mined_once_replaced(slow, client.intent(KEY).attempts[0].hash, lambda: client.cancel(KEY))
    caller.outcomes()
    slow.automine(True)
    for _ in range(2):
        with pytest.raises(TransactionDropped, match="with another idempotency_key"):
            client.publish_task(slow.task(KEY), idempotency_key=KEY)
    with pytest.raises(IdempotencyConflict):
        client.publish_task(slow.task("other"), idempotency_key=KEY)
    client.publish_task(slow.task(KEY), idempotency_key="another key")
    slow.check([KEY])


def test_a_cancelled_call_without_a_key_can_be_made_again(slow: Case, client: Client) -> None:
    caller = on_its_way(slow, client, None)
    (intent,) = client.intents()
    mined_once_replaced(slow, intent.attempts[0].hash, lambda: client.cancel(intent.key))
    assert [type(error) for error in caller.outcomes()] == [TransactionDropped]
    slow.automine(True)
    client.publish_task(slow.task(KEY))
    slow.check([KEY])


def test_what_is_cancelled_too_late_is_done(slow: Case, client: Client) -> None:
    caller = on_its_way(slow, client)
    slow.mine()
    (task,) = caller.results()
    intent = client.cancel(KEY)
    assert (intent.state, len(intent.attempts)) == (State.DONE, 1)
    assert client.publish_task(slow.task(KEY), idempotency_key=KEY) == task
    slow.check([KEY])


def test_what_is_mined_while_it_is_cancelled_is_done(slow: Case, client: Client) -> None:
    """The empty transfer is stored, and the call is mined before any node hears of that."""
    with slow.proxy() as proxy, Client(slow.through(proxy.url), private_key=slow.key) as canceling:
        caller = on_its_way(slow, client)

        def mine(method: str) -> None:
            if method == SEND and len(client.intent(KEY).attempts) == 2:
                proxy.hold = None
                slow.mine()

        proxy.hold = mine
        assert canceling.cancel(KEY).state is State.DONE
        caller.results()
        assert len(client.intent(KEY).attempts) == 2
    slow.check([KEY])


def test_what_was_left_open_can_be_cancelled_by_the_next_program(slow: Case) -> None:
    with (
        Client(slow.through(), private_key=slow.key, policy=Policy(receipt_timeout=0.3)) as client,
        pytest.raises(TransactionUndetermined) as caught,
    ):
        client.publish_task(slow.task(KEY), idempotency_key=KEY)
    tx_hash = caught.value.facts["hash"]
    with Client(slow.through(), private_key=slow.key) as client:
        intent = mined_once_replaced(slow, tx_hash, lambda: client.cancel(tx_hash))
    assert intent.state is State.CANCELED
    slow.check([], [KEY])


def test_only_one_of_many_is_cancelled(slow: Case, client: Client) -> None:
    callers = Threads(
        *(partial(client.publish_task, slow.task(key), idempotency_key=key) for key in ("a", "b", "c"))
    )
    until(lambda: in_pool(slow) == 3 and waiters(client) == 3, what="the sends")
    intent = mined_once_replaced(slow, client.intent("b").attempts[0].hash, lambda: client.cancel("b"))
    assert intent.state is State.CANCELED
    outcomes = callers.outcomes()
    assert [type(outcome) for outcome in outcomes] == [str, TransactionDropped, str]
    slow.check(["a", "c"], ["b"])


# --- who and what can be mended


@pytest.mark.parametrize("how", ["cancel", "bump"])
def test_what_the_journal_does_not_know_is_said_so(slow: Case, client: Client, how: str) -> None:
    mend = getattr(client, how)
    for name in (KEY, "0x" + "00" * 32, ""):
        with pytest.raises(IntentUnknown, match="has no transaction by the name"):
            mend(name)
    slow.automine(True)
    client.publish_task(slow.task(KEY), idempotency_key=KEY)
    with pytest.raises(IntentUnknown):
        mend(KEY + "x")


@pytest.mark.parametrize("how", ["cancel", "bump"])
def test_another_account_s_key_mends_nothing(slow: Case, client: Client, how: str) -> None:
    caller = on_its_way(slow, client)
    stranger = "0x" + "42" * 32
    with pytest.raises(InvalidInput, match=f"is a transaction of {slow.sender}"):
        getattr(client, how)(KEY, stranger)
    with Client(slow.through(), private_key=stranger) as another, pytest.raises(InvalidInput):
        getattr(another, how)(KEY)
    slow.mine()
    caller.results()
    slow.check([KEY])


def test_a_transaction_of_another_chain_is_not_mended(slow: Case, client: Client, case: Case) -> None:
    """Its id is the same, and its node would take the empty transfer."""
    caller = on_its_way(slow, client)
    with Client(case.through(), private_key=slow.key) as elsewhere:
        with pytest.raises(InvalidInput, match="is a transaction of"):
            elsewhere.cancel(KEY)
        assert elsewhere.intents() == []
    slow.mine()
    caller.results()
    slow.check([KEY])


# --- bump


@pytest.mark.parametrize("by", ["key", "hash"])
def test_a_bumped_call_is_offered_for_more_and_executed_once(slow: Case, client: Client, by: str) -> None:
    caller = on_its_way(slow, client)
    (first,) = client.intent(KEY).attempts
    for _ in range(3):
        last = client.intent(KEY).attempts[-1]
        intent = client.bump(KEY if by == "key" else first.hash)
        new = intent.attempts[-1]
        assert (new.kind, new.nonce, intent.state) == (Kind.CALL, first.nonce, State.PENDING)
        assert new.fees.max_fee * 10 >= last.fees.max_fee * 11
        assert (new.fees.priority_fee or 0) * 10 >= (last.fees.priority_fee or 0) * 11
        until(lambda: replaced(slow, last.hash), what="the replacement")  # noqa: B023
    slow.mine()
    caller.results()
    (mined,) = slow.check([KEY]).mined
    assert mined.hash == client.intent(KEY).attempts[3].hash


def test_what_another_client_bumps_comes_back_to_whoever_waits(
    slow: Case, client: Client, other: Client
) -> None:
    caller = on_its_way(slow, client)
    first = client.intent(KEY).attempts[0]
    bumped = other.bump(KEY)
    until(lambda: replaced(slow, first.hash), what="the replacement")
    slow.mine()
    (task,) = caller.results()
    (mined,) = slow.check([KEY]).mined
    assert mined.hash == bumped.attempts[-1].hash
    assert mined.tasks == (task.lower(),)


def test_a_first_offer_that_is_mined_after_all_is_the_result(slow: Case, client: Client) -> None:
    """The bumped one never reaches the node."""
    with slow.proxy() as proxy, Client(slow.through(proxy.url), private_key=slow.key) as bumping:
        caller = on_its_way(slow, client)
        proxy.order(SEND, Fault.DROP_BEFORE, 1_000)
        bumped = bumping.bump(KEY)
        assert len(bumped.attempts) == 2
        slow.mine()
        (task,) = caller.results()
        until(lambda: bumping.intent(KEY).state is State.DONE, what="the other's settling")
        assert bumping.publish_task(slow.task(KEY), idempotency_key=KEY) == task
    assert slow.check([KEY]).mined[0].hash == bumped.attempts[0].hash


def test_what_is_done_is_not_bumped(slow: Case, client: Client) -> None:
    slow.automine(True)
    client.publish_task(slow.task(KEY), idempotency_key=KEY)
    intent = client.bump(KEY)
    assert (intent.state, len(intent.attempts)) == (State.DONE, 1)


def test_a_bumped_call_can_be_cancelled_and_a_cancellation_bumped(slow: Case, client: Client) -> None:
    caller = on_its_way(slow, client)
    bumped = client.bump(KEY)
    until(lambda: replaced(slow, bumped.attempts[0].hash), what="the bump")
    canceling = Threads(lambda: client.cancel(KEY))
    until(lambda: replaced(slow, bumped.attempts[1].hash), what="the cancellation")
    again = client.bump(KEY)
    assert [attempt.kind for attempt in again.attempts] == [Kind.CALL, Kind.CALL, Kind.CANCEL, Kind.CANCEL]
    until(lambda: replaced(slow, again.attempts[2].hash), what="the second bump")
    slow.mine()
    (intent,) = canceling.results()
    assert intent.state is State.CANCELED
    assert [type(error) for error in caller.outcomes()] == [TransactionDropped]
    assert slow.check([], [KEY]).mined[0].hash == again.attempts[3].hash


# --- recover


def left_open(case: Case, key: str = KEY) -> str:
    """A task that a program has sent, and not waited for; its transaction's hash."""
    with Client(case.through(), private_key=case.key, policy=Policy(receipt_timeout=0.3)) as client:
        with pytest.raises(TransactionUndetermined) as caught:
            client.publish_task(case.task(key), idempotency_key=key)
        return str(caught.value.facts["hash"])


def test_recover_sends_again_what_the_node_lost_and_says_what_became_of_it(slow: Case) -> None:
    hashes = [left_open(slow, key) for key in ("a", "b")]
    slow.network.rpc("anvil_dropAllTransactions")
    with Client(slow.through(), private_key=slow.key, policy=Policy(finality=1)) as client:
        recovering = Threads(client.recover)
        until(lambda: in_pool(slow) == 2, what="the sends")
        slow.mine()
        (intents,) = recovering.results()
        assert {intent.key: intent.state for intent in intents} == {"a": State.DONE, "b": State.DONE}
        assert client.recover() == []
    assert [mined.hash for mined in slow.check(["a", "b"]).mined] == hashes


def test_recover_says_what_is_still_open(slow: Case) -> None:
    left_open(slow)
    with Client(slow.through(), private_key=slow.key, policy=Policy(receipt_timeout=0.5)) as client:
        (intent,) = client.recover()
    assert (intent.key, intent.state) == (KEY, State.PENDING)
    slow.check([], [KEY])


def test_recover_needs_no_key_of_the_account(slow: Case) -> None:
    left_open(slow)
    slow.network.rpc("anvil_dropAllTransactions")
    with Client(slow.through()) as client:
        recovering = Threads(client.recover)
        until(lambda: in_pool(slow), what="the send")
        slow.mine()
        ((intent,),) = recovering.results()
    assert intent.state is State.DONE
    slow.check([KEY])


def test_recover_takes_nothing_from_whoever_waits(slow: Case, client: Client, other: Client) -> None:
    caller = on_its_way(slow, client)
    recovering = Threads(other.recover)
    until(lambda: core_of(other).chain.transactions.follower.get(KEY), what="the other's look at it")
    slow.mine()
    ((intent,),) = recovering.results()
    assert intent.state is State.DONE
    assert len(caller.results()) == 1
    assert len(slow.check([KEY]).mined) == 1


def test_opening_a_client_recovers_by_itself(slow: Case, client: Client) -> None:
    tx_hash = left_open(slow)
    slow.network.rpc("anvil_dropAllTransactions")
    assert client.intent(KEY).state is State.PENDING  # its first use
    until(lambda: in_pool(slow), what="the send")
    slow.mine()
    until(lambda: client.intent(KEY).state is State.DONE, what="the settling")
    assert slow.check([KEY]).mined[0].hash == tx_hash


def test_a_chain_that_is_not_ours_has_nothing_to_recover(slow: Case, case: Case) -> None:
    left_open(slow)
    with Client(case.through(), private_key=slow.key) as elsewhere:
        assert elsewhere.recover() == []
        assert elsewhere.intents() == []
    with Client(slow.through(), private_key=slow.key) as client:
        assert [intent.key for intent in client.intents()] == [KEY]
    slow.mine()
    slow.check([KEY])
