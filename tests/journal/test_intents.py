"""What is stored is read again, and whatever is done twice is done once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from ogpu.tx.boundaries import Boundary
from ogpu.tx.fees import Fees
from ogpu.tx.journal import NOBODY, TOLD, IntentMoved, Journal, KeyTaken, Kind, Outcome, State
from ogpu.tx.journal.operations import MANY_KEYS
from tests.journal.values import (
    CHAIN,
    LONG,
    ME,
    OTHER,
    SENDER,
    YOU,
    attempt,
    done,
    intent,
    leased,
    on_a_loop,
    opened,
    refused,
    stored,
)
from tests.support.journals import journal_rows


async def found(journal: Journal, key: str) -> State:
    known = await journal.find(key)
    assert known is not None
    return known.state


@on_a_loop
async def test_an_intent_is_read_as_it_was_written_by_whoever_opens_the_journal(where: str) -> None:
    wanted = replace(intent("k", 4), attempts=(attempt(4, "a"), attempt(4, "b", Kind.CANCEL)))
    async with opened(where) as journal:
        await journal.add(await leased(journal), [wanted], 5)
    async with opened(where) as journal:
        assert await journal.find("k") == wanted
        assert await journal.lane(CHAIN, SENDER) == 5
        assert await journal.find("other") is None


@on_a_loop
async def test_numbers_of_256_bits_survive_in_an_outcome(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "k")
        await journal.settle([done("k")])
        known = await journal.find("k")
        assert known is not None
        assert (known.state, known.final, known.outcome) == (State.DONE, True, done("k").outcome)


@on_a_loop
async def test_the_same_add_again_is_a_success_and_writes_nothing(where: str) -> None:
    async with opened(where) as journal:
        lease = await leased(journal)
        for _ in range(2):  # the second time the lease is released already
            await journal.add(lease, [intent("a", 0), intent("b", 1)], 2)
        await stored(journal, "c", first=2)
        again = await leased(journal)
        await journal.add(again, [intent("a", 0), intent("b", 1)], 2)
        assert await journal.lane(CHAIN, SENDER) == 3
        assert len(await journal.list()) == 3
        assert await journal.acquire(CHAIN, SENDER, YOU, LONG) is not None  # it was released


@on_a_loop
async def test_a_key_that_is_taken_stores_none_of_the_batch(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "taken")
        other = replace(intent("taken", 2), attempts=(attempt(2, "other"),))
        lease = await leased(journal)
        with pytest.raises(KeyTaken) as caught:
            await journal.add(lease, [intent("new", 1), other], 3)
        assert caught.value.keys == ("taken",)
        assert await journal.find("new") is None
        assert await journal.lane(CHAIN, SENDER) == 1
        await journal.add(lease, [intent("new", 1)], 2)  # the lease is still ours


@on_a_loop
async def test_two_writers_of_one_key_store_it_once(where: str) -> None:
    async with opened(where) as one, opened(where) as two:
        mine, yours = await leased(one), await leased(two, YOU, OTHER)
        theirs = replace(intent("k", 0, sender=OTHER), attempts=(attempt(0, "other"),))
        results = await asyncio.gather(
            one.add(mine, [intent("k", 0)], 1), two.add(yours, [theirs], 1), return_exceptions=True
        )
        assert sorted(type(result).__name__ for result in results) == ["KeyTaken", "NoneType"]
        assert len(await one.list()) == 1


@on_a_loop
async def test_a_bump_is_stored_once_and_leaves_nonce_and_state(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "k", first=3)
        lease = await leased(journal)
        for _ in range(2):
            await journal.add_attempt(lease, "k", attempt(3, "bump"))
        known = await journal.find("k")
        assert known is not None
        assert [a.hash for a in known.attempts] == [attempt(3, "k").hash, attempt(3, "bump").hash]
        assert (known.nonce, await journal.lane(CHAIN, SENDER)) == (3, 4)


@on_a_loop
async def test_a_new_nonce_makes_an_intent_pending_again(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "k", first=3)
        await journal.settle([Outcome("k", State.FOREIGN, False, {"hash": "0x9"})])
        await journal.add_attempt(await leased(journal), "k", attempt(8, "n"), 9, instead_of=3)
        known = await journal.find("k")
        assert known is not None
        assert (known.nonce, known.state, known.outcome) == (8, State.PENDING, None)
        assert await journal.lane(CHAIN, SENDER) == 9


@on_a_loop
async def test_who_reports_a_lost_nonce_late_does_not_settle_what_has_another_one_by_now(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "k", first=3)
        lost = Outcome("k", State.FOREIGN, False, {"hash": "0x9"}, nonce=3)
        await journal.settle([lost])
        assert await found(journal, "k") is State.FOREIGN
        await journal.add_attempt(await leased(journal), "k", attempt(8, "n"), 9, instead_of=3)
        await journal.settle([lost])
        assert await found(journal, "k") is State.PENDING
        await journal.settle([done("k", final=False)])
        await journal.settle([lost])
        assert await found(journal, "k") is State.DONE


@on_a_loop
async def test_two_who_give_an_intent_a_new_nonce_do_not_execute_it_twice(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "k", first=3)
        await journal.add_attempt(await leased(journal), "k", attempt(8, "n"), 9, instead_of=3)
        with pytest.raises(IntentMoved):
            await journal.add_attempt(await leased(journal, YOU), "k", attempt(9, "m"), 10, instead_of=3)
        await journal.settle([done("k", final=False)])
        with pytest.raises(IntentMoved):
            await journal.add_attempt(await leased(journal, YOU), "k", attempt(9, "m"), 10)
        known = await journal.find("k")
        assert known is not None
        assert (known.nonce, len(known.attempts)) == (8, 2)
        assert await journal.lane(CHAIN, SENDER) == 9


@on_a_loop
async def test_an_attempt_of_an_unknown_intent_is_refused(where: str) -> None:
    async with opened(where) as journal:
        with pytest.raises(LookupError):
            await journal.add_attempt(await leased(journal), "k", attempt(3))


@on_a_loop
async def test_the_last_nonce_is_given_back_once(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "a", "b")
        lease = await leased(journal)
        assert await journal.give_back(lease, refused("b"), 1)
        assert await journal.give_back(lease, refused("b"), 1)  # as after a lost reply
        assert await journal.lane(CHAIN, SENDER) == 1
        assert await found(journal, "b") is State.REFUSED
        await stored(journal, "c", first=1)
        assert await journal.lane(CHAIN, SENDER) == 2


@on_a_loop
async def test_a_nonce_before_others_is_not_given_back(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "a", "b")
        assert not await journal.give_back(await leased(journal), refused("a"), 0)
        await journal.forget(CHAIN)
        assert not await journal.give_back(await leased(journal), refused("a"), 0)
        assert await found(journal, "a") is State.PENDING
        assert await journal.acquire(CHAIN, SENDER, YOU, LONG) is not None  # but it was released


@on_a_loop
async def test_a_nonce_before_one_that_was_mined_is_not_given_back(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "a", "b")
        await journal.settle([done("b", final=False)])
        assert not await journal.give_back(await leased(journal), refused("a"), 0)
        assert (await found(journal, "a"), await journal.lane(CHAIN, SENDER)) == (State.PENDING, 2)


@on_a_loop
async def test_a_nonce_that_was_mined_is_not_given_back(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "a")
        await journal.settle([done("a", final=False)])
        assert not await journal.give_back(await leased(journal), refused("a"), 0)
        assert await found(journal, "a") is State.DONE


@on_a_loop
async def test_a_nonce_is_not_given_back_under_a_lost_lease(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "a")
        lost = await leased(journal)
        await leased(journal)
        assert not await journal.give_back(lost, refused("a"), 0)
        assert await journal.lane(CHAIN, SENDER) == 1


@on_a_loop
async def test_what_is_final_is_not_changed_by_somebody_slower(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "a", "b")
        await journal.settle([done("a"), done("b", final=False)])
        await journal.settle([Outcome(key, State.PENDING, False, None) for key in ("b", "a")])
        assert await found(journal, "a") is State.DONE
        assert await found(journal, "b") is State.PENDING  # a reorganisation


@on_a_loop
async def test_the_lists_choose_and_order(where: str) -> None:
    async with opened(where) as journal:
        like = [intent(f"open{n}", n, named=False, content="x") for n in range(2)]
        await journal.add(await leased(journal), [*like, intent("named", 2, content="x")], 3)
        await journal.add(await leased(journal, sender=OTHER), [intent("other", 0, sender=OTHER)], 1)
        await journal.settle([done("open1", final=False), done("other")])
        assert [i.key for i in await journal.open_like(CHAIN, SENDER, "x")] == ["open0", "open1"]
        assert [i.key for i in await journal.open_like(CHAIN, SENDER, "y")] == []
        assert [i.key for i in await journal.unsettled(CHAIN)] == ["open0", "open1", "named"]
        assert [i.key for i in await journal.unsettled(CHAIN, OTHER)] == []
        assert [i.key for i in await journal.unsettled("1:0x")] == []
        assert [i.key for i in await journal.list()] == ["other", "named", "open1", "open0"]
        assert [i.key for i in await journal.list(CHAIN, SENDER, [State.PENDING], 1)] == ["named"]
        assert [i.key for i in await journal.list(CHAIN, states=[State.DONE])] == ["other", "open1"]
        assert await journal.list("1:0x") == []
        assert all(len(i.attempts) == 1 for i in await journal.list())


@on_a_loop
async def test_an_owner_takes_over_and_lanes_are_forgotten(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "a", "b")
        await journal.take_over(["b"], YOU)
        assert [i.owner for i in await journal.unsettled(CHAIN)] == [ME, YOU]
        await journal.forget(CHAIN, OTHER)
        assert await journal.lane(CHAIN, SENDER) == 2
        await journal.forget(CHAIN, SENDER)
        assert await journal.lane(CHAIN, SENDER) is None
        await journal.take_over([], YOU)
        await journal.settle([])


@on_a_loop
async def test_an_intent_of_which_somebody_was_told_is_not_like_a_new_one(where: str) -> None:
    async with opened(where) as journal:
        like = [intent(f"k{n}", n, named=False) for n in range(4)]
        await journal.add(await leased(journal), like, 4)
        await journal.settle(
            [
                Outcome("k0", State.DONE, False, None, TOLD),
                Outcome("k1", State.DONE, False, None, NOBODY),
                Outcome("k2", State.REVERTED, False, None),
            ]
        )
        assert [i.key for i in await journal.open_like(CHAIN, SENDER, "c")] == ["k1", "k3"]
        assert [i.owner for i in await journal.unsettled(CHAIN)] == [TOLD, NOBODY, ME, ME]
        await journal.take_over(["k1"], TOLD)
        assert [i.key for i in await journal.open_like(CHAIN, SENDER, "c")] == ["k3"]


@on_a_loop
async def test_the_key_of_a_refused_intent_is_free_and_no_other(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "a", "b")
        assert await journal.give_back(await leased(journal), refused("b"), 1)
        new = replace(intent("b", 1), attempts=(attempt(1, "new"), attempt(1, "newer")))
        other = replace(intent("a", 2), attempts=(attempt(2, "other"),))
        lease = await leased(journal)
        before = journal_rows(where)
        with pytest.raises(KeyTaken):
            await journal.add(lease, [new, other], 3)
        assert journal_rows(where) == before
        await journal.add(lease, [new, intent("c", 2)], 3)
        assert await journal.find("b") == new
        assert await journal.lane(CHAIN, SENDER) == 3


@on_a_loop
async def test_a_refused_intent_gets_no_further_attempt(where: str) -> None:
    async with opened(where) as journal:
        await stored(journal, "a")
        assert await journal.give_back(await leased(journal), refused("a"), 0)
        lease = await leased(journal)
        for nonce, instead_of in ((0, None), (1, None), (1, 0)):
            with pytest.raises(IntentMoved):
                await journal.add_attempt(
                    lease, "a", attempt(nonce, "again"), nonce + 1, instead_of=instead_of
                )
        assert await journal.lane(CHAIN, SENDER) == 0
        known = await journal.find("a")
        assert known is not None
        assert (known.state, len(known.attempts)) == (State.REFUSED, 1)


@on_a_loop
async def test_amounts_of_256_bits_are_stored_digit_by_digit(where: str) -> None:
    highest = 2**256 - 1
    fees = Fees(highest, highest - 1)
    numbers = [(0, 0, None, Fees(0, None)), (highest, highest - 2, highest - 3, fees)]
    wanted = [
        replace(
            intent(str(n), n, data="0x" + "ff" * 50_000),
            value=value,
            payment=payment,
            expires=expires,
            attempts=(replace(attempt(n), fees=fees),),
            outcome={"numbers": [value, payment], "text": "ä\n'\"", "nothing": None},
        )
        for n, (value, payment, expires, fees) in enumerate(numbers)
    ]
    async with opened(where) as journal:
        await journal.add(await leased(journal), wanted, 2)
        assert await journal.unsettled(CHAIN) == wanted
    row, attempts = journal_rows(where).intents[1], journal_rows(where).attempts
    assert (row["value"], row["payment"], row["expires"]) == tuple(map(str, numbers[1][:3]))
    assert (attempts[1]["max_fee"], attempts[1]["priority_fee"]) == (str(highest), str(highest - 1))


@on_a_loop
async def test_many_intents_are_known_again(where: str) -> None:
    many = [intent(str(n), n) for n in range(MANY_KEYS + 1)]
    async with opened(where) as journal:
        await journal.add(await leased(journal), many, len(many))
        await journal.add(await leased(journal), many, len(many))  # looks all of the keys up
        assert len(await journal.unsettled(CHAIN)) == len(many)


@on_a_loop
async def test_outcomes_and_owners_are_set_in_one_transaction_each(where: str) -> None:
    transactions = 0

    def count(boundary: Boundary) -> None:
        nonlocal transactions
        transactions += boundary is Boundary.JOURNAL_COMMITTED

    keys = [str(n) for n in range(200)]
    async with opened(where, at=count) as journal:
        await stored(journal, *keys)
        transactions = 0
        await journal.settle([done(key) for key in keys])
        await journal.take_over(keys, YOU)
        assert transactions == 2
        assert {(i.state, i.owner) for i in await journal.list(limit=300)} == {(State.DONE, YOU)}


@on_a_loop
async def test_memory_is_a_journal_too() -> None:
    async with opened(":memory:") as journal:
        await stored(journal, "k")
        assert (await journal.find("k")) == intent("k", 0)
