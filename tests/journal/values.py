"""Intents for the tests, and ways to run them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ParamSpec

from ogpu.tx.boundaries import Boundary, nowhere
from ogpu.tx.fees import Fees
from ogpu.tx.journal import Attempt, Intent, Journal, Kind, Lease, Outcome, State

P = ParamSpec("P")

CHAIN = "1337:0x" + "ab" * 32
SENDER = "0x" + "A1" * 20
OTHER = "0x" + "B2" * 20
ME, YOU = "me", "you"
LONG = 60.0  # seconds of a lease that does not run out in a test


def on_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """An asynchronous test."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


@asynccontextmanager
async def opened(
    where: str | Path, at: Callable[[Boundary], None] = nowhere, patience: float = 30.0
) -> AsyncIterator[Journal]:
    """A journal that is closed at the end."""
    journal = Journal(where, at=at, patience=patience)
    try:
        yield journal
    finally:
        await journal.close()


def attempt(nonce: int, mark: str = "", kind: Kind = Kind.CALL) -> Attempt:
    """A signed transaction; `mark` makes it another one."""
    fees = Fees(2**200, 3) if nonce % 2 else Fees(10**9, None)
    return Attempt(
        kind, nonce, f"0x{mark}{nonce:x}", fees, 90_000, b"\x02\x00" + bytes([nonce % 256]), 7, 1.5
    )


def intent(
    key: str,
    nonce: int,
    *,
    sender: str = SENDER,
    named: bool = True,
    content: str = "c",
    data: str = "0x1234",
) -> Intent:
    """An intent with one attempt, whose amounts need more than 64 bits."""
    return Intent(
        key=key,
        named=named,
        chain=CHAIN,
        sender=sender,
        content=content,
        label="publish_task 'ä'",
        to=OTHER,
        data=data,
        value=2**90,
        payment=2**255,
        expires=2**200,
        owner=ME,
        nonce=nonce,
        created=2.5,
        attempts=(attempt(nonce, key),),
    )


def done(key: str, *, final: bool = True) -> Outcome:
    """What the chain shows of an intent that was executed."""
    return Outcome(key, State.DONE, final, {"blockNumber": 9, "paid": 2**80})


def refused(key: str) -> Outcome:
    """No node took it."""
    return Outcome(key, State.REFUSED, True, {"reason": "insufficient funds"})


async def leased(journal: Journal, owner: str = ME, sender: str = SENDER, seconds: float = LONG) -> Lease:
    """A lease, which nobody else has."""
    lease = await journal.acquire(CHAIN, sender, owner, seconds)
    assert lease is not None
    return lease


async def stored(journal: Journal, *keys: str, first: int = 0) -> None:
    """Intents of these keys, from that nonce on."""
    intents = [intent(key, first + number) for number, key in enumerate(keys)]
    await journal.add(await leased(journal), intents, first + len(keys))
