"""Values as the page shows them: amounts, times, addresses, links, and text of strangers. Pure.

Whatever is not ours passes `text`: escaped, bounded, with nothing in it that acts on what stands around it.
"""

from __future__ import annotations

import json
import re
import unicodedata
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from urllib.parse import urlsplit

from markupsafe import Markup, escape

from ogpu.web.html import html

COIN = 10**18  # wei
LAST_SECOND = 253_402_300_799  # of the year 9999
MOST_MARKS = 3  # on one letter; more of them would cover the lines around it
STEPS = ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h"), (60 * 86400, 86400, "d"))
FAR = ((730 * 86400, 30 * 86400, "months"), (10**30, 365 * 86400, "years"))

# They take no ink, though Unicode calls them letters or symbols.
ROW = (int, float, type(None))  # what a short list has in one line
BLANK = {"\u115f", "\u1160", "\u2800", "\u3164", "\uffa0"}
UNSHOWN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


# --- Amounts


def coins(wei: int) -> str:
    """An amount in OGPU, short enough for a table: six decimals below a thousand, then two."""
    whole, rest = divmod(abs(wei), COIN)
    sign = "-" if wei < 0 else ""
    if whole >= 10**12:
        digits = str(whole)
        return f"{sign}{digits[0]}.{digits[1:3]} × 10{_raised(len(digits) - 1)}"
    places = 6 if whole < 1000 else 2
    decimals = f"{rest:018d}"[:places].rstrip("0")
    if whole == 0 and rest and not decimals:
        return f"< {sign}0.000001"
    return f"{sign}{whole:,}" + (f".{decimals}" if decimals else "")


