"""Idempotency keys: the same call by the same key is one transaction, whoever makes it and whenever."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from tests.support.calls import (
    SEND,
    Threads,
    in_pool,
    inactivate_at_the_send,
    new_source,
    publish_in_a_process,
    until,
    waiters,
)
from tests.support.crash import child
from tests.support.invariants import Mined
from tests.support.market import PRICE, source_info, task_info
from tests.support.proxy import Fault
from tests.support.stage import COIN, FUNDS, Case

from ogpu import AsyncClient, Client
from ogpu.errors import (
    ContractReverted,
    IdempotencyConflict,
    InsufficientFunds,
    InsufficientVaultBalance,
    InvalidInput,
    SourceInactive,
    TransactionUndetermined,
)
from ogpu.networks import TESTNET
from ogpu.protocol.checks import LONGEST_KEY
from ogpu.tx.state import Policy

KEY = "invoice-1234/summary ✓"


def task_of(found: Mined) -> str:
    (task,) = found.tasks
    return task


def assert_one_task(case: Case, task: str, key: str = KEY) -> None:
    """The chain has one task of the key, and that is it."""
    found = case.check([key])
    assert task_of(found.executions[key][0]) == task.lower()
    assert len(found.mined) == 1


# --- the same key and the same call


def test_the_same_key_and_call_again_is_the_same_task(case: Case) -> None:
    with Client(case.through(), private_key=case.key) as client:
        tasks = {client.publish_task(case.task(KEY), idempotency_key=KEY) for _ in range(3)}
    assert_one_task(case, *tasks)


def test_a_second_client_gets_the_first_one_s_task(case: Case) -> None:
    with (
        Client(case.through(), private_key=case.key) as one,
        Client(case.through(), private_key=case.key) as other,
    ):
        task = one.publish_task(case.task(KEY), idempotency_key=KEY)
        assert other.publish_task(case.task(KEY), idempotency_key=KEY) == task
    assert_one_task(case, task)


def test_a_program_that_is_started_again_gets_its_task(case: Case) -> None:
    arguments = case.through(), case.key, case.task(KEY), KEY
    tasks = set()
    for _ in range(2):
        with child(publish_in_a_process, *arguments) as running:
            tasks.add(running.receive())
            assert running.wait() == 0
    assert_one_task(case, *tasks)


def test_an_expiry_that_is_computed_anew_is_no_conflict(case: Case) -> None:
    """Also when the first one's is past: the key stands for what was published then."""
    first = case.task(KEY)
    with Client(case.through(), private_key=case.key) as client:
        task = client.publish_task(first, idempotency_key=KEY)
        for seconds in (60, 3600):
            later = replace(first, expiryTime=first.expiryTime + seconds)
            assert client.publish_task(later, idempotency_key=KEY) == task
        case.network.rpc("anvil_setNextBlockTimestamp", first.expiryTime + 1)
        case.mine()
        assert client.publish_task(first, idempotency_key=KEY) == task
    assert_one_task(case, task)


def test_the_address_comes_from_the_journal_when_the_node_is_gone(case: Case) -> None:
    with case.proxy() as proxy, Client(case.through(proxy.url), private_key=case.key) as client:
        task = client.publish_task(case.task(KEY), idempotency_key=KEY)
        proxy.order("*", Fault.BAD_GATEWAY_BEFORE, 1_000)
        assert client.publish_task(case.task(KEY), idempotency_key=KEY) == task
    assert_one_task(case, task)


def test_what_is_on_its_way_from_another_thread_is_waited_for(slow: Case) -> None:
    """From the same client and from another one; none of the three sends a second transaction."""
    with (
        Client(slow.through(), private_key=slow.key) as one,
        Client(slow.through(), private_key=slow.key) as other,
    ):
        info = slow.task(KEY)

        def ask(client: Client) -> str:
            return client.publish_task(info, idempotency_key=KEY)

        threads = Threads(lambda: ask(one))
        until(lambda: in_pool(slow), what="the first one's send")
        threads.start(lambda: ask(one), lambda: ask(other))
        until(lambda: waiters(one) == 2 and waiters(other) == 1, what="the others' wait")
        assert in_pool(slow) == 1
        slow.mine()
        tasks = threads.results()
    assert len(tasks) == 3
    assert_one_task(slow, *set(tasks))


