"""A lane whose holder was killed is free at once, and one whose holder lives is not."""

from __future__ import annotations

import asyncio

import pytest

from ogpu.tx.journal import Journal, this_owner
from tests.journal.values import CHAIN, LONG, SENDER, YOU, leased, on_a_loop, opened, stored
from tests.support.crash import Child, Talk, child


def holds(talk: Talk, where: str) -> None:
    """A process that has the lane when it is killed."""

    async def take() -> None:
        await stored(Journal(where), "a")
        assert await Journal(where).acquire(CHAIN, SENDER, f"{this_owner()}#1", LONG)

    asyncio.run(take())
    talk.say("held")
    talk.hear()


def held(holder: Child) -> None:
    assert holder.receive() == "held"


@on_a_loop
async def test_a_killed_holder_blocks_nobody(where: str) -> None:
    with child(holds, where) as holder:
        held(holder)
        holder.kill()
    async with opened(where) as yours:
        lease = await leased(yours, YOU)
        assert (lease.fence, lease.next_nonce) == (3, 1)
        assert await yours.acquire(CHAIN, SENDER, f"{this_owner()}#2", LONG) is None


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
@on_a_loop
async def test_a_living_holder_keeps_others_out_though_it_is_stopped(where: str, stopped: bool) -> None:
    with child(holds, where) as holder:
        held(holder)
        if stopped:
            holder.stop()
        async with opened(where) as yours:
            assert await yours.acquire(CHAIN, SENDER, YOU, LONG) is None


@on_a_loop
async def test_of_many_that_find_the_holder_killed_one_gets_the_lane(where: str) -> None:
    with child(holds, where) as holder:
        held(holder)
        holder.kill()
    async with opened(where) as mine, opened(where) as yours:
        found = await asyncio.gather(
            *(journal.acquire(CHAIN, SENDER, str(n), LONG) for n, journal in enumerate([mine, yours] * 4))
        )
    assert [lease.fence for lease in found if lease] == [3]
