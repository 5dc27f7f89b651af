"""Where a journal is: a file, memory, or a PostgreSQL database."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ogpu import settings
from ogpu.errors import ConfigurationError
from ogpu.networks import redact
from ogpu.text import shown

MEMORY = ":memory:"
FILE_NAME = "journal.sqlite3"
POSTGRESQL = ("postgresql://", "postgres://", "postgresql+psycopg://")


@dataclass(frozen=True)
class Place:
    """One journal's place; `name` is for messages and is without a password."""

    name: str
    path: Path | None = None  # of an SQLite file
    url: str | None = field(default=None, repr=False)  # of a PostgreSQL database

    @property
    def in_memory(self) -> bool:
        return self.path is None and self.url is None

    @property
    def exists(self) -> bool:
        """Whether there is something to read; whether a database answers is not asked."""
        return self.url is not None or (self.path is not None and self.path.exists())


def place_of(where: str | Path) -> Place:
    """Read what a caller gives: a path, ":memory:", or a PostgreSQL URL."""
    if isinstance(where, str):
        if where == MEMORY:
            return Place(MEMORY)
        if where.startswith(POSTGRESQL):
            return Place(redact(where), url="postgresql+psycopg://" + where.partition("://")[2])
        if "://" in where:
            raise _unknown(where)
    path = Path(where).expanduser().absolute()
    return Place(str(path), path=path)


def journal_place(given: str | Path | None = None) -> str | Path:
    """The journal to use: the one given, else the one of `OGPU_JOURNAL`, else a file of the user."""
    return given or settings.journal() or settings.state_folder() / FILE_NAME


def _unknown(where: str) -> ConfigurationError:
    scheme = shown(where.partition("://")[0])
    return ConfigurationError(
        f"A journal cannot be at a URL of the scheme {scheme}.",
        hint=f'Give a path, "{MEMORY}", or a URL that begins with postgresql://.',
    )
