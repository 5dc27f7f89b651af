"""The journal: durable, shared by threads, processes and, on PostgreSQL, hosts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ogpu.errors import ClientClosed
from ogpu.tx.boundaries import Boundary, nowhere
from ogpu.tx.journal.place import place_of
from ogpu.tx.journal.records import Attempt, Intent, Lease, Outcome, State
from ogpu.tx.journal.writer import Writer

logger = logging.getLogger(__name__)

PATIENCE = 30.0  # seconds in which a locked file or a restarting database is waited for
CLOSING_PAUSE = 0.005  # seconds between two looks whether the thread has ended


class Journal:
    """Intents, their attempts and each account's next nonce; opened when it is first used.

    A method returns when what it wrote is on disk. Everything may raise `JournalError`; all of it can be
    called again after that, since each operation does nothing when it was done before.
    """

    def __init__(
        self,
        where: str | Path,
        *,
        at: Callable[[Boundary], None] = nowhere,
        patience: float = PATIENCE,
    ) -> None:
        self._place = place_of(where)
        self.at = at  # called where the work stands, also by the engine
        self._patience = patience
        self._current: Writer | None = None
        self._left_behind: list[Writer] = []

    def __repr__(self) -> str:
        return f"Journal({self.name!r})"

    @property
    def name(self) -> str:
        """Its place, for messages: without a password."""
        return self._place.name

    @property
    def exists(self) -> bool:
        """Whether there is something to read; nothing is created, and a database is not asked."""
        return self._place.exists or self._current is not None

    async def close(self) -> None:
        """End the writer's thread, once what waits is done; later calls raise `ClientClosed`."""
        writer = self._writer
        writer.ask_to_end()
        # Not joined in an executor: at the interpreter's end none takes work any more.
        while writer.runs:  # noqa: ASYNC110 - a thread sets no event once it has ended
            await asyncio.sleep(CLOSING_PAUSE)

    async def find(self, key: str) -> Intent | None:
        """The intent of that key, with its attempts."""
        return await self._writer.submit(lambda do: do.find(key), reading=True)

    async def open_like(self, chain: str, sender: str, content: str) -> list[Intent]:
        """Intents of that content, pending or done, whose key nobody chose and of which nobody was told."""
        return await self._writer.submit(lambda do: do.open_like(chain, sender, content), reading=True)

    async def unsettled(self, chain: str, sender: str | None = None) -> list[Intent]:
        """Intents that are pending, or mined and not final, by nonce."""
        return await self._writer.submit(lambda do: do.unsettled(chain, sender), reading=True)

    async def list(
        self,
        chain: str | None = None,
        sender: str | None = None,
        states: Sequence[State] | None = None,
        limit: int = 100,
    ) -> list[Intent]:
        """Intents, newest first."""
        return await self._writer.submit(lambda do: do.listed(chain, sender, states, limit), reading=True)

    async def lane(self, chain: str, sender: str) -> int | None:
        """The account's remembered next nonce."""
        return await self._writer.submit(lambda do: do.lane(chain, sender), reading=True)

    async def forget(self, chain: str, sender: str | None = None) -> None:
        """Drop the remembered next nonce of an account, or of all on a chain."""
        await self._writer.submit(lambda do: do.forget(chain, sender), lane=(chain, sender or ""))

    async def acquire(self, chain: str, sender: str, owner: str, seconds: float) -> Lease | None:
        """The right to give this account's nonces; None while another owner has it.

        It runs out after `seconds` by the database's clock, on SQLite by the system's; that of a process of
        this host which has ended is free at once. Taking it raises the fence, also for the owner that has it,
        so that any lease of before is lost.
        """
        lane = (chain, sender)
        future = self._writer.submit(lambda do: do.acquire(chain, sender, owner, seconds), lane=lane)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(self._let_go)  # nobody would give it back
            raise

    async def release(self, lease: Lease) -> None:
        """Give a lease back; one that is lost already is no error."""
        await self._writer.submit(lambda do: do.release(lease), lane=(lease.chain, lease.sender))

    async def add(
        self, lease: Lease, intents: Sequence[Intent], next_nonce: int, *, release: bool = True
    ) -> None:
        """Store new intents, each with an attempt or more, and the account's next nonce: all or nothing.

        Raises `LeaseLost`, and `KeyTaken` when keys are there with other first attempts. With the same ones
        it is a success: it was done before.
        """
        await self._writer.submit(
            lambda do: do.add(lease, intents, next_nonce, release), lane=(lease.chain, lease.sender)
        )

    async def add_attempt(
        self,
        lease: Lease,
        key: str,
        attempt: Attempt,
        next_nonce: int | None = None,
        *,
        instead_of: int | None = None,
        release: bool = True,
    ) -> None:
        """Store one more attempt; at another nonce than the intent's it makes the intent pending again.

        Raises `LeaseLost`, `LookupError`, and `IntentMoved` when somebody was quicker: the intent is refused,
        or, for another nonce, executed or not at `instead_of`, the nonce that the caller saw taken.
        """
        await self._writer.submit(
            lambda do: do.add_attempt(lease, key, attempt, next_nonce, instead_of, release),
            lane=(lease.chain, lease.sender),
        )

    async def give_back(self, lease: Lease, outcome: Outcome, nonce: int, *, release: bool = True) -> bool:
        """Settle an intent that no node took, and make its nonce the next one again.

        False, and nothing changes but the lease, when a later nonce was given, when the intent is not
        pending at that nonce any more, or when the lease is lost.
        """
        return await self._writer.submit(
            lambda do: do.give_back(lease, outcome, nonce, release), lane=(lease.chain, lease.sender)
        )

    async def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Store what the chain has shown, in one transaction; what is final is not changed any more."""
        await self._writer.submit(lambda do: do.settle(outcomes))

    async def adopt(self, key: str, was: str, owner: str) -> bool:
        """Make `owner`, a name that nobody else uses, responsible; False when another one was quicker."""
        return await self._writer.submit(lambda do: do.adopt(key, was, owner))

    async def take_over(self, keys: Sequence[str], owner: str) -> None:
        """Make `owner` responsible for intents."""
        await self._writer.submit(lambda do: do.take_over(keys, owner))

    @property
    def _writer(self) -> Writer:
        if self._current is None:
            self._current = Writer(self._place, self.at, self._patience)
        elif self._current.pid != os.getpid():
            # A fork's child: it must not even close its parent's connection.
            self._left_behind.append(self._current)
            self._current = Writer(self._place, self.at, self._patience)
        return self._current

    def _let_go(self, future: asyncio.Future[Lease | None]) -> None:
        """Release what was acquired for nobody; nobody waits for that either."""
        if future.cancelled() or future.exception() is not None:
            return
        if lease := future.result():
            lane = (lease.chain, lease.sender)
            with contextlib.suppress(ClientClosed):
                self._writer.submit(lambda do: do.release(lease), lane=lane).add_done_callback(_unasked)


def _unasked(future: asyncio.Future[None]) -> None:
    if not future.cancelled() and (error := future.exception()):
        logger.warning("A lease could not be released, it runs out by itself: %s", error)
