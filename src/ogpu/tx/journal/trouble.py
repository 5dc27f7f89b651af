"""What a database's error means: run it again, or tell the caller, and how. Imports SQLAlchemy."""

from __future__ import annotations

import errno
import sqlite3

from sqlalchemy.exc import (
    DatabaseError,
    DBAPIError,
    InterfaceError,
    InternalError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
)

from ogpu.errors import JournalError, JournalIncompatible
from ogpu.text import printable, without_url_parts
from ogpu.tx.journal.place import Place
from ogpu.tx.journal.schema import NewerVersion, NotAJournal

# Result codes of SQLite (https://sqlite.org/rescode.html); extended ones have these in their low byte.
SQLITE_AGAIN = {5, 6, 15}  # BUSY, LOCKED, PROTOCOL
SQLITE_FATAL = {
    3: "permission",  # PERM
    8: "permission",  # READONLY
    10: "disk",  # IOERR
    11: "damaged",  # CORRUPT
    13: "full",  # FULL
    14: "permission",  # CANTOPEN
    26: "foreign",  # NOTADB
}

# SQLSTATE codes (PostgreSQL's manual, appendix A); a lost connection has none.
POSTGRES_FATAL = {
    "53100": "full",
    "42501": "permission",
    "3F000": "permission",  # no schema in which this user may create a table
    "28000": "login",
    "28P01": "login",
    "3D000": "login",
    "42P01": "foreign",
    "42703": "foreign",
    "XX001": "damaged",
    "XX002": "damaged",
}
# SQLite has no code for a missing table or column, only words.
FOREIGN_WORDS = ("no such table", "no such column", "has no column named")
# A refused login comes without a code, in the server's own words.
LOGIN_WORDS = ("authentication failed", "no password supplied", "no pg_hba.conf entry", "does not exist")

SYSTEM_FATAL = {errno.ENOSPC: "full", errno.EDQUOT: "full", errno.EFBIG: "full", errno.EIO: "disk"}

EXPLAINED = {
    "full": ("has no room left", "Free space on its disk; nothing that was stored is lost."),
    "permission": ("cannot be opened or written", "Check who owns it, its folder, and their permissions."),
    "disk": ("could not be read or written by the system", "Check its disk and the limits of this process."),
    "damaged": (
        "is damaged",
        "Do not delete it while transactions are open: restore a copy, or ask for help.",
    ),
    "login": ("refuses the login", "Check user, password and database in its URL."),
    "foreign": ("is not a journal of this library", "Name another place with journal= or OGPU_JOURNAL."),
}
HINT_NEWER = "Upgrade the package `opengpu`, or name another journal."
HINT_DRIVER = "Install the driver: pip install 'opengpu[postgres]'."


def is_trouble(error: Exception) -> bool:
    """Whether an error concerns the journal as a whole, and not the one operation that met it."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        if isinstance(error, ProgrammingError):
            return state in POSTGRES_FATAL
        own = isinstance(error, OperationalError | InterfaceError | InternalError)
        return own or type(error) is DatabaseError or error.connection_invalidated
    return isinstance(
        error, sqlite3.Error | OSError | ImportError | NotAJournal | NewerVersion | NoSuchModuleError
    )


def verdict(error: Exception, place: Place) -> JournalError | None:
    """What to tell the caller, or None when it may work when it is run again."""
    if isinstance(error, NewerVersion):
        return JournalIncompatible(
            f"The journal {place.name} was made by a newer version of this library (schema {error.version}).",
            hint=HINT_NEWER,
            facts={"journal": place.name, "reason": "newer", "version": error.version},
        )
    if isinstance(error, ImportError):
        return JournalError(
            f"The journal {place.name} needs a package that is not installed: {error.name}.",
            hint=HINT_DRIVER,
            facts={"journal": place.name, "reason": "driver"},
        )
    reason = _reason(error)
    return None if reason is None else _explained(reason, error, place)


def said(error: Exception, place: Place) -> str:
    """The database's own words, without what is secret in its URL."""
    words = str(error.orig if isinstance(error, DBAPIError) else error)
    return printable(without_url_parts(words, place.url or ""), 300)


def _reason(error: Exception) -> str | None:
    if isinstance(error, NotAJournal):
        return "foreign"
    if isinstance(error, OSError):
        return SYSTEM_FATAL.get(error.errno or 0, "permission")
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, sqlite3.Error):
        if any(word in str(original) for word in FOREIGN_WORDS):
            return "foreign"
        code = getattr(original, "sqlite_errorcode", 0) & 0xFF
        return None if code in SQLITE_AGAIN else SQLITE_FATAL.get(code, "disk")
    if code := getattr(original, "sqlstate", None):
        return POSTGRES_FATAL.get(code)
    return "login" if any(word in str(original) for word in LOGIN_WORDS) else None


def _explained(reason: str, error: Exception, place: Place) -> JournalError:
    kind = JournalIncompatible if reason == "foreign" else JournalError
    what, hint = EXPLAINED[reason]
    words = said(error, place)
    return kind(
        f"The journal {place.name} {what}{f' ({words})' if words else ''}.",
        hint=hint,
        facts={"journal": place.name, "reason": reason},
    )
