"""Connections to an index's database, its schema's version, and the lock of the one who writes it.

Whoever reads (`reader`) needs no lock: in both databases a reader sees what was committed when it began.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from ogpu.errors import ConfigurationError, IndexBusy, IndexFailed, IndexMismatch
from ogpu.indexer.place import Place
from ogpu.indexer.tables import metadata

Migration = Callable[[Connection], None]

VERSION_TABLE = "ogpu_index_version"
# The n-th one leads from version n to version n + 1; an index that is new is made at the newest.
MIGRATIONS: Sequence[Migration] = ()
LOCK = 0x6F676978  # the first key of the advisory lock: "ogix"
LOCK_PATIENCE = 5.0  # seconds; what was killed may hold it for a moment more
LOCK_POLL = 0.05
FILE_WAIT = 5.0  # seconds that SQLite waits for whoever else writes: fetched content is written beside us
CONNECT_TIMEOUT = 5
TCP = {"keepalives_idle": 5, "keepalives_interval": 3, "keepalives_count": 3, "tcp_user_timeout": 15_000}
# A commit that a crash of the machine takes back is made again from the chain, so none waits for the disk.
SQLITE_SESSION = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL")
POSTGRES_SESSION = (
    "SET synchronous_commit = off",
    "SET lock_timeout = 10000",
    "SET idle_in_transaction_session_timeout = 60000",
)


class Database:
    """The writer's connection, opened when it is needed and again after trouble; used by one thread."""

    def __init__(
        self, place: Place, migrations: Sequence[Migration] = MIGRATIONS, patience: float = LOCK_PATIENCE
    ) -> None:
        self.place = place
        self._migrations = migrations
        self._patience = patience
        self._engine = engine(place)
        self._connection: Connection | None = None
        self._lock_file: int | None = None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction that is committed at the end, or undone when something is raised."""
        connection = self._opened()
        with connection.begin():
            yield connection

    def give_up(self) -> None:
        """Leave a connection that failed; the next transaction makes another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def close(self) -> None:
        """Close the connection and free the lock; whatever is not committed is undone."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def _opened(self) -> Connection:
        if self._connection is None:
            if self.place.path is not None:
                self._lock_the_file()
            connection = self._engine.connect()
            try:
                if self.place.path is None:
                    check_encoding(connection, self.place)
                    self._lock_in(connection)
                with connection.begin():
                    upgrade(connection, self.place, self._migrations)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _lock_the_file(self) -> None:
        assert self.place.path is not None
        if self._lock_file is not None:
            return
        self.place.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(f"{self.place.path}.lock", os.O_RDWR | os.O_CREAT, 0o600)

        def taken() -> bool:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        try:
            self._patiently(taken)
        except BaseException:
            os.close(descriptor)
            raise
        self._lock_file = descriptor

    def _lock_in(self, connection: Connection) -> None:
        statement = text("SELECT pg_try_advisory_lock(:lock, hashtext(current_schema()))")

        def taken() -> bool:
            with connection.begin():
                return bool(connection.execute(statement, {"lock": LOCK}).scalar())

        self._patiently(taken)

    def _patiently(self, taken: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self._patience
        while not taken():
            if time.monotonic() > deadline:
                raise IndexBusy(
                    f"Another process writes the index {self.place.name}.",
                    hint="End it first, or name another index; any number of programs may read.",
                    facts={"index": self.place.name, "reason": "busy"},
                )
            time.sleep(LOCK_POLL)


def engine(place: Place, *, pool: type[Any] = NullPool) -> Engine:
    """An engine for an index; `pool` is SQLAlchemy's class of pool."""
    try:
        return _postgres(place, pool) if place.url else _sqlite(place, pool)
    except ImportError as error:
        raise IndexFailed(
            f"The index {place.name} needs a package that is not installed: {error.name}.",
            hint="Install the driver: pip install 'opengpu[postgres]'.",
            facts={"index": place.name, "reason": "driver"},
        ) from error


def check_encoding(connection: Connection, place: Place) -> None:
    """Refuse a PostgreSQL database that cannot hold whatever strangers write."""
    with connection.begin():
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise IndexFailed(
            f"The index {place.name} is in a database with the encoding {encoding}, and needs UTF8.",
            hint="Make one for it: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0.",
            facts={"index": place.name, "reason": "encoding", "encoding": encoding},
        )


def upgrade(connection: Connection, place: Place, migrations: Sequence[Migration]) -> None:
    """Make the tables, or bring them to the newest version, within the transaction that is open."""
    newest = len(migrations) + 1
    version = schema_version(connection, place)
    if version is None:
        metadata.create_all(connection)
        connection.exec_driver_sql(f"CREATE TABLE {VERSION_TABLE} (version INTEGER NOT NULL)")
        connection.exec_driver_sql(f"INSERT INTO {VERSION_TABLE} VALUES ({newest})")  # noqa: S608 - a number
        return
    check_version(version, newest, place)
    for migrate in migrations[version - 1 :]:
        migrate(connection)
    if version < newest:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version = {newest}")  # noqa: S608 - a number


def schema_version(connection: Connection, place: Place) -> int | None:
    """The version of the schema that is there; None where there is no index yet."""
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE in tables:
        found = connection.exec_driver_sql(f"SELECT * FROM {VERSION_TABLE}").fetchall()  # noqa: S608 - our name
        if len(found) == 1 and len(found[0]) == 1 and isinstance(found[0][0], int) and found[0][0] > 0:
            return found[0][0]
        raise _no_index(place)
    # A PostgreSQL database may well be another program's too, a file may not.
    if tables if place.path else tables & set(metadata.tables):
        raise _no_index(place)
    return None


def check_version(version: int, newest: int, place: Place) -> None:
    """Refuse what a newer version of the library made."""
    if version > newest:
        raise IndexMismatch(
            f"The index {place.name} was made by a newer version of this library (schema {version}).",
            hint="Upgrade the package `opengpu`, or name another index.",
            facts={"index": place.name, "reason": "newer", "version": version},
        )


def _no_index(place: Place) -> IndexMismatch:
    return IndexMismatch(
        f"What is at {place.name} is no index of this library.",
        hint="Name another place for the index.",
        facts={"index": place.name, "reason": "foreign"},
    )


def _sqlite(place: Place, pool: type[Any]) -> Engine:
    made = create_engine(
        URL.create("sqlite", database=str(place.path)),
        poolclass=pool,
        hide_parameters=True,
        # No transaction is begun but by us: sqlite3 would begin a reading one, and take the lock too late.
        connect_args={"timeout": FILE_WAIT, "isolation_level": None, "check_same_thread": pool is NullPool},
    )

    @event.listens_for(made, "connect")
    def set_up(connection: Any, _record: object) -> None:
        for statement in SQLITE_SESSION:
            connection.execute(statement)

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("reading")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return made


def _postgres(place: Place, pool: type[Any]) -> Engine:
    assert place.url
    try:
        url = make_url(place.url)
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "The index's PostgreSQL URL cannot be read.",
            hint="It looks like postgresql://user:password@host:5432/database.",
        ) from None  # the cause may quote a password
    given = {"connect_timeout": CONNECT_TIMEOUT, "application_name": "ogpu index", "client_encoding": "UTF8"}
    made = create_engine(
        url,
        poolclass=pool,
        hide_parameters=True,
        isolation_level="REPEATABLE READ",  # one look is at one state, as in SQLite
        connect_args={name: value for name, value in {**given, **TCP}.items() if name not in url.query},
    )

    @event.listens_for(made, "connect")
    def set_up(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            for statement in POSTGRES_SESSION:
                cursor.execute(statement)
        connection.commit()

    return made