def test_calls_by_one_key_at_the_same_moment_are_one_task(case: Case) -> None:
    """None of them finds the other in the journal when it begins."""

    async def race() -> list[str]:
        async with (
            AsyncClient(case.through(), private_key=case.key) as one,
            AsyncClient(case.through(), private_key=case.key) as other,
        ):
            info = case.task(KEY)
            calls = [
                client.publish_task(info, idempotency_key=KEY) for _ in range(6) for client in (one, other)
            ]
            return await asyncio.wait_for(asyncio.gather(*calls), 60)

    assert_one_task(case, *set(asyncio.run(race())))


def test_of_two_calls_by_one_key_at_the_same_moment_the_other_one_is_a_conflict(case: Case) -> None:
    async def race() -> list[Any]:
        async with AsyncClient(case.through(), private_key=case.key) as client:
            infos = [case.task(KEY), case.task(KEY, PRICE + 1), case.task("bystander")]
            calls = [
                client.publish_task(info, idempotency_key=key)
                for info, key in zip(infos, (KEY, KEY, None), strict=True)
            ]
            return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 60)

    *results, bystander = asyncio.run(race())
    assert {type(result) for result in results} == {IdempotencyConflict, str}
    assert isinstance(bystander, str)
    assert sorted(mined.key or "" for mined in case.check(["bystander", KEY]).mined) == ["bystander", KEY]


def test_an_open_fate_is_asked_for_again_by_the_key(slow: Case) -> None:
    impatient = Policy(receipt_timeout=0.5)
    with Client(slow.through(), private_key=slow.key, policy=impatient) as client:
        with pytest.raises(TransactionUndetermined, match="since its idempotency_key is the same") as caught:
            client.publish_task(slow.task(KEY), idempotency_key=KEY)
        assert caught.value.facts["key"] == KEY
    slow.mine()
    with Client(slow.through(), private_key=slow.key) as client:
        task = client.publish_task(slow.task(KEY), idempotency_key=KEY)
    assert_one_task(slow, task)
    assert slow.found().mined[0].hash == caught.value.facts["hash"]


def test_without_a_key_a_call_that_is_made_twice_is_meant_twice(case: Case) -> None:
    with Client(case.through(), private_key=case.key) as client:
        info = case.task("twice")
        tasks = {client.publish_task(info) for _ in range(3)}
    assert len(tasks) == 3
    assert [mined.key for mined in case.found().mined] == ["twice"] * 3


# --- the same key and another call


def conflicts(case: Case) -> list[tuple[str, Callable[[Client], object], str]]:
    """Calls that differ from `case.task(KEY)` in one thing each."""
    info = case.task(KEY)
    elsewhere = replace(info, source=new_source(case))
    return [
        ("data", lambda c: c.publish_task(case.task("other"), idempotency_key=KEY), "content"),
        ("payment", lambda c: c.publish_task(case.task(KEY, PRICE + 1), idempotency_key=KEY), "content"),
        ("source", lambda c: c.publish_task(elsewhere, idempotency_key=KEY), "content"),
        ("kind", lambda c: c.publish_source(source_info(), idempotency_key=KEY), "call"),
        ("account", lambda c: c.publish_task(info, case.network.key(), idempotency_key=KEY), "account"),
    ]


def test_another_call_by_a_key_is_a_conflict_and_nothing_is_sent(case: Case) -> None:
    different = conflicts(case)
    with case.proxy() as proxy, Client(case.through(proxy.url), private_key=case.key) as client:
        client.publish_task(case.task(KEY), idempotency_key=KEY)
        for name, call, said in different:
            with pytest.raises(IdempotencyConflict, match=f"with another .*{said}") as caught:
                call(client)
            assert caught.value.facts["key"] == KEY, name
            assert caught.value.facts["label"] == "Controller.publishTask", name
        assert len(proxy.raw_sent) == 1
    case.check([KEY])


