"""What strangers wrote where a link should be: which document it names, or why it is never fetched. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from ogpu.content.addresses import check_link
from ogpu.content.cid import cid_in_link, cid_of_link
from ogpu.errors import ContentBlocked, UnsupportedCID

LONGEST_LINK = 2048  # characters; what is longer is stored by its beginning, and never fetched
NO_CID = "has no CID, so what it leads to cannot be checked"

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,30}://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Link:
    """A link of an item: its document's CID, or why it has none."""

    url: str
    url_hash: str
    role: str  # "metadata", "params", "config" or "result"
    cid: str | None
    refused: str | None


def url_hash(url: str) -> str:
    """The key of a link in the table `links`: SHA-256 of its UTF-8, in hex."""
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()


def link_of(text: str, role: str) -> Link | None:
    """The link that a text is; None for an empty one, and for a result that is the answer itself."""
    cid, refused = _read(text)
    if not text or (role == "result" and cid is None and not _SCHEME.match(text.strip())):
        return None
    return Link(text[:LONGEST_LINK], url_hash(text), role, cid, refused)


def _read(text: str) -> tuple[str | None, str | None]:
    """The CID, or why there is none that can be fetched."""
    if len(text) > LONGEST_LINK:
        return None, f"is longer than {LONGEST_LINK:,} characters"
    try:
        return str(cid_of_link(text.strip())), None
    except UnsupportedCID as error:
        if cid_in_link(text):
            return None, error.message
    try:
        check_link(text, frozenset())
    except ContentBlocked as error:
        return None, str(error.facts["reason"])
    return None, NO_CID
