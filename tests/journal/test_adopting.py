"""What was left behind has one new owner, however many want it."""

from __future__ import annotations

import asyncio

from ogpu.tx.journal import NOBODY, TOLD
from tests.journal.values import ME, YOU, on_a_loop, opened, stored


@on_a_loop
async def test_one_of_many_adopts_what_was_left_behind(where: str) -> None:
    async with opened(where) as mine, opened(where) as yours:
        await stored(mine, "a")
        found = await asyncio.gather(
            *(journal.adopt("a", ME, f"{YOU} {n}") for n, journal in enumerate([mine, yours] * 4))
        )
        assert sum(found) == 1
        intent = await yours.find("a")
        assert intent is not None
        assert intent.owner == f"{YOU} {found.index(True)}"


@on_a_loop
async def test_who_has_adopted_it_may_ask_again_and_nobody_else(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "a", "b")
        for _ in range(2):  # the first reply may be lost
            assert await journal.adopt("a", ME, YOU)
        assert not await journal.adopt("a", ME, "others")
        await journal.take_over(["a"], TOLD)
        assert not await journal.adopt("a", ME, YOU)
        assert not await journal.adopt("there is none", ME, YOU)


@on_a_loop
async def test_what_belongs_to_nobody_meanwhile_can_be_adopted(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "a")
        await journal.take_over(["a"], NOBODY)
        assert await journal.adopt("a", ME, YOU)