def test_a_conflict_is_told_while_the_first_call_is_on_its_way(slow: Case) -> None:
    with Client(slow.through(), private_key=slow.key) as client:
        threads = Threads(lambda: client.publish_task(slow.task(KEY), idempotency_key=KEY))
        until(lambda: in_pool(slow), what="the send")
        with pytest.raises(IdempotencyConflict):
            client.publish_task(slow.task("other"), idempotency_key=KEY)
        slow.mine()
        (task,) = threads.results()
    assert_one_task(slow, task)


def test_a_key_of_another_chain_is_a_conflict(case: Case, slow: Case) -> None:
    """Also of a chain with the same id: a local network that was started anew is another one."""
    slow.automine(True)
    with Client(case.through(), private_key=case.key) as client:
        client.publish_task(case.task(KEY), idempotency_key=KEY)
    with (
        Client(slow.through(), private_key=slow.key) as client,
        pytest.raises(IdempotencyConflict, match="another chain and account"),
    ):
        client.publish_task(slow.task(KEY), idempotency_key=KEY)
    slow.check([])
    assert case.network.document["chain_id"] == slow.network.document["chain_id"]


# --- what failed


def test_a_call_that_reverted_tells_the_same_error_for_ever(case: Case) -> None:
    """The source is inactivated when the task is signed and not sent yet, so that it fails on chain."""
    source = new_source(case)
    info = replace(case.task(KEY), source=source)
    told: list[ContractReverted] = []
    with case.proxy() as proxy:
        inactivate_at_the_send(case, proxy, source)
        for _ in range(2):
            with Client(case.through(proxy.url), private_key=case.key) as client:
                for _ in range(2):
                    with pytest.raises(ContractReverted, match="was mined and reverted") as caught:
                        client.publish_task(info, idempotency_key=KEY)
                    told.append(caught.value)
        assert len(set(proxy.raw_sent)) == 1
    assert {(str(error), error.reason, str(error.facts)) for error in told} == {
        (str(told[0]), told[0].reason, str(told[0].facts))
    }
    (mined,) = case.found().mined
    assert (mined.hash, mined.succeeded) == (told[0].facts["hash"], False)
    assert told[0].reason
    assert told[0].facts["gas_used"] > 21_000


def test_a_call_that_failed_before_it_was_signed_leaves_its_key_free(case: Case) -> None:
    with Client(case.through(), private_key=case.key) as client:
        with pytest.raises(InsufficientVaultBalance):
            client.publish_task(case.task(KEY, 2 * FUNDS), idempotency_key=KEY)
        task = client.publish_task(case.task(KEY), idempotency_key=KEY)
    assert_one_task(case, task)


def test_a_call_that_no_node_took_leaves_its_key_free_for_another(case: Case) -> None:
    with case.proxy() as proxy, Client(case.through(proxy.url), private_key=case.key) as client:
        proxy.order(SEND, Fault.REFUSED)
        with pytest.raises(InsufficientFunds):
            client.publish_task(case.task("refused"), idempotency_key=KEY)
        task = client.publish_task(case.task(KEY), idempotency_key=KEY)
    found = case.check([KEY], ["refused"])
    assert [task_of(mined) for mined in found.mined] == [task.lower()]


def test_an_inactive_source_leaves_the_key_free(case: Case) -> None:
    source = new_source(case)
    case.network.transact("Nexus", "inactivateSource", source)
    with Client(case.through(), private_key=case.key) as client:
        with pytest.raises(SourceInactive):
            client.publish_task(replace(case.task(KEY), source=source), idempotency_key=KEY)
        task = client.publish_task(case.task(KEY), idempotency_key=KEY)
    assert_one_task(case, task)


# --- other calls


