"""Fetches what sources, tasks and responses link to, beside the projection, and stores it by CID.

Nothing of it stops the index: a document that is missing, slow, too large or not what its CID names is noted
with the reason, and tried again when that may help. No host that a stranger named is asked.
"""

from __future__ import annotations

import asyncio
import io
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from ogpu import settings
from ogpu.content.cid import parse_cid
from ogpu.content.limits import Limits
from ogpu.content.options import ContentOptions, Folder, KuboNode, parse_store
from ogpu.content.threads import in_thread
from ogpu.content.urls import gateway_base
from ogpu.errors import ContentError, ContentTooLarge, ContentUnavailable, UnsupportedCID
from ogpu.indexer.shelf import Outcome, Shelf, Wanted
from ogpu.networks import Network
from ogpu.text import printable

if TYPE_CHECKING:
    import aiohttp
    from sqlalchemy import Engine

logger = logging.getLogger(__name__)

MAX_BYTES = 1 << 20  # of one document
MAX_KEPT = 8 << 30  # bytes of all of them
AT_ONCE = 16
POLL = 1.0  # seconds between two looks at the tables
FIRST_SECONDS = (
    4.0  # for a document at one server; doubles with each try, so that what is there comes before what is not
)
MOST_SECONDS = 60.0
FIRST_PAUSE = 30  # seconds until a document is tried again; doubles
LONGEST_PAUSE = 86_400
MOST_TRIES = 12
TROUBLE = 30.0  # seconds for which a server that did not answer is asked last
DATABASE_PAUSE = 5.0  # seconds after trouble with the database
LONGEST_ERROR = 500  # characters


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many bytes a document, and all of them, may have; more is refused. With 0 nothing is fetched."""

    max_bytes: int = MAX_BYTES
    max_kept: int = MAX_KEPT

    @classmethod
    def from_settings(cls) -> Bounds:
        """What the environment says."""
        return cls(settings.index_document_bytes(MAX_BYTES), settings.index_documents_bytes(MAX_KEPT))


@dataclass(slots=True)
class Server:
    """A place that is asked for documents, and since when it does not answer."""

    store: KuboNode | Folder | None
    gateways: tuple[str, ...] = field(repr=False)
    trouble_until: float = 0.0

    def answered(self, error: ContentError | None, now: float) -> None:
        """Note whether it did its part; that it lacks a document is no trouble."""
        status = error.facts.get("status", 599) if isinstance(error, ContentUnavailable) else 200
        if status >= 500 and not isinstance(self.store, Folder):
            self.trouble_until = now + TROUBLE
        else:
            self.trouble_until = 0.0


def servers_of(network: Network, options: ContentOptions) -> list[Server]:
    """The configured store, the network's gateway, and further gateways."""
    store = parse_store(options.store)
    urls = dict.fromkeys(map(gateway_base, (network.gateway_url, *options.gateways)))
    first = [Server(store, ())] if store is not None else []
    return [*first, *(Server(None, (url,)) for url in urls)]


def seconds_for(tries: int) -> float:
    """How long a server has for a document that has failed so often."""
    return min(FIRST_SECONDS * 2.0 ** min(tries, 10), MOST_SECONDS)


def outcome_of(wanted: Wanted, errors: Sequence[BaseException], limit: int, now: float) -> Outcome:
    """What becomes of a document that no server gave."""
    tries = wanted.tries + 1
    told = "; ".join(dict.fromkeys(_told(error) for error in errors)) or "nobody was asked"
    final = next((error for error in errors if isinstance(error, UnsupportedCID)), None)
    if final is not None:
        return Outcome(wanted.cid, "refused", tries, error=_told(final))
    if errors and all(isinstance(error, ContentTooLarge) for error in errors):
        return Outcome(
            wanted.cid, "refused", tries, size=limit + 1, error=f"It has more than {limit:,} bytes."
        )
    if tries >= MOST_TRIES:
        return Outcome(
            wanted.cid, "refused", tries, error=f"Given up after {tries} tries. {told}"[:LONGEST_ERROR]
        )
    pause = min(FIRST_PAUSE * 2 ** (tries - 1), LONGEST_PAUSE)
    return Outcome(wanted.cid, "failed", tries, next_try=int(now) + pause, error=told)


