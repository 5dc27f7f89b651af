"""Many tasks at once: results in order, each failure its own, no nonce gap, and nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from eth_account import Account
from tests.support.calls import SEND, FailsAt, inactivate_at_the_send, new_source
from tests.support.invariants import Found, vault_balance
from tests.support.market import PRICE
from tests.support.proxy import Fault
from tests.support.stage import Case

from ogpu import AsyncClient, Client
from ogpu.errors import (
    IdempotencyConflict,
    InsufficientVaultBalance,
    InvalidAddress,
    InvalidExpiry,
    InvalidInput,
    OGPUError,
    PaymentTooLow,
    SignerFailed,
    SourceInactive,
    TasksNotPublished,
    TransactionUndetermined,
)
from ogpu.protocol.market import Shared
from ogpu.tx.lane import GROUP
from ogpu.types import Progress, TaskInfo


def infos_of(case: Case, keys: Sequence[str]) -> list[TaskInfo]:
    return [case.task(key) for key in keys]


def named(count: int) -> list[str]:
    return [f"task {number}" for number in range(count)]


def assert_results_are_of(found: Found, keys: Sequence[str], results: Sequence[object]) -> None:
    """The address at each place is that of the task whose content was given at that place."""
    tasks = {key: mined[0].tasks[0] for key, mined in found.executions.items()}
    expected = [tasks[key] for key, result in zip(keys, results, strict=True) if isinstance(result, str)]
    assert [result.lower() for result in results if isinstance(result, str)] == expected


def test_results_are_in_the_order_of_the_tasks_over_several_groups(case: Case) -> None:
    keys = named(2 * GROUP + 30)
    with case.proxy() as proxy, Client(case.through(proxy.url), private_key=case.key) as client:
        results = client.publish_tasks(infos_of(case, keys))
        assert len(set(proxy.raw_sent)) == len(keys)
    found = case.check(keys)
    assert_results_are_of(found, keys, results)
    assert len(set(results)) == len(keys)


def test_the_same_holds_of_an_asynchronous_client(case: Case) -> None:
    keys = named(30)

    async def publish() -> list[Any]:
        async with AsyncClient(case.through(), private_key=case.key) as client:
            return await client.publish_tasks(infos_of(case, keys))

    results = asyncio.run(publish())
    assert_results_are_of(case.check(keys), keys, results)


def test_no_tasks_are_no_work(case: Case) -> None:
    """Not even the node is asked."""
    with case.proxy() as proxy, Client(case.through(proxy.url), private_key=case.key) as client:
        assert client.publish_tasks([]) == []
        assert client.publish_tasks([], idempotency_keys=[], return_exceptions=True) == []
        assert not proxy.requests


def test_equal_tasks_without_keys_are_each_published(case: Case) -> None:
    with Client(case.through(), private_key=case.key) as client:
        results = client.publish_tasks([case.task("same")] * 20)
    found = case.found()
    assert len(set(results)) == len(found.executions["same"]) == len(found.mined) == 20


# --- some fail


def broken(case: Case, info: TaskInfo) -> list[tuple[TaskInfo, type[OGPUError]]]:
    """Tasks that cannot be published, each for another reason."""
    return [
        (replace(info, payment=0), PaymentTooLow),
        (replace(info, expiryTime=1), InvalidExpiry),
        (replace(info, payment=case.balance + 1), InsufficientVaultBalance),
        (replace(info, source="0x12"), InvalidAddress),
    ]


def test_those_that_fail_stand_in_their_place_and_stop_no_other(case: Case) -> None:
    keys, infos = named(24), []
    expected: list[type] = []
    failures = broken(case, case.task("broken"))
    for number, key in enumerate(keys):
        if number % 5 == 2:
            info, error = failures[number // 5 % len(failures)]
            infos.append(info)
            expected.append(error)
        else:
            infos.append(case.task(key))
            expected.append(str)
    with Client(case.through(), private_key=case.key) as client:
        results = client.publish_tasks(infos, return_exceptions=True)
        with pytest.raises(TasksNotPublished) as caught:
            client.publish_tasks(infos[:4])
    assert [type(result) for result in results] == expected
    done = [key for key, result in zip(keys, results, strict=True) if isinstance(result, str)]
    found = case.found()
    assert_results_are_of(found, keys, results)
    again = caught.value
    assert [type(result) for result in again.results] == expected[:4]
    assert again.facts == {"failed": 1, "total": 4}
    assert again.__cause__ is again.results[2]
    assert "1 of 4 tasks were not published" in str(again)
    assert str(results[2]).partition(".")[0] in str(again)
    counts = {key: len(mined) for key, mined in found.executions.items()}
    assert counts == {key: 2 if key in keys[:4] else 1 for key in done}
    assert len(found.mined) == len(done) + 3


def test_one_that_is_not_signed_leaves_no_nonce_gap(case: Case) -> None:
    """It fails when the nonces of its group are given already."""
    keys = named(20)
    with Client(case.through(), private_key=FailsAt(case.key, 1, 5, 6, 14)) as client:
        results = client.publish_tasks(infos_of(case, keys), idempotency_keys=keys, return_exceptions=True)
        failed = [key for key, result in zip(keys, results, strict=True) if not isinstance(result, str)]
        assert {type(result) for result in results if not isinstance(result, str)} == {SignerFailed}
        case.check([key for key in keys if key not in failed], failed)
        again = client.publish_tasks(infos_of(case, keys), idempotency_keys=keys)
    assert len(failed) == 4
    assert_results_are_of(case.check(keys), keys, again)


def test_those_that_no_node_takes_leave_no_nonce_gap_and_their_keys_free(case: Case) -> None:
    """The first send is refused as a whole, with others behind it."""
    keys = named(20)
    with case.proxy() as proxy, Client(case.through(proxy.url), private_key=case.key) as client:
        proxy.order(SEND, Fault.REFUSED)
        results = client.publish_tasks(infos_of(case, keys), idempotency_keys=keys, return_exceptions=True)
        failed = [key for key, result in zip(keys, results, strict=True) if not isinstance(result, str)]
        assert failed
        found = case.found()
        found.assert_once([key for key in keys if key not in failed], failed)
        client.publish_task(case.task("after"))
        case.check([*(key for key in keys if key not in failed), "after"], failed)


def test_those_that_revert_on_chain_have_their_error_and_are_not_sent_again(case: Case) -> None:
    """Their source is inactivated when they are signed and not sent yet."""
    dying, keys = new_source(case), named(12)
    infos = infos_of(case, keys)
    infos[3], infos[4] = (replace(infos[number], source=dying) for number in (3, 4))
    with case.proxy() as proxy, Client(case.through(proxy.url), private_key=case.key) as client:
        client.vault.deposit(1)
        inactivate_at_the_send(case, proxy, dying)
        for _ in range(2):
            results = client.publish_tasks(infos, idempotency_keys=keys, return_exceptions=True)
            assert [type(results[number]) for number in (3, 4)] == [SourceInactive] * 2
            assert sum(isinstance(result, str) for result in results) == 10
    case.check([*keys[:3], *keys[5:], "deposit:1"], keys[3:5])
    assert len(case.found().mined) == 13


def test_a_vault_balance_that_runs_out_is_told_before_anything_is_sent(case: Case) -> None:
    """Each payment counts as soon as it is under way, so nothing fails on chain."""
    keys = named(9)
    each = case.balance // 5
    infos = [replace(info, payment=each) for info in infos_of(case, keys)]
    with case.proxy() as proxy, Client(case.through(proxy.url), private_key=case.key) as client:
        results = client.publish_tasks(infos, return_exceptions=True)
        assert len(set(proxy.raw_sent)) == 5
    refused = [result for result in results if not isinstance(result, str)]
    assert [type(error) for error in refused] == [InsufficientVaultBalance] * 4
    done = [key for key, result in zip(keys, results, strict=True) if isinstance(result, str)]
    case.check(done, [key for key in keys if key not in done])
    assert vault_balance(case.network, case.sender) == case.balance - 5 * each < each


@pytest.mark.parametrize(
    ("ends", "left"),
    [(SignerFailed("no"), "all of it"), (TransactionUndetermined("open"), "nothing"), (None, "nothing")],
)
def test_a_payment_that_failed_makes_room_for_another(case: Case, ends: OGPUError | None, left: str) -> None:
    """And one that may be made yet, or was made, does not."""
    everything = replace(case.task("a"), payment=case.balance)

    async def pay(shared: Shared, error: OGPUError | None) -> None:
        async with shared.paying(everything, case.source):
            if error is not None:
                raise error

    async def publish() -> None:
        async with AsyncClient(case.through(), private_key=case.key) as client:
            shared = Shared(client.chain, case.sender)
            with contextlib.suppress(SignerFailed, TransactionUndetermined):
                await pay(shared, ends)
            if left == "nothing":
                with pytest.raises(InsufficientVaultBalance):
                    await pay(shared, None)
            else:
                await pay(shared, None)
            await shared.close()

    asyncio.run(publish())


# --- keys


def test_with_keys_a_second_run_gives_the_same_tasks_and_sends_nothing(case: Case) -> None:
    keys = named(30)
    with Client(case.through(), private_key=case.key) as client:
        first = client.publish_tasks(infos_of(case, keys), idempotency_keys=keys)
    with case.proxy() as proxy, Client(case.through(proxy.url), private_key=case.key) as client:
        later = [replace(info, expiryTime=info.expiryTime + 60) for info in infos_of(case, keys)]
        assert client.publish_tasks(later, idempotency_keys=keys) == first
        backwards = client.publish_tasks(later[::-1], idempotency_keys=keys[::-1])
        assert backwards == first[::-1]
        assert not proxy.raw_sent
    case.check(keys)


def test_a_second_run_sends_what_failed_in_the_first_and_what_is_new(case: Case) -> None:
    keys = named(10)
    infos = infos_of(case, keys)
    infos[6] = replace(infos[6], payment=0)
    with Client(case.through(), private_key=case.key) as client:
        with pytest.raises(TasksNotPublished) as caught:
            client.publish_tasks(infos[:8], idempotency_keys=keys[:8])
        infos[6] = case.task(keys[6])
        results = client.publish_tasks(infos, idempotency_keys=keys)
    known = caught.value.results
    assert [new == old for new, old in zip(results, known, strict=False)] == [True] * 6 + [False, True]
    assert_results_are_of(case.check(keys), keys, results)


def test_keys_and_no_keys_may_be_mixed(case: Case) -> None:
    with Client(case.through(), private_key=case.key) as client:
        infos = infos_of(case, ["a", "b", "c"])
        first = client.publish_tasks(infos, idempotency_keys=["a", None, "c"])
        second = client.publish_tasks(infos, idempotency_keys=["a", None, "c"])
    assert [old == new for old, new in zip(first, second, strict=True)] == [True, False, True]
    assert {key: len(mined) for key, mined in case.found().executions.items()} == {"a": 1, "b": 2, "c": 1}


def test_a_conflict_is_one_task_s_own(case: Case) -> None:
    with Client(case.through(), private_key=case.key) as client:
        client.publish_task(case.task("other"), idempotency_key="b")
        infos, keys = infos_of(case, ["a", "b", "c"]), ["a", "b", "c"]
        results = client.publish_tasks(infos, idempotency_keys=keys, return_exceptions=True)
    assert [type(result) for result in results] == [str, IdempotencyConflict, str]
    case.check(["other", "a", "c"], ["b"])


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["a", "b", "a"], "'a' is given twice"),
        (["a", "b"], "a list of 3 keys"),
        (["a", "b", "c", "d"], "a list of 3 keys"),
        ("abc", "a list of 3 keys"),
        (["a", "", "c"], "must be printable text"),
        (["a", 7, "c"], "must be printable text"),
    ],
)
def test_keys_that_cannot_be_are_refused_before_anything_is_sent(case: Case, keys: Any, said: str) -> None:
    with case.proxy() as proxy, Client(case.through(proxy.url), private_key=case.key) as client:
        with pytest.raises(InvalidInput, match=said):
            client.publish_tasks(infos_of(case, ["a", "b", "c"]), idempotency_keys=keys)
        assert not proxy.requests


def test_one_task_that_is_not_in_a_list_is_refused(case: Case) -> None:
    with (
        Client(case.through(), private_key=case.key) as client,
        pytest.raises(InvalidInput, match="must be a list of TaskInfo"),
    ):
        client.publish_tasks(case.task("a"))  # type: ignore[arg-type]
    case.check([])


# --- progress


def test_what_progress_raises_is_raised_and_costs_no_task(case: Case) -> None:
    keys = named(6)

    def note(progress: Progress) -> None:
        raise ZeroDivisionError(progress.published)

    with Client(case.through(), private_key=case.key) as client:
        with pytest.raises(ZeroDivisionError):
            client.publish_tasks(infos_of(case, keys), idempotency_keys=keys, progress=note)
        results = client.publish_tasks(infos_of(case, keys), idempotency_keys=keys)
    assert_results_are_of(case.check(keys), keys, results)


def test_progress_is_told_after_each_one_on_the_client_s_thread(case: Case) -> None:
    told: list[Progress] = []
    threads: set[threading.Thread] = set()

    def note(progress: Progress) -> None:
        told.append(progress)
        threads.add(threading.current_thread())

    infos = infos_of(case, named(12))
    infos[2] = infos[7] = replace(infos[2], payment=0)
    with Client(case.through(), private_key=case.key) as client:
        client.publish_tasks(infos, return_exceptions=True, progress=note)
        assert threads == {client._portal._thread}
    assert [progress.published + progress.failed for progress in told] == list(range(1, 13))
    assert {progress.total for progress in told} == {12}
    assert all(a.published <= b.published and a.failed <= b.failed for a, b in pairwise(told))
    assert told[-1] == Progress(total=12, published=10, failed=2)


def test_two_accounts_publish_through_one_client_without_a_gap(case: Case) -> None:
    """Each account has its own nonces."""
    other = Account.create()
    case.network.rpc("anvil_setBalance", other.address, hex(10**20))
    keys = named(15)

    async def publish() -> tuple[list[Any], list[Any]]:
        async with AsyncClient(case.through(), private_key=case.key) as client:
            await client.vault.deposit(100 * PRICE, private_key=other)
            return await asyncio.gather(
                client.publish_tasks(infos_of(case, keys)),
                client.publish_tasks(infos_of(case, keys), other),
            )

    ours, theirs = asyncio.run(publish())
    assert_results_are_of(case.check(keys), keys, ours)
    assert len(set(ours) | set(theirs)) == 30
    count = int(case.network.rpc("eth_getTransactionCount", other.address, "latest"), 16)
    assert count == 16


def test_a_caller_that_stops_waiting_leaves_no_gap_and_no_second_task(case: Case) -> None:
    """Cancelled half way, and run again with the same keys."""
    keys = named(40)

    async def publish() -> list[Any]:
        half = asyncio.Event()

        def note(progress: Progress) -> None:
            if progress.published >= 5:
                half.set()

        async with AsyncClient(case.through(), private_key=case.key) as client:
            infos = infos_of(case, keys)
            first = asyncio.create_task(client.publish_tasks(infos, idempotency_keys=keys, progress=note))
            await half.wait()
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            return await client.publish_tasks(infos, idempotency_keys=keys)

    results = asyncio.run(asyncio.wait_for(publish(), 60))
    assert_results_are_of(case.check(keys), keys, results)
