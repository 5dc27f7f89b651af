"""Where an index is: an SQLite file, or a PostgreSQL database."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ogpu import settings
from ogpu.errors import ConfigurationError
from ogpu.networks import Network, redact
from ogpu.text import shown

POSTGRESQL = ("postgresql://", "postgres://", "postgresql+psycopg://")


@dataclass(frozen=True)
class Place:
    """One index's place; `name` is for messages and is without a password."""

    name: str
    path: Path | None = None  # of an SQLite file
    url: str | None = field(default=None, repr=False)  # of a PostgreSQL database


def index_place(network: Network, given: str | Path | None = None) -> Place:
    """The index to use: the one given, else the one of `OGPU_INDEX`, else a file of the user."""
    name = f"{network.name}-{network.chain_id}.sqlite3"
    return place_of(given or settings.index() or settings.data_folder() / "index" / name)


def place_of(where: str | Path) -> Place:
    """Read what a caller gives: a path, or a PostgreSQL URL."""
    if isinstance(where, str):
        if where.startswith(POSTGRESQL):
            return Place(redact(where), url="postgresql+psycopg://" + where.partition("://")[2])
        if "://" in where:
            raise ConfigurationError(
                f"An index cannot be at a URL of the scheme {shown(where.partition('://')[0])}.",
                hint="Give a path, or a URL that begins with postgresql://.",
            )
    path = Path(where).expanduser().absolute()
    return Place(str(path), path=path)