def _raised(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def amount(wei: int | None) -> Markup:
    """An amount in OGPU, with its wei for whoever points at it or listens."""
    if wei is None:
        return Markup('<span class="none">–</span>')
    return html(
        '<data class="amount" value="{0}" title="{1} wei">{2}&nbsp;<span class="unit">OGPU</span>'
        '<span class="sr"> ({1} wei)</span></data>',
        wei,
        f"{wei:,}",
        coins(wei),
    )


# --- Times


def duration(seconds: float) -> str:
    """A length of time in one unit, or two where one says too little: "0.4 s", "12 s", "3 min", "5 d"."""
    seconds = abs(seconds)
    if 0 < seconds < 1:
        return f"{seconds:.1f} s"
    if seconds >= STEPS[-1][0]:
        unit, name = next(((unit, name) for limit, unit, name in FAR if seconds < limit), (0, ""))
        return f"{seconds / unit:,.0f} {name}" if unit else "forever"
    unit, name = next((unit, name) for limit, unit, name in STEPS if seconds < limit)
    count = seconds / unit
    if name == "s" or count >= 10 or not round(count % 1, 1) % 1:
        return f"{count:.0f} {name}"
    return f"{count:.1f} {name}"


def exact(unix: int) -> str:
    """A time of the calendar, in UTC."""
    when = datetime.fromtimestamp(unix, UTC)
    return f"{when.day} {when:%b %Y, %H:%M:%S} UTC"


def ago(unix: int, now: float) -> str:
    """How long ago something was, or in what time it will be; static/times.js says the same."""
    seconds = now - unix
    if -2 < seconds < 2:
        return "just now"
    return f"{duration(int(seconds))} ago" if seconds > 0 else f"in {duration(int(-seconds))}"


def moment(unix: int | None, now: float) -> Markup:
    """A time as how long ago it was, with the exact one for whoever points at it; it ticks by times.js."""
    if unix is None:
        return Markup('<span class="none">–</span>')
    if not 0 <= unix <= LAST_SECOND:
        return html('<span class="none" title="{0}">beyond the year 9999</span>', f"{unix} in Unix seconds")
    when = datetime.fromtimestamp(unix, UTC)
    return html(
        '<time datetime="{0}" title="{1}" data-t="{2}">{3}</time>',
        f"{when:%Y-%m-%dT%H:%M:%SZ}",
        exact(unix),
        unix,
        ago(unix, now),
    )


def lasting(seconds: int | None) -> Markup:
    """A duration, with its seconds for whoever points at it."""
    if seconds is None:
        return Markup('<span class="none">–</span>')
    return html('<span title="{0}">{1}</span>', f"{seconds:,} s", duration(min(seconds, 10**40)))


# --- Addresses and hashes


def short(value: str) -> str:
    """The first and last digits of an address or hash."""
    return f"{value[:6]}…{value[-4:]}" if len(value) > 14 else value


@lru_cache(1 << 12)
def emblem(value: str) -> Markup:
    """A small picture of an address, by which an eye knows it again in a list."""
    bits = zlib.crc32(value.encode())
    cells = [(x, y) for y in range(5) for x in range(3) if bits >> (y * 3 + x) & 1]
    squares = {(mirrored, y) for x, y in cells for mirrored in (x, 4 - x)}
    path = "".join(f"M{x} {y}h1v1h-1z" for x, y in sorted(squares))
    hue = (bits >> 16) % 12
    return html(
        '<svg class="emblem h{0}" viewBox="0 0 5 5" aria-hidden="true"><path d="{1}"/></svg>', hue, path
    )


def copier(value: str, what: str) -> Markup:
    """A button that copies a value; copy.js shows it, since it needs a script."""
    return html(
        '<button type="button" class="copy" data-copy="{0}" aria-label="Copy {1} {2}" hidden></button>',
        value,
        what,
        short(value),
    )


def address(value: str | None, kind: str, name: str = "", *, copy: bool = True) -> Markup:
    """A link to what has an address, under its name when it has one; `kind` is a view, such as "tasks"."""
    if not value:
        return Markup('<span class="none">–</span>')
    label = text(name, 60) if name else html('<span class="mono">{0}</span>', short(value))
    return html(
        '<span class="addr">{0}<a href="/{1}/{2}" title="{2}">{3}</a>{4}</span>',
        emblem(value),
        kind,
        value,
        label,
        copier(value, "address") if copy else "",
    )


def transaction(value: str | None) -> Markup:
    """A link to what a transaction did."""
    if not value:
        return Markup('<span class="none">–</span>')
    return html(
        '<span class="addr"><a class="mono" href="/transactions/{0}" title="{0}">{1}</a>{2}</span>',
        value,
        short(value),
        copier(value, "transaction hash"),
    )


# --- Text of strangers


def text(value: str, limit: int = 200, *, lines: bool = False) -> Markup:
    """A stranger's text of at most `limit` characters, whatever hides or reorders being spelled out.

    `lines` keeps line breaks and tabs.
    """
    cut = value[:limit]
    body = Markup("").join(_pieces(cut, kept={"\n", "\t"} if lines else set()))
    if not cut.strip():
        body += html('<span class="ctl">{0}</span>', "empty" if not cut else "blank")
    if len(value) > limit:
        body += html(' <span class="ctl">… cut, {0} characters</span>', f"{len(value):,}")
    return html('<bdi class="theirs">{0}</bdi>', body)


def plain(value: str, limit: int = 60) -> str:
    """The same for titles and labels, where no markup can be."""
    cut = value[:limit]
    line = "".join(f"[{_code(c)}]" if _hides(c, set()) else c for c in cut)
    return line + ("…" if len(value) > limit else "")


def _pieces(value: str, kept: set[str]) -> Iterator[Markup]:
    for (hidden, marks), run in groupby(
        value, key=lambda c: (_hides(c, kept), unicodedata.category(c)[0] == "M")
    ):
        characters = "".join(run)
        if hidden:
            for character, repeated in groupby(characters):
                count = len(list(repeated))
                times = f" ×{count}" if count > 1 else ""
                yield html('<span class="ctl">{0}{1}</span>', _code(character), times)
        elif marks and len(characters) > MOST_MARKS:
            yield escape(characters[:MOST_MARKS])
            yield html('<span class="ctl">+{0} marks</span>', len(characters) - MOST_MARKS)
        else:
            yield escape(characters).replace("_", Markup("_<wbr>"))  # where a long name may be broken


def _hides(character: str, kept: set[str]) -> bool:
    return character not in kept and (character in BLANK or unicodedata.category(character) in UNSHOWN)


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"


def web_link(value: str) -> str | None:
    """A link that may be followed, or None: https, a plain host name, nothing hidden in it."""
    if len(value) > 2000 or not value.isascii() or not value.isprintable() or set(value) & set(' \\"<>`'):
        return None
    try:
        parts = urlsplit(value)
        host = parts.hostname
        _ = parts.port  # raises for what is no port
    except ValueError:
        return None
    plain_host = host and "@" not in parts.netloc and "xn--" not in host
    return value if parts.scheme == "https" and plain_host else None


def link(value: str, limit: int = 200) -> Markup:
    """A stranger's link, to be followed only when it is a plain https one; else as text."""
    target = web_link(value)
    if target is None:
        return text(value, limit)
    return html(
        '<a class="out" href="{0}" rel="noopener noreferrer nofollow">{1}</a>', target, text(value, limit)
    )


def host(value: str) -> Markup:
    """A stranger's link under the name of its host, when it may be followed; else as text."""
    target = web_link(value)
    if target is None:
        plain_host = re.match(r"http://([a-z0-9.:-]{1,80})/", value)
        return text(plain_host[1] if plain_host else value, 120)
    return html(
        '<a class="out" href="{0}" title="{0}" rel="noopener noreferrer nofollow">{1}</a>',
        target,
        urlsplit(target).hostname,
    )


def pretty(value: object, depth: int = 0) -> Iterator[Markup]:
    """A JSON value as coloured lines; the caller bounds how many pieces it takes."""
    pad = "  " * (depth + 1)
    if isinstance(value, dict | list) and value and depth < 24:
        open_, close = "{}" if isinstance(value, dict) else "[]"
        items = value.items() if isinstance(value, dict) else ((None, each) for each in value)
        row = isinstance(value, list) and len(value) <= 16 and all(isinstance(each, ROW) for each in value)
        yield escape(open_)
        for position, (key, each) in enumerate(items):
            yield escape("," if position else "") + escape(" " * bool(position) if row else f"\n{pad}")
            if key is not None:
                yield html('<span class="k">{0}</span>: ', text(json.dumps(key, ensure_ascii=False), 400))
            yield from pretty(each, depth + 1)
        yield escape(close if row else f"\n{'  ' * depth}{close}")
    elif isinstance(value, dict | list):
        yield html('<span class="o">{0}</span>', json.dumps(value) if not value else "… deeper")
    elif isinstance(value, str):
        yield html('<span class="s">{0}</span>', text(json.dumps(value, ensure_ascii=False), 4000))
    else:
        yield html('<span class="o">{0}</span>', json.dumps(value))