def _told(error: BaseException) -> str:
    text = error.message if isinstance(error, ContentError) else type(error).__name__
    return printable(text, LONGEST_ERROR)


class Documents:
    """The documents of one index; `run` fetches them until it is cancelled."""

    def __init__(
        self,
        engine: Engine,
        network: Network,
        options: ContentOptions,
        bounds: Bounds,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._shelf = Shelf(engine)
        self._servers = servers_of(network, options)
        self._bounds = bounds
        self._now = now
        self._kept = 0
        self._under_way: dict[asyncio.Task[Outcome], Wanted] = {}

    async def run(self) -> None:
        """Look for new links and fetch what is due, for ever; trouble with the database is waited out."""
        from ogpu.content.http import open_session

        if not (self._bounds.max_bytes and self._bounds.max_kept):
            return
        async with open_session() as session:
            try:
                while True:
                    try:
                        self._kept = await in_thread(
                            self._shelf.open, self._bounds.max_bytes, self._bounds.max_kept
                        )
                        await self._work(session)
                    except (SQLAlchemyError, sqlite3.Error) as error:  # SQLite's own, of opening a file
                        logger.warning("documents wait for the index's database: %s", type(error).__name__)
                        await asyncio.sleep(DATABASE_PAUSE)
            finally:
                await self._stop()

    async def _work(self, session: aiohttp.ClientSession) -> None:
        while True:
            more = await in_thread(self._shelf.look, int(self._now()))
            begun = await self._begin(session)
            if not self._under_way:
                await asyncio.sleep(0 if more else POLL)
                continue
            pause = 0 if more or begun else POLL
            await asyncio.wait(self._under_way, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            await self._collect()

    async def _begin(self, session: aiohttp.ClientSession) -> int:
        """Begin as many fetches as there is room for."""
        free = AT_ONCE - len(self._under_way)
        if free <= 0:
            return 0
        under_way = frozenset(each.cid for each in self._under_way.values())
        due = await in_thread(self._shelf.due, int(self._now()), free, under_way)
        for wanted in due:
            self._under_way[asyncio.create_task(self._fetch(session, wanted))] = wanted
        return len(due)

    async def _collect(self) -> None:
        """Store what has come; a fetch that failed as none should is one that failed, too."""
        outcomes = []
        for task in [task for task in self._under_way if task.done()]:
            wanted = self._under_way.pop(task)
            if error := task.exception():
                logger.warning("fetching %s failed", wanted.cid, exc_info=error)
                outcomes.append(outcome_of(wanted, [error], self._bounds.max_bytes, self._now()))
            else:
                outcomes.append(self._within_bounds(task.result()))
        if outcomes:
            await in_thread(self._shelf.store, outcomes)

    def _within_bounds(self, outcome: Outcome) -> Outcome:
        if outcome.state != "kept":
            return outcome
        size = outcome.size or 0
        if self._kept + size > self._bounds.max_kept:
            full = f"The index keeps at most {self._bounds.max_kept:,} bytes of documents."
            return Outcome(outcome.cid, "refused", outcome.tries, size=size, error=full)
        self._kept += size
        return outcome

    async def _fetch(self, session: aiohttp.ClientSession, wanted: Wanted) -> Outcome:
        """Ask one server after the other, those that have been silent last."""
        from ogpu.content.fetch import Fetch
        from ogpu.content.getting import get_by_cid

        seconds = seconds_for(wanted.tries)
        limits = Limits(self._bounds.max_bytes, total_seconds=seconds, idle_seconds=seconds, attempts=1)
        errors: list[ContentError] = []
        for server in sorted(self._servers, key=lambda each: each.trouble_until > self._now()):
            sink = io.BytesIO()
            try:
                await get_by_cid(
                    Fetch(session, parse_cid(wanted.cid), limits, sink), server.store, server.gateways
                )
            except ContentError as error:
                server.answered(error, self._now())
                errors.append(error)
                continue
            server.answered(None, self._now())
            body = sink.getvalue()
            return Outcome(wanted.cid, "kept", wanted.tries + 1, body=body, size=len(body))
        return outcome_of(wanted, errors, self._bounds.max_bytes, self._now())

    async def _stop(self) -> None:
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        self._under_way.clear()
