"""The tables, as statements use them, and the migrations that make them. Imports SQLAlchemy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    inspect,
    text,
)

Migration = Callable[[Connection], None]

metadata = MetaData()

# Amounts in wei and expiries are text: they are numbers of up to 256 bits.
intents = Table(
    "ogpu_intents",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("key", Text),
    Column("named", Boolean),
    Column("chain", Text),
    Column("sender", Text),
    Column("content", Text),
    Column("label", Text),
    Column("target", Text),
    Column("data", Text),
    Column("value", Text),
    Column("payment", Text),
    Column("expires", Text),
    Column("owner", Text),
    Column("nonce", BigInteger),
    Column("state", Text),
    Column("final", Boolean),
    Column("outcome", Text),
    Column("created", Float),
)
attempts = Table(
    "ogpu_attempts",
    metadata,
    Column("key", Text),
    Column("number", Integer),
    Column("kind", Text),
    Column("nonce", BigInteger),
    Column("hash", Text),
    Column("max_fee", Text),
    Column("priority_fee", Text),
    Column("gas", BigInteger),
    Column("raw", LargeBinary),
    Column("first_block", BigInteger),
    Column("created", Float),
)
lanes = Table(
    "ogpu_lanes",
    metadata,
    Column("chain", Text),
    Column("sender", Text),
    Column("fence", BigInteger),
    Column("owner", Text),
    Column("expires", Float),
    Column("next_nonce", BigInteger),
)

VERSION_TABLE = "ogpu_schema_version"
LOCK = 0x6F677075  # the advisory lock under which one program at a time migrates: "ogpu"

# Written out and never changed once released: a migration says what a version was, not what it is now.
VERSION_1 = (
    """CREATE TABLE ogpu_intents (
        id {id},
        key TEXT NOT NULL,
        named BOOLEAN NOT NULL,
        chain TEXT NOT NULL,
        sender TEXT NOT NULL,
        content TEXT NOT NULL,
        label TEXT NOT NULL,
        target TEXT NOT NULL,
        data TEXT NOT NULL,
        value TEXT NOT NULL,
        payment TEXT NOT NULL,
        expires TEXT,
        owner TEXT NOT NULL,
        nonce BIGINT NOT NULL,
        state TEXT NOT NULL,
        final BOOLEAN NOT NULL,
        outcome TEXT,
        created DOUBLE PRECISION NOT NULL)""",
    "CREATE UNIQUE INDEX ogpu_intents_key ON ogpu_intents (key)",
    "CREATE INDEX ogpu_intents_unsettled ON ogpu_intents (chain, final, sender)",
    "CREATE INDEX ogpu_intents_content ON ogpu_intents (chain, sender, content)",
    """CREATE TABLE ogpu_attempts (
        key TEXT NOT NULL REFERENCES ogpu_intents (key),
        number INTEGER NOT NULL,
        kind TEXT NOT NULL,
        nonce BIGINT NOT NULL,
        hash TEXT NOT NULL,
        max_fee TEXT NOT NULL,
        priority_fee TEXT,
        gas BIGINT NOT NULL,
        raw {bytes} NOT NULL,
        first_block BIGINT NOT NULL,
        created DOUBLE PRECISION NOT NULL,
        PRIMARY KEY (key, number))""",
    """CREATE TABLE ogpu_lanes (
        chain TEXT NOT NULL,
        sender TEXT NOT NULL,
        fence BIGINT NOT NULL,
        owner TEXT,
        expires DOUBLE PRECISION NOT NULL,
        next_nonce BIGINT,
        PRIMARY KEY (chain, sender))""",
)
TYPES = {
    "sqlite": {"id": "INTEGER PRIMARY KEY AUTOINCREMENT", "bytes": "BLOB"},
    "postgresql": {"id": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "bytes": "BYTEA"},
}


def first_version(connection: Connection) -> None:
    """Version 1: intents, attempts and lanes."""
    for statement in VERSION_1:
        connection.exec_driver_sql(statement.format(**TYPES[connection.dialect.name]))


MIGRATIONS: Sequence[Migration] = (first_version,)  # the n-th one leads to version n


class NotAJournal(Exception):
    """What is there has tables, and they are not a journal's."""


class NewerVersion(Exception):
    """A newer version of the library made it."""

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__(version)


def is_current(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> bool:
    """Whether there is nothing to upgrade; it takes no lock."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return False
    return _not_newer(_stored_version(connection), migrations) == len(migrations)


def upgrade(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the tables to the newest version, within the transaction that is open."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    version = _not_newer(_version(connection), migrations)
    for migrate in migrations[version:]:
        migrate(connection)
    if version < len(migrations):
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version = {len(migrations)}")  # noqa: S608


def _not_newer(version: int, migrations: Sequence[Migration]) -> int:
    if version > len(migrations):
        raise NewerVersion(version)
    return version


def _version(connection: Connection) -> int:
    """The version that is there; where there is nothing it becomes 0."""
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE in tables:
        return _stored_version(connection)
    # A PostgreSQL database may well be another program's too, a file may not.
    others = tables if connection.dialect.name == "sqlite" else tables & set(metadata.tables)
    if others:
        raise NotAJournal
    connection.exec_driver_sql(f"CREATE TABLE {VERSION_TABLE} (version INTEGER NOT NULL)")
    connection.exec_driver_sql(f"INSERT INTO {VERSION_TABLE} VALUES (0)")  # noqa: S608 - our own name
    return 0


def _stored_version(connection: Connection) -> int:
    found = connection.execute(text(f"SELECT * FROM {VERSION_TABLE}"))  # noqa: S608 - our own name
    columns, rows = list(found.keys()), found.fetchall()
    if columns != ["version"] or len(rows) != 1 or not isinstance(rows[0][0], int) or rows[0][0] < 0:
        raise NotAJournal
    return int(rows[0][0])
