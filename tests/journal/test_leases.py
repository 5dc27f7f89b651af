"""One at a time gives an account's nonces; whoever was overtaken writes nothing."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from ogpu.tx.journal import Journal, LeaseLost
from tests.journal.values import (
    CHAIN,
    LONG,
    ME,
    OTHER,
    SENDER,
    YOU,
    attempt,
    intent,
    leased,
    on_a_loop,
    opened,
    refused,
    stored,
)
from tests.support.crash import Talk, child
from tests.support.journals import journal_rows

EACH, PROCESSES = 8, 3
OVER = 0.0  # seconds of a lease that has run out at once


@on_a_loop
async def test_a_lease_keeps_others_out_until_it_is_released(where: str) -> None:
    async with opened(where) as mine, opened(where) as yours:
        lease = await leased(mine)
        assert (lease.fence, lease.next_nonce) == (1, None)
        assert await yours.acquire(CHAIN, SENDER, YOU, LONG) is None
        assert await yours.acquire(CHAIN, SENDER, YOU, OVER) is None
        await mine.release(lease)
        assert (await leased(yours, YOU)).fence == 2
        assert await mine.acquire(CHAIN, SENDER, ME, LONG) is None


@on_a_loop
async def test_accounts_and_chains_have_a_lease_each(where: str) -> None:
    async with opened(where) as journal:
        await leased(journal)
        await leased(journal, YOU, OTHER)
        assert await journal.acquire("other chain", SENDER, YOU, LONG) is not None


@on_a_loop
async def test_a_lease_tells_the_next_nonce(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "a", "b")
        assert (await leased(journal)).next_nonce == 2
        await journal.forget(CHAIN)
        assert (await leased(journal)).next_nonce is None


@on_a_loop
async def test_a_lease_that_ran_out_is_lost_once_somebody_else_has_it(where: str) -> None:
    async with opened(where) as mine, opened(where) as yours:
        lost = await leased(mine, seconds=OVER)
        await mine.add(lost, [intent("a", 0)], 1, release=False)  # nobody has it yet
        taken = await leased(yours, YOU)
        assert (taken.fence, taken.next_nonce) == (lost.fence + 1, 1)
        before = journal_rows(where)
        with pytest.raises(LeaseLost):
            await mine.add(lost, [intent("b", 1)], 2)
        with pytest.raises(LeaseLost):
            await mine.add_attempt(lost, "a", attempt(0, "bump"))
        assert not await mine.give_back(lost, refused("a"), 0)
        await mine.release(lost)
        assert journal_rows(where) == before
        await yours.add(taken, [intent("b", 1)], 2)


@on_a_loop
async def test_the_same_owner_again_has_a_higher_fence(where: str) -> None:
    async with opened(where) as journal:
        lost = await leased(journal)
        taken = await leased(journal)
        assert taken.fence == lost.fence + 1
        with pytest.raises(LeaseLost):
            await journal.add(lost, [intent("a", 0)], 1)
        await journal.add(taken, [intent("b", 0)], 1, release=False)
        with pytest.raises(LeaseLost):
            await journal.add_attempt(lost, "b", attempt(0, "bump"))
        await journal.release(lost)  # of no effect
        await journal.add(taken, [intent("c", 1)], 2)
        assert [i.key for i in await journal.list()] == ["c", "b"]


@on_a_loop
async def test_a_released_lease_writes_no_more(where: str) -> None:
    async with opened(where) as journal:
        lease = await leased(journal)
        await journal.add(lease, [intent("a", 0)], 1)
        with pytest.raises(LeaseLost):
            await journal.add(lease, [intent("b", 1)], 2)
        with pytest.raises(LeaseLost):
            await journal.add_attempt(lease, "a", attempt(0, "bump"))
        assert len(await journal.list()) == 1


@on_a_loop
async def test_what_is_to_be_released_with_a_write_is_released(where: str) -> None:
    async with opened(where) as journal:
        owners = itertools.cycle((ME, YOU))
        await journal.add(await leased(journal, next(owners)), [intent("a", 0)], 1)
        await journal.add_attempt(await leased(journal, next(owners)), "a", attempt(0, "bump"))
        for _ in range(2):  # the second one is there already
            await journal.add_attempt(await leased(journal, next(owners)), "a", attempt(0, "more"))
        await journal.add(await leased(journal, next(owners)), [intent("a", 0)], 1)
        assert await journal.give_back(await leased(journal, next(owners)), refused("a"), 0)
        lease = await leased(journal, next(owners))
        await journal.add(lease, [intent("b", 0)], 1, release=False)
        await journal.add_attempt(lease, "b", attempt(0, "kept"), release=False)
        assert await journal.give_back(lease, refused("b"), 0, release=False)
        assert await journal.acquire(CHAIN, SENDER, next(owners), LONG) is None


def adds(_: Talk, where: str, owner: str) -> None:
    """A process that adds intents to the lane, one after the other."""

    async def work() -> None:
        journal = Journal(where)
        for number in range(EACH):
            while (lease := await journal.acquire(CHAIN, SENDER, owner, LONG)) is None:
                await asyncio.sleep(0.001)
            nonce = lease.next_nonce or 0
            await journal.add(lease, [intent(f"{owner} {number}", nonce)], nonce + 1)
        await journal.close()

    asyncio.run(work())


def test_processes_that_share_an_account_give_each_nonce_once(where: str) -> None:
    with child(adds, where, "a") as a, child(adds, where, "b") as b, child(adds, where, "c") as c:
        for each in (a, b, c):
            assert each.receive() is None
    rows = journal_rows(where)
    assert [row["nonce"] for row in rows.intents] == list(range(EACH * PROCESSES))
    assert rows.lanes[0]["fence"] == EACH * PROCESSES
