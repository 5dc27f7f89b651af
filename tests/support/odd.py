"""Arguments that nobody should give: whatever comes of them, it is an error of the library."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ogpu.types import DeliveryMethod, ImageEnvironments, TaskInput

ADDRESS = "0x" + "11" * 20
KEY = "0x" + "22" * 32


class Model(BaseModel):
    text: str = ""


class Contrary:
    """An object that resists to be looked at."""

    def __repr__(self) -> str:
        raise ValueError("no repr")

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        raise ValueError("not comparable")

    __hash__ = None  # type: ignore[assignment]


CYCLE: list[Any] = []
CYCLE.append(CYCLE)


class Loop(BaseModel):
    me: Any = None


LOOP = Loop()
LOOP.me = LOOP

ODD: dict[str, Any] = {
    "None": None,
    "True": True,
    "False": False,
    "zero": 0,
    "minus one": -1,
    "2**63": 2**63,
    "2**64": 2**64,
    "2**256": 2**256,
    "a number of 5,001 digits": 10**5000,
    "a negative one": -(10**5000),
    "half": 0.5,
    "minus zero": -0.0,
    "1e308": 1e308,
    "NaN": math.nan,
    "infinity": math.inf,
    "a complex number": 1j,
    "a decimal": Decimal(1),
    "no text": "",
    "a space": " ",
    "a word": "local",
    "control characters": "\x00\x1b[2J\n",
    "a lone surrogate": "\ud800",
    "a long text": "a" * 100_000,
    "format characters": "%s {0} {x!r}",
    "0x": "0x",
    "an address": ADDRESS,
    "an address with a space": ADDRESS + " ",
    "an address of other digits": "0x" + "\uff11" * 40,
    "a key": KEY,
    "a name": "NEXUS",
    "bytes": b"\xff\x00",
    "bytes of an address": bytes.fromhex(ADDRESS[2:]),
    "a bytearray": bytearray(32),
    "an empty list": [],
    "a list": [ADDRESS],
    "nested lists": [[[[]]]],
    "a cycle": CYCLE,
    "a dictionary with a cycle": {"a": CYCLE},
    "a tuple": (1, 2),
    "an empty dictionary": {},
    "a dictionary": {"address": ADDRESS},
    "a set": {1},
    "an object": object(),
    "a contrary object": Contrary(),
    "a class": Model,
    "a model": Model(),
    "a model that holds itself": LOOP,
    "a function": sorted,
    "a module": json,
    "a path": Path("x"),
    "an exception": ValueError("x"),
    "an enumeration": DeliveryMethod.FIRST_RESPONSE,
    "environments": ImageEnvironments(cpu="http://a/b"),
    "a task input": TaskInput("f", {}),
    "not implemented": NotImplemented,
    "an ellipsis": ...,
    "a range": range(3),
    "a slice": slice(None),
    "an iterator": iter(()),
    "a memoryview": memoryview(b"abc"),
}
