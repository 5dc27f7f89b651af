"""What a document's bytes are, judged by themselves, and how they may be shown and served. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from markupsafe import Markup

from ogpu.safejson import parse_json
from ogpu.web import show

Kind = Literal["json", "text", "image", "data"]

MOST_PIECES = 4000  # of a JSON value
MOST_TEXT = 20_000  # characters
MOST_PARSED = 2 * 1024 * 1024  # bytes
MOST_PIXELS = 40_000_000

SAFE_NAMES = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}


@dataclass(frozen=True)
class Body:
    """A document's bytes: `value` is the JSON value, `media` the type that they may be served as."""

    kind: Kind
    media: str
    size: int
    value: Any = None
    text: str = ""

    @property
    def shown(self) -> Markup:
        """JSON or text for a `pre` element."""
        if self.kind == "json":
            pieces = list(islice(show.pretty(self.value), MOST_PIECES + 1))
            cut = Markup('\n<span class="ctl">… cut, it goes on</span>') if len(pieces) > MOST_PIECES else ""
            return Markup("").join(pieces[:MOST_PIECES]) + cut
        return show.text(self.text, MOST_TEXT, lines=True)

    def field(self, name: str) -> str:
        """A field that is text in a JSON object, or ""."""
        found = self.value.get(name) if isinstance(self.value, dict) else None
        return found if isinstance(found, str) else ""


def body_of(data: bytes) -> Body:
    """What bytes are: a raster image by its first bytes, JSON, text, or just data."""
    media = image_type(data)
    if media:
        return Body("image", media, len(data))
    if len(data) <= MOST_PARSED:
        try:
            return Body("json", "application/json", len(data), value=parse_json(data))
        except (ValueError, RecursionError):
            pass
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return Body("data", "application/octet-stream", len(data))
    return Body("text", "text/plain; charset=utf-8", len(data), text=text)


def image_type(data: bytes) -> str | None:
    """The type of a raster image that a browser may decode: by its signature, and of a size that it bears."""
    found = _signature(data)
    size = _pixels(found, data) if found else None
    if size is None or not 0 < size[0] * size[1] <= MOST_PIXELS:
        return None
    return found


def _signature(data: bytes) -> str | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def _pixels(media: str, data: bytes) -> tuple[int, int] | None:
    """Width and height as the image's header says them, or None where there is no such header."""
    if media == "image/png" and data[12:16] == b"IHDR":
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if media == "image/gif" and len(data) >= 10:
        return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    if media == "image/webp":
        return _webp(data)
    return _jpeg(data) if media == "image/jpeg" else None


def _webp(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and len(data) >= 30:
        return (
            int.from_bytes(data[26:28], "little") & 0x3FFF,
            int.from_bytes(data[28:30], "little") & 0x3FFF,
        )
    return None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    """The frame's size: segments are walked to the one that tells it."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
