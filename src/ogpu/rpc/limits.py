"""Which limit a node's error tells of: of a batch, of an answer, of the rate, of its time. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

REVERT_CODE = 3  # geth's, for a call that a contract reverted
RATE_LIMIT_CODES = (-32005, 429)  # EIP-1474 "limit exceeded", and what some gateways answer
LONGEST_TEXT = 500  # characters of an error that are looked at


class Limit(Enum):
    """What there was too much of."""

    RATE = "requests in a time"
    BATCH = "requests in one batch"
    ANSWER = "bytes in an answer"
    TIME = "work in one batch"


@dataclass(frozen=True)
class Told:
    """A limit, and how much the node takes (requests or bytes), when it says so."""

    limit: Limit
    most: int | None = None
    clear: bool = True  # False for words that no rule knows


# Texts of nodes and gateways, in lower case; tests/unit/test_rpc_limits.py has each, and where it is from.
# Codes are no rules: -32005 is a rate limit, but Besu and Nethermind mean batches by it too, jsonrpsee that
# it serves none, Infura too many logs; -32003 is "response too large" for geth and "rejected" for reth.
_RATE = re.compile(
    r"rate.?limit|rate exceeded|too many requests|per second|/second|throughput|compute units|server is busy"
)
_ANSWER = re.compile(
    r"response (is )?too (large|big)|response was too large|response size|response ?body ?size"
    r"|returned more than \d+ results|exceeds max results"
)
_BYTES = re.compile(r"(?:max limit of|max response size) (\d+)|of (\d+)(kb) exceeded")
_BATCH = re.compile(r"\bbatch")
_NO_BATCHES = re.compile(r"batch(ed|es|ing)?( requests?)?( are| is)? (not |un|disabled)|no batch")
_REQUESTS = re.compile(
    r"(?:batch limit|max limit of|more than|max(?:imum)?(?: batch size)?(?: is| of)?:?) (\d+)"
    r"|(\d+) is the max"
)
# What -32005 is besides: Besu's errors of gas, ranges and filters.
_OTHER_LIMITS = re.compile(r"gas limit|range|filter|results")
_TIMED_OUT = "request timed out"  # geth's -32002, for what is left of a batch when its time is over


def told(error: Any) -> Told | None:
    """The limit that an error tells of; None for any other error."""
    if not isinstance(error, dict) or is_revert(error):
        return None
    text = _text(error)
    if _ANSWER.search(text):
        return Told(Limit.ANSWER, _bytes(text))
    if error.get("code") == -32002 and _TIMED_OUT in text:
        return Told(Limit.TIME)
    if _RATE.search(text):
        return Told(Limit.RATE)
    if _BATCH.search(text):
        return Told(Limit.BATCH, _requests(text))
    if error.get("code") in RATE_LIMIT_CODES and not _OTHER_LIMITS.search(text):
        return Told(Limit.RATE)
    return None


def is_revert(error: dict[str, Any]) -> bool:
    """Whether a contract reverted: the words are a stranger's then, and say nothing of the node."""
    data, message = error.get("data"), error.get("message")
    has_data = isinstance(data, str) and data.startswith("0x")
    return error.get("code") == REVERT_CODE or has_data or "revert" in str(message)[:LONGEST_TEXT].lower()


def batch_refusal(answer: Any, count: int) -> Told | None:
    """Why a batch of `count` was not served at all: its own error, or that of its items."""
    if isinstance(answer, dict):
        return (told(answer["error"]) or Told(Limit.BATCH, clear=False)) if answer.get("error") else None
    if not isinstance(answer, list):
        return None
    items = [(item.get("id"), told(item.get("error"))) for item in answer if isinstance(item, dict)]
    for number, found in items:
        if found is not None and found.limit is not Limit.RATE and type(number) is not int:
            return found
    refusals = [found for _, found in items if found is not None and found.limit is Limit.BATCH]
    # geth gives its error the id of the first request, and others give it to all of them.
    return refusals[0] if refusals and len(refusals) in (count, len(answer)) else None


def _text(error: dict[str, Any]) -> str:
    return f"{error.get('message')!s:.{LONGEST_TEXT}} {error.get('data') or ''!s:.{LONGEST_TEXT}}".lower()


def _requests(text: str) -> int | None:
    if found := _REQUESTS.search(text):
        return int(found[1] or found[2])
    return 1 if _NO_BATCHES.search(text) else None


def _bytes(text: str) -> int | None:
    if not (found := _BYTES.search(text)):
        return None
    return int(found[1] or found[2]) * (1024 if found[3] else 1)
