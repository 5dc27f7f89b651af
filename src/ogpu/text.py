"""Text that is not ours, made fit for messages and logs: printable, bounded, no keys or tokens. Pure."""

from __future__ import annotations

import re
from base64 import b64encode
from urllib.parse import unquote, urlsplit

# A private key has 64 hexadecimal digits; mistyped or separating characters among them change nothing.
_KEY_LIKE = re.compile(r"(?:[0-9a-fA-F][^0-9a-fA-F]?){60}")
_KEY_LIKE_LENGTH = 120
_KEY_LIKE_BITS = 196  # a whole number of more bits is written with 60 digits or more

_SHORTEST_TOKEN = 4  # characters; "rpc" and "v3" are no secrets


def printable(text: str, limit: int = 2000) -> str:
    """One line of at most `limit` characters in which control characters are spelled out."""
    cut = text[:limit]
    line = "".join(c if c.isprintable() else _spelled(c) for c in cut)
    return f"{line} … (cut)" if len(text) > limit else line


def _spelled(character: str) -> str:
    return "    " if character == "\t" else character.encode("unicode_escape").decode()


def shown(value: object, limit: int = 60) -> str:
    """A caller's argument for a message: quoted when it is text or a number, else only its type is named.

    What looks like a private key is never repeated: keys are given in the wrong place by mistake.
    """
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, int):
        bits = int.bit_length(value)
        return f"a whole number of {bits} bits" if bits > _KEY_LIKE_BITS else int.__repr__(value)
    if isinstance(value, str):
        text = str.__str__(value)
        if _KEY_LIKE.search(text[: limit + _KEY_LIKE_LENGTH]):
            return "a value that looks like a private key (it is not shown)"
        return f"'{printable(text, limit)}'"
    return f"a value of type {printable(type(value).__qualname__, limit)}"


def without_url_parts(text: str, url: str) -> str:
    """What a server says, without what may be secret in the URL that it was asked by."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return text
    userinfo = parts.netloc.rpartition("@")[0]
    pieces = set(re.split(r"[/:;?&=#]", "/".join((userinfo, parts.path, parts.query, parts.fragment))))
    pieces |= {unquote(piece) for piece in pieces}
    if userinfo:  # as HTTP sends it
        pieces.add(b64encode(unquote(userinfo).encode(errors="replace")).decode().rstrip("="))
    tokens = sorted((p for p in pieces if len(p) >= _SHORTEST_TOKEN), key=len, reverse=True)
    if not tokens:
        return text
    return re.sub("|".join(map(re.escape, tokens)), "…", text, flags=re.IGNORECASE)
