"""JSON from elsewhere, parsed so that no document can end the process. Pure."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: bytes | str) -> Any:
    """The value of JSON text; `ValueError` when it is none, or is nested deeper than 1,024 levels.

    The standard library gives whole numbers of any size, as amounts in wei need; but it follows the nesting
    on the C stack as deep as the interpreter's recursion limit allows, and libraries that eth-account loads
    raise that limit beyond what the stack holds. orjson has a bound of its own and takes no
    NaN, so it looks first.
    """
    import orjson

    orjson.loads(text)
    return json.loads(text)
