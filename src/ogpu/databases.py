"""What an error of SQLite, PostgreSQL or the system means, in one word. Imports SQLAlchemy.

The journal and the index say in their own words what that means for them.
"""

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


def is_trouble(error: Exception) -> bool:
    """Whether an error is the database's or the system's, and not one of the statement that met it."""
    if isinstance(error, ProgrammingError):
        return getattr(error.orig, "sqlstate", None) in _POSTGRES
    if isinstance(error, DBAPIError):
        own = isinstance(error, OperationalError | InterfaceError | InternalError)
        return own or type(error) is DatabaseError or error.connection_invalidated
    return isinstance(error, sqlite3.Error | OSError)


def reason_of(error: Exception) -> str:
    """Why: `locked` and `away` pass by themselves; `full`, `disk`, `permission`, `login`, `damaged` and
    `foreign` (other tables are in it) do not.
    """
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


def words_of(error: Exception, url: str | None) -> str:
    """The database's own words, without what is secret in its URL."""
    words = str(error.orig if isinstance(error, DBAPIError) else error)
    return printable(without_url_parts(words, url or ""), LONGEST_WORDS)
