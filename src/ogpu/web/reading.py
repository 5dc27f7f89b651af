"""Looks into the index: read-only connections, each look at one state, and bounded in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from ogpu.indexer.place import Place
from ogpu.web.failures import Unready
from ogpu.web.limits import Limits

T = TypeVar("T")

THREADS = 4  # Python runs one at a time; the others wait for the database
STEPS = 20_000  # of SQLite's machine, between two looks at the clock
CONNECT_SECONDS = 5


class Index:
    """The index at a place, to be read; whether it is there shows when one looks."""

    def __init__(self, place: Place, limits: Limits) -> None:
        self._place, self._limits = place, limits
        self._engine = _sqlite(place.path) if place.path else _postgres(place.url or "", limits.query_seconds)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="index")
        self._waiting = 0

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """A connection at one state of the index; raises `Unready` when there is none to be had."""
        try:
            with self._engine.connect() as connection:
                deadline = connection.info.get("deadline")
                if deadline is not None:
                    deadline.at = time.monotonic() + self._limits.query_seconds
                with connection.begin():
                    yield connection
        except DBAPIError as error:
            raise Unready(
                f"The index cannot be read: {type(error.orig).__name__}.",
                hint="Try again in a moment; /readyz tells how the index is.",
            ) from error

    async def ask(self, question: Callable[[Connection], T]) -> T:
        """What a function of a connection returns, run beside the event loop."""
        if self._waiting >= self._limits.waiting:
            raise Unready("Too many requests wait for the index.", hint="Try again in a moment.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, question)
        finally:
            self._waiting -= 1

    def _answer(self, question: Callable[[Connection], T]) -> T:
        with self.look() as connection:
            return question(connection)

    def close(self) -> None:
        """End the threads and the connections."""
        self._threads.shutdown(cancel_futures=True)
        self._engine.dispose()


@dataclass
class _Deadline:
    """Until when a connection's look may last."""

    at: float = float("inf")


def _sqlite(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///file:{quote(str(path))}?mode=ro&uri=true",
        poolclass=QueuePool,
        pool_size=THREADS,
        hide_parameters=True,
        connect_args={"timeout": 2, "isolation_level": None, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, record: Any) -> None:
        deadline = record.info["deadline"] = _Deadline()
        connection.execute("PRAGMA query_only = ON")
        connection.set_progress_handler(lambda: time.monotonic() > deadline.at, STEPS)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")  # the driver alone would begin none for reading

    return engine


def _postgres(url: str, seconds: float) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=THREADS,
        pool_pre_ping=True,
        hide_parameters=True,
        isolation_level="REPEATABLE READ",
        connect_args={"connect_timeout": CONNECT_SECONDS, "application_name": "ogpu serve"},
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:  # not as an option of the URL, which may have options of its own
            cursor.execute("SET default_transaction_read_only = on")
            cursor.execute(f"SET statement_timeout = {int(seconds * 1000)}")
        connection.commit()

    return engine
