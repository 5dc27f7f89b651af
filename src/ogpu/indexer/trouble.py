"""What a database's error means for the index: to be waited out, or to be told, and how."""

from __future__ import annotations

from ogpu.databases import reason_of, words_of
from ogpu.errors import IndexFailed, IndexMismatch, IndexUnavailable
from ogpu.indexer.place import Place

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


def trouble(error: Exception, place: Place) -> IndexFailed:
    """What to tell; an `IndexUnavailable` may pass by itself."""
    reason = reason_of(error)
    what, hint = _EXPLAINED[reason]
    words = words_of(error, place.url)
    kind = IndexUnavailable if reason in _PASSING else IndexMismatch if reason == "foreign" else IndexFailed
    return kind(
        f"The index {place.name} {what}{f' ({words})' if words else ''}.",
        hint=hint,
        facts={"index": place.name, "reason": reason},
    )
