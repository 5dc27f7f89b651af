"""Connections to a journal's database, as durable as it can be made. Imports SQLAlchemy."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from ogpu.errors import ConfigurationError, JournalError
from ogpu.tx.journal.operations import Operations
from ogpu.tx.journal.place import Place
from ogpu.tx.journal.schema import MIGRATIONS, Migration, is_current, upgrade

# Seconds that one try waits for another program's lock. On a file it is short, since closing a journal and
# forking wait for it too; a server has a queue, in which a longer wait keeps its place.
FILE_WAIT = 1.0
LANE_WAIT = 10.0
SQLITE_NEEDED = (3, 35)  # UPDATE … RETURNING
READING = "ogpu_reading"

# What ends a wait for a server that vanished, and another program's wait for ours when we are stopped while
# a transaction of ours holds a lane: seconds, and milliseconds in what the server is told.
CONNECT_TIMEOUT = 5
TCP = {"keepalives_idle": 5, "keepalives_interval": 3, "keepalives_count": 3, "tcp_user_timeout": 15_000}
POSTGRES_SESSION = (
    "SET idle_in_transaction_session_timeout = 10000",
    # COMMIT is to return only once it is on disk; a server may be set up otherwise, and also stricter.
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') = 'off'",
)
SQLITE_SESSION = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON")

_making_a_file = threading.Lock()


class Database:
    """One connection, opened when it is needed and again after trouble; used by one thread."""

    def __init__(
        self, place: Place, migrations: Sequence[Migration] = MIGRATIONS, patience: float = LANE_WAIT
    ) -> None:
        self._place = place
        self._migrations = migrations
        self._engine = _postgres(place, patience) if place.url else _sqlite(place, patience)
        self._connection: Connection | None = None

    @contextmanager
    def transaction(self, *, reading: bool = False) -> Iterator[Operations]:
        """A transaction that is committed at the end, or undone when something is raised."""
        connection = self._opened().execution_options(**{READING: reading})
        with connection.begin():
            yield Operations(connection)

    def close(self) -> None:
        """Close the connection; whatever is not committed is undone."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def give_up(self) -> None:
        """Leave a connection that failed; only memory, which would be lost with it, is kept."""
        if self._connection is not None and not self._place.in_memory:
            connection, self._connection = self._connection, None
            connection.invalidate()
            connection.close()

    def _opened(self) -> Connection:
        if self._connection is None:
            if self._place.path is not None:
                _make_file(self._place.path)
            connection = self._engine.connect()
            try:
                self._upgrade(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _upgrade(self, connection: Connection) -> None:
        connection.execution_options(**{READING: True})
        with connection.begin():
            current = is_current(connection, self._migrations)
        if not current:  # only then anybody else's lock is waited for
            connection.execution_options(**{READING: False})
            with connection.begin():
                upgrade(connection, self._migrations)


def _make_file(path: Path) -> None:
    """An empty file that only its owner can read, before SQLite writes into it."""
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    # One thread at a time: closing a file drops the locks that SQLite may have on it in another one already.
    with _making_a_file:
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    # SQLite would open it for reading, and leave a log that nobody can write to when the file can be again.
    if not os.access(path, os.R_OK | os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _sqlite(place: Place, patience: float) -> Engine:
    if sqlite3.sqlite_version_info < SQLITE_NEEDED:
        raise JournalError(
            f"The SQLite of this Python is {sqlite3.sqlite_version}; the journal needs 3.35.",
            hint="Use a newer Python build, or a PostgreSQL journal.",
            facts={"journal": place.name, "reason": "driver"},
        )
    engine = create_engine(
        URL.create("sqlite", database=str(place.path) if place.path else ":memory:"),
        poolclass=NullPool,
        hide_parameters=True,
        # No transaction is begun but by us: sqlite3 would begin a reading one, and take the lock too late.
        connect_args={
            "timeout": min(FILE_WAIT, patience),
            "isolation_level": None,
            "check_same_thread": True,
        },
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        for statement in SQLITE_SESSION:
            connection.execute(statement)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get(READING)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _postgres(place: Place, patience: float) -> Engine:
    assert place.url
    try:
        url = make_url(place.url)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "The journal's PostgreSQL URL cannot be read.",
            hint="It looks like postgresql://user:password@host:5432/database.",
        ) from None  # the cause may quote a password
    settings = {"connect_timeout": CONNECT_TIMEOUT, "application_name": "ogpu", **TCP}
    engine = create_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        connect_args={name: value for name, value in settings.items() if name not in url.query},
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {max(1, round(1000 * min(LANE_WAIT, patience)))}")
            for statement in POSTGRES_SESSION:
                cursor.execute(statement)
        connection.commit()

    return engine
