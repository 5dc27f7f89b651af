"""What a database's error means: run it again, or tell the caller, and how. Imports SQLAlchemy."""

from __future__ import annotations

from sqlalchemy.exc import NoSuchModuleError

from ogpu import databases
from ogpu.errors import JournalError, JournalIncompatible
from ogpu.tx.journal.place import Place
from ogpu.tx.journal.schema import NewerVersion, NotAJournal

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
    own = isinstance(error, ImportError | NotAJournal | NewerVersion | NoSuchModuleError)
    return own or databases.is_trouble(error)


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
    reason = "foreign" if isinstance(error, NotAJournal) else databases.reason_of(error)
    return _explained(reason, error, place) if reason in EXPLAINED else None


def _explained(reason: str, error: Exception, place: Place) -> JournalError:
    kind = JournalIncompatible if reason == "foreign" else JournalError
    what, hint = EXPLAINED[reason]
    words = databases.words_of(error, place.url)
    return kind(
        f"The journal {place.name} {what}{f' ({words})' if words else ''}.",
        hint=hint,
        facts={"journal": place.name, "reason": reason},
    )