def test_a_source_is_published_once_by_its_key(case: Case) -> None:
    admin = case.network.admin()
    case.network.transact("Vault", "setWhitelist", case.sender, True, sender=admin)
    info = source_info()
    with Client(case.through(), private_key=case.key) as client:
        first = client.publish_source(info, idempotency_key=KEY)
        with pytest.raises(IdempotencyConflict):
            client.publish_source(replace(info, minPayment=info.minPayment + 1), idempotency_key=KEY)
    with Client(case.through(), private_key=case.key) as client:
        assert client.publish_source(info, idempotency_key=KEY) == first
        assert client.publish_source(info) != first
    assert len(case.found().mined) == 2


def test_a_response_is_confirmed_once_by_its_key(case: Case) -> None:
    with Client(case.through(), private_key=case.key) as client:
        task = client.publish_task(replace(case.task("task"), source=new_source(case)))
        respond(case, client.get_task(task).source, task)
        (response,) = client.get_task_responses(task)
        confirmed = client.confirm_response(response.address, idempotency_key=KEY)
        with pytest.raises(ContractReverted):
            client.confirm_response(response.address)  # there is nothing to confirm any more
        assert client.confirm_response(response.address, idempotency_key=KEY) == confirmed
        with pytest.raises(IdempotencyConflict):
            client.publish_task(case.task("other"), idempotency_key=KEY)
        assert client.get_response(response.address).confirmed
    assert [mined.hash for mined in case.found().mined][1:] == [confirmed]


def respond(case: Case, source: str, task: str) -> None:
    """A response of a new provider, from its own account."""
    provider, master = (Account.create().address for _ in range(2))
    for account in (provider, master):
        case.network.rpc("anvil_setBalance", account, hex(100 * COIN))
    steps: Sequence[tuple[str, str, str, tuple[Any, ...], int]] = (
        (master, "Terminal", "announceProvider", (provider, 10 * COIN), 10 * COIN),
        (provider, "Terminal", "announceMaster", (master,), 0),
        (provider, "Nexus", "register", (source, provider, 1), 0),
        (provider, "Nexus", "attempt", (task, provider, PRICE), 0),
        (provider, "Nexus", "submitResponse", ((task, provider, "ipfs://answer", PRICE),), 0),
    )
    for sender, contract, function, arguments, value in steps:
        case.network.transact(contract, function, *arguments, sender=sender, value=value)


# --- keys that cannot be

BAD_KEYS = ["", "x" * (LONGEST_KEY + 1), "two\nlines", "\x00", "right\u202eleft", b"bytes", 7, ["x"], True]


@pytest.mark.parametrize("key", BAD_KEYS, ids=repr)
def test_a_key_that_cannot_be_is_refused_before_anything_else(key: Any, tmp_path: Path) -> None:
    """No node, no journal and no content service is asked."""
    nowhere = "http://127.0.0.1:9"
    network = replace(TESTNET, rpc_urls=(nowhere,), upload_url=nowhere)
    info = task_info("0x" + "11" * 20)
    with Client(network, private_key="0x" + "42" * 32) as client:
        for call in (
            lambda: client.publish_task(info, idempotency_key=key),
            lambda: client.publish_source(source_info(), idempotency_key=key),
            lambda: client.confirm_response("0x" + "11" * 20, idempotency_key=key),
            lambda: client.publish_tasks([info], idempotency_keys=[key]),
        ):
            with pytest.raises(InvalidInput, match=r"idempotency_key is .*; it must be printable text"):
                call()
    assert not (tmp_path / "journal.sqlite3").exists()


ODD_KEYS = ["x", "x" * LONGEST_KEY, "ключ/鍵 🔑", "'; DROP TABLE ogpu_intents; --", "%s {} \\"]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_key_may_be_any_text_that_can_be_shown(case: Case, key: str, tmp_path: Path) -> None:
    with Client(case.through(), private_key=case.key) as client:
        task = client.publish_task(case.task(KEY), idempotency_key=key)
        assert client.publish_task(case.task(KEY), idempotency_key=key) == task
        assert client.intent(key).key == key
    with closing(sqlite3.connect(tmp_path / "journal.sqlite3")) as journal:
        assert journal.execute("SELECT key FROM ogpu_intents").fetchall() == [(key,)]
    case.check([KEY])
