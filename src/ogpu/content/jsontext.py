"""JSON as content: written strictly, so that what comes back is what was meant, and read strictly. Pure.

The standard library's json, not orjson: amounts in wei outgrow 64 bits, which orjson refuses to write and
reads as a float.
"""

from __future__ import annotations

import json
import math
from typing import Any

from ogpu.errors import ContentInvalid, NotJSON
from ogpu.safejson import parse_json
from ogpu.text import shown

_DEEPEST = 200  # levels; well within Python's recursion limit wherever we are called from

Place = tuple["Place", str | int] | None  # a linked list, so that a good value costs no string building


def to_json(value: Any) -> bytes:
    """Compact UTF-8 JSON of `value`; `NotJSON` names the place of what JSON cannot say."""
    _check(value, None, frozenset())
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise NotJSON("A text holds half a surrogate pair, which UTF-8 cannot write.") from error
    except ValueError as error:  # an int of over 4,300 digits
        raise NotJSON(f"Not JSON: {error}.") from error


def from_json(data: bytes) -> Any:
    """The value of UTF-8 JSON text; `ContentInvalid` when it is not that."""
    try:
        return parse_json(data.decode())
    except UnicodeDecodeError as error:
        raise ContentInvalid(f"The content is not UTF-8 text (byte {error.start}).") from error
    except ValueError as error:
        raise ContentInvalid(f"The content is not JSON: {error}.") from error


def _check(value: Any, place: Place, above: frozenset[int]) -> None:
    if value is None or isinstance(value, str | int):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _not_json(place, f"is {value!r}, which JSON cannot say")
        return
    if not isinstance(value, dict | list | tuple):
        raise _not_json(place, f"is of type {type(value).__qualname__}")
    if id(value) in above:
        raise _not_json(place, "contains itself")
    if len(above) >= _DEEPEST:
        raise _not_json(place, f"is nested more than {_DEEPEST} levels deep")
    above |= {id(value)}
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(value, dict) and not isinstance(key, str):
            raise _not_json(place, f"has a key of type {type(key).__qualname__}; JSON's keys are strings")
        _check(item, (place, key), above)


def _not_json(place: Place, problem: str) -> NotJSON:
    path = _spell(place)
    return NotJSON(f"Not JSON: {path} {problem}.", facts={"path": path})


def _spell(place: Place) -> str:
    steps: list[str] = []
    while place is not None:
        place, key = place
        if isinstance(key, int):
            steps.append(f"[{key}]")
        else:
            quoted = shown(key)
            steps.append(f".{key}" if key.isidentifier() and quoted == f"'{key}'" else f"[{quoted}]")
    return "".join(reversed(steps)).removeprefix(".") or "the value"
