"""Amounts and durations as people write them, exactly; no floating point anywhere. Pure."""

from __future__ import annotations

import re
from decimal import Decimal, localcontext

from ogpu.errors import InvalidInput
from ogpu.text import shown

UNITS = {"ogpu": 18, "gwei": 9, "wei": 0}  # decimal places
COIN, GWEI = UNITS["ogpu"], UNITS["gwei"]
PERIODS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}  # seconds
LARGEST = 2**256 - 1  # of what a contract can hold
LONGEST = 120  # characters of a number that is looked at; 2**256 has 78 digits

_AMOUNT = re.compile(r"([0-9][0-9_]*)(?:\.([0-9]+))?\s*([A-Za-z]*)")
_PERIOD = re.compile(r"([0-9]+(?:\.[0-9]+)?)([wdhms])")


def amount_of(text: str, name: str) -> int:
    """Wei from text such as "0.01ogpu", "5gwei", "100wei" or "100"; `name` is what it is said of in an error.

    A number without a unit is wei, and must be whole: "0.01" may be meant in OGPU, or be a mistake.
    """
    match = _AMOUNT.fullmatch(text.strip()) if len(text) <= LONGEST else None
    if match is None:
        raise _refused(name, text, "is not an amount", "Write it as 0.01ogpu, 5gwei or 100wei.")
    whole, decimals, unit = match[1].replace("_", ""), match[2] or "", match[3].lower()
    if unit not in UNITS and unit:
        known = ", ".join(UNITS)
        raise _refused(name, text, "has a unit that is none", f"The units are {known}.")
    if not unit and decimals:
        number = f"{whole}.{decimals}"
        raise _refused(name, text, "has no unit", f"Write {number}ogpu; without a unit it is whole wei.")
    places = UNITS[unit or "wei"]
    if len(decimals.rstrip("0")) > places:
        smallest = f"a wei is {decimal(1, places)}{unit}" if places else "a wei has no parts"
        raise _refused(name, text, "is finer than a wei", f"{smallest[0].upper()}{smallest[1:]}.")
    with localcontext(prec=2 * LONGEST):
        wei = int(Decimal(f"{whole}.{decimals or 0}") * 10**places)
    if wei > LARGEST:
        raise _refused(name, text, "is more than a contract can hold", "At most it is 2**256 - 1 wei.")
    return wei


def duration_of(text: str, name: str) -> int:
    """Whole seconds from text such as "90s", "15m", "1h30m", "3d" or "90"."""
    text = text.strip()
    if len(text) <= LONGEST and re.fullmatch(r"[0-9]+", text):
        return int(text)
    parts = _PERIOD.findall(text) if len(text) <= LONGEST else []
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise _refused(name, text, "is not a duration", "Write it as 90s, 15m, 2h, 3d, 1h30m, or in seconds.")
    units = [unit for _, unit in parts]
    if units != sorted(set(units), key=list(PERIODS).index):
        raise _refused(name, text, "has its units in no order", "Write the longest first: 1h30m.")
    with localcontext(prec=2 * LONGEST):
        seconds = sum(Decimal(number) * PERIODS[unit] for number, unit in parts)
        if seconds != int(seconds):
            raise _refused(name, text, "is no whole number of seconds", "Write it in whole seconds.")
        return int(seconds)


def decimal(amount: int, places: int) -> str:
    """A whole number of the smallest unit, in the large one, to the last digit."""
    whole, rest = divmod(amount, 10**places)
    return f"{whole}.{rest:0{places}d}".rstrip("0").rstrip(".") if places else str(whole)


def about(amount: int, places: int) -> str:
    """The same for people, rounded up to five digits: what something costs at most is no less."""
    unit = 10 ** max(0, len(str(amount)) - 5)
    return decimal(-(-amount // unit) * unit, places)


def ogpu(wei: int) -> str:
    """Wei for people, exact: "0.01 OGPU"."""
    return f"{decimal(wei, COIN)} OGPU"


def period(seconds: float) -> str:
    """About how long something is, for people: "2h"."""
    size, unit = next(((size, unit) for unit, size in PERIODS.items() if seconds >= size), (1, "s"))
    return f"{max(0, int(seconds / size))}{unit}"


def exact_period(seconds: int) -> str:
    """How long something is, as it would be written: "1h30m"."""
    parts, left = [], seconds
    for unit, size in PERIODS.items():
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _refused(name: str, text: str, problem: str, hint: str) -> InvalidInput:
    return InvalidInput(f"{name}: {shown(text)} {problem}.", hint=hint, facts={"field": name})
