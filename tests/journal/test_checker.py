"""The proof that journal and chain agree, held against what it is to find: each disagreement is one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from eth_utils.crypto import keccak

from ogpu.tx.fees import Fees
from ogpu.tx.journal import Attempt, Intent, Kind, Outcome, State
from tests.journal.values import CHAIN, SENDER, intent, leased, on_a_loop, opened
from tests.support.invariants import Found, Mined
from tests.support.journals import Rows, assert_journal_equals_chain, journal_rows

STATES = (State.DONE, State.REVERTED, State.CANCELED, State.FOREIGN, State.PENDING)
FOREIGN_HASH = "0xf0"


def signed(nonce: int, kind: Kind) -> Attempt:
    raw = bytes([nonce, kind is Kind.CANCEL])
    return Attempt(kind, nonce, "0x" + keccak(raw).hex(), Fees(1, 1), 1, raw, 1, 1.0)


def called(nonce: int) -> Intent:
    attempts = (signed(nonce, Kind.CALL), signed(nonce, Kind.CANCEL))
    return replace(intent(f"k{nonce}", nonce), value=0, payment=5, attempts=attempts)


def mined(nonce: int, state: State) -> Mined:
    """What the chain has of an intent in that state."""
    call = called(nonce)
    empty = state is State.CANCELED
    foreign = state is State.FOREIGN
    return Mined(
        nonce=nonce,
        hash=FOREIGN_HASH if foreign else call.attempts[empty].hash,
        block=1,
        block_hash="0x1",
        to="0x2",
        value=0,
        payment=0 if empty else 5,
        succeeded=state is not State.REVERTED,
        key=None if empty or foreign else call.key,
        empty=empty,
        tasks=(),
    )


FOUND = Found(SENDER, 0, 4, tuple(mined(nonce, state) for nonce, state in enumerate(STATES[:4])), (4,))


def written(where: str) -> Rows:
    """A journal that has an intent in each state, one that was refused besides."""

    @on_a_loop
    async def write() -> None:
        async with opened(where) as journal:
            await journal.add(await leased(journal), [called(nonce) for nonce in range(6)], 6)
            assert await journal.give_back(
                await leased(journal), Outcome("k5", State.REFUSED, True, {"said": "no"}), 5
            )
            await journal.settle(
                [
                    Outcome(f"k{nonce}", state, True, {"hash": FOUND.mined[nonce].hash})
                    for nonce, state in enumerate(STATES[:4])
                ]
            )

    write()
    return journal_rows(where)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """The rows of one such journal."""
    return written(str(tmp_path_factory.mktemp("checker") / "journal.sqlite3"))


def check(rows: Rows, found: Found = FOUND) -> None:
    assert_journal_equals_chain(rows, found, pending=["k4"], foreign=[FOREIGN_HASH])


def test_what_agrees_is_let_through(where: str) -> None:
    check(written(where))


def with_intent(rows: Rows, number: int, **changes: object) -> Rows:
    intents = tuple({**row, **changes} if row["key"] == f"k{number}" else row for row in rows.intents)
    return replace(rows, intents=intents)


def with_mined(nonce: int, **changes: object) -> Found:
    transactions = tuple(replace(m, **changes) if m.nonce == nonce else m for m in FOUND.mined)  # type: ignore[arg-type]
    return replace(FOUND, mined=transactions)


WRONG: dict[str, Callable[[Rows], tuple[Rows, Found]]] = {
    "done, and reverted": lambda rows: (rows, with_mined(0, succeeded=False)),
    "reverted, and done": lambda rows: (rows, with_mined(1, succeeded=True)),
    "done, and not mined": lambda rows: (rows, replace(FOUND, mined=FOUND.mined[1:])),
    "done, and another's": lambda rows: (rows, with_mined(0, hash=FOREIGN_HASH)),
    "another key's": lambda rows: (rows, with_mined(0, key="k1")),
    "another payment": lambda rows: (rows, with_mined(0, payment=6)),
    "another value": lambda rows: (rows, with_mined(0, value=6)),
    "canceled, and executed": lambda rows: (rows, with_mined(2, empty=False)),
    "done by a cancel": lambda rows: (with_intent(rows, 2, state="done"), FOUND),
    "foreign, and ours": lambda rows: (with_intent(rows, 0, state="foreign"), FOUND),
    "refused, and mined": lambda rows: (with_intent(rows, 0, state="refused"), FOUND),
    "pending, and not expected to be": lambda rows: (with_intent(rows, 0, state="pending"), FOUND),
    "pending, and final": lambda rows: (with_intent(rows, 4, final=True), FOUND),
    "an outcome of another": lambda rows: (with_intent(rows, 0, outcome={"hash": "0x1"}), FOUND),
    "a stranger": lambda rows: (
        rows,
        replace(FOUND, mined=(*FOUND.mined, replace(FOUND.mined[0], hash="0x7"))),
    ),
    "two at a nonce": lambda rows: (with_intent(rows, 4, nonce=3), FOUND),
    "a next nonce that is used": lambda rows: (
        replace(rows, lanes=tuple({**row, "next_nonce": 4} for row in rows.lanes)),
        FOUND,
    ),
    "other bytes": lambda rows: (
        replace(rows, attempts=({**rows.attempts[0], "raw": b"x"}, *rows.attempts[1:])),
        FOUND,
    ),
    "an attempt missing": lambda rows: (replace(rows, attempts=rows.attempts[1:]), FOUND),
    "no attempt at all": lambda rows: (
        replace(rows, attempts=tuple(row for row in rows.attempts if row["key"] != "k4")),
        FOUND,
    ),
    "an attempt of two intents": lambda rows: (
        replace(rows, attempts=(*rows.attempts, {**rows.attempts[0], "key": "k9"})),
        FOUND,
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_disagrees_is_found(rows: Rows, name: str) -> None:
    with pytest.raises(AssertionError):
        check(*WRONG[name](rows))


def test_of_another_account_nothing_is_said(rows: Rows) -> None:
    check(with_intent(rows, 0, sender="0x9", state="refused"), replace(FOUND, mined=FOUND.mined[1:]))
    assert {row["chain"] for row in rows.intents} == {CHAIN}
