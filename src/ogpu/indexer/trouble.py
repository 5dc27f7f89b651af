"""What a database's error means for the index: to be waited out, or to be told, and how."""

from __future__ import annotations

import errno
import sqlite3

from sqlalchemy.exc import (
    DatabaseError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
)

from ogpu.errors import IndexFailed, IndexMismatch, IndexUnavailable
from ogpu.indexer.place import Place
from ogpu.text import printable, without_url_parts

LONGEST_WORDS = 300  # characters of what a database says

# Result codes of SQLite (https://sqlite.org/rescode.html); extended ones have these in their low byte.
_SQLITE = {
    3: "permission",  # PERM
    5: "locked",  # BUSY
    6: "locked",  # LOCKED
    8: "permission",  # READONLY
    10: "disk",  # IOERR
    11: "damaged",  # CORRUPT
    13: "full",  # FULL
    14: "permission",  # CANTOPEN
    15: "locked",  # PROTOCOL
    26: "foreign",  # NOTADB
}
# SQLSTATE codes (PostgreSQL's manual, appendix A); a lost connection has none.
_POSTGRES = {
    "53100": "full",
    "55P03": "locked",
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
# SQLite has no code for a missing table or column, only words; a refused login comes without a code as well.
_FOREIGN_WORDS = ("no such table", "no such column", "has no column named")
_LOGIN_WORDS = ("authentication failed", "no password supplied", "no pg_hba.conf entry", "does not exist")
_SYSTEM = {errno.ENOSPC: "full", errno.EDQUOT: "full", errno.EFBIG: "full", errno.EIO: "disk"}
_PASSING = {"locked", "full", "disk", "away"}

_EXPLAINED = {
    "away": ("does not answer", "Check that its server runs."),
    "locked": ("is locked", "Another program writes it for a long time; see which one."),
    "full": ("has no room left", "Free space on its disk; nothing that is in it is lost."),
    "disk": ("could not be read or written by the system", "Check its disk."),
    "permission": ("cannot be opened or written", "Check who owns it, its folder, and their permissions."),
    "damaged": ("is damaged", "Make it anew from the chain: `ogpu index rebuild`."),
    "login": ("refuses the login", "Check user, password and database in its URL."),
    "foreign": ("lacks tables of an index", "Make it anew (`ogpu index rebuild`), or name another place."),
}


def is_trouble(error: Exception) -> bool:
    """Whether an error is the database's, and not one of ours."""
    if isinstance(error, ProgrammingError):
        return getattr(error.orig, "sqlstate", None) in _POSTGRES
    if isinstance(error, DBAPIError):
        own = isinstance(error, OperationalError | InterfaceError | InternalError)
        return own or type(error) is DatabaseError or error.connection_invalidated
    return isinstance(error, sqlite3.Error | OSError)


def trouble(error: Exception, place: Place) -> IndexFailed:
    """What to tell; an `IndexUnavailable` may pass by itself."""
    reason = _reason(error)
    what, hint = _EXPLAINED[reason]
    words = _said(error, place)
    kind = IndexUnavailable if reason in _PASSING else IndexMismatch if reason == "foreign" else IndexFailed
    return kind(
        f"The index {place.name} {what}{f' ({words})' if words else ''}.",
        hint=hint,
        facts={"index": place.name, "reason": reason},
    )


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return _SYSTEM.get(error.errno or 0, "permission")
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, sqlite3.Error):
        if any(word in str(original) for word in _FOREIGN_WORDS):
            return "foreign"
        return _SQLITE.get(getattr(original, "sqlite_errorcode", 0) & 0xFF, "disk")
    if code := getattr(original, "sqlstate", None):
        return _POSTGRES.get(code, "away")
    return "login" if any(word in str(original) for word in _LOGIN_WORDS) else "away"


def _said(error: Exception, place: Place) -> str:
    """The database's own words, without what is secret in its URL."""
    words = str(error.orig if isinstance(error, DBAPIError) else error)
    return printable(without_url_parts(words, place.url or ""), LONGEST_WORDS)
