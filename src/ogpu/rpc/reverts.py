"""What contracts say when they refuse a call: reason strings, named panics, custom errors. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ogpu.errors import RPCFailed, RPCInvalidResponse
from ogpu.rpc.codec import CONTRACTS, Function, interface
from ogpu.text import printable

PANIC_NAMES = {  # Solidity documentation, "Panic via assert and Error via require"
    0x00: "compiler panic",
    0x01: "assertion failed",
    0x11: "arithmetic overflow",
    0x12: "division by zero",
    0x21: "value outside its enum",
    0x22: "badly encoded storage bytes",
    0x31: "pop on an empty array",
    0x32: "index out of bounds",
    0x41: "too much memory",
    0x51: "call of an uninitialised function",
}
LONGEST_REASON = 300  # characters

_ERROR_STRING = "08c379a0"  # Error(string), Solidity's revert reason
_PANIC = "4e487b71"  # Panic(uint256)
_REASON = Function("Error", (), ({"type": "string", "name": "reason"},))
_CODE = Function("Panic", (), ({"type": "uint256", "name": "code"},))
_DATA = re.compile(r"0x(?:[0-9a-f]{2})+")


@dataclass(frozen=True)
class Revert:
    """A refusal: `words` is one line for people, `name` the reason or custom error that a program compares.

    Anyone can deploy a contract that says anything, so both are printable and bounded.
    """

    words: str = ""
    name: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of a custom error, by their names
    panic: int | None = None
    data: str = ""  # all that the contract said, as 0x-prefixed hex


def revert_data(said: object) -> str:
    """What a contract said, as 0x-prefixed hex, in the forms that nodes give it; "" when it is not there."""
    if isinstance(said, dict):
        said = said.get("data")
    if not isinstance(said, str):
        return ""
    data = said.lower().removeprefix("reverted ")
    return data if _DATA.fullmatch(data) else ""


def decoded_revert(said: object) -> Revert:
    """What revert data says; data that nobody knows is its own words, in part, and whole in `data`."""
    data = revert_data(said)
    selector, body = data[2:10], "0x" + data[10:]
    if len(selector) < 8:
        return Revert(data=data)
    try:
        if selector == _ERROR_STRING:
            reason = printable(_REASON.decode(body), LONGEST_REASON)
            return Revert(reason, reason, data=data)
        if selector == _PANIC:
            code = _CODE.decode(body)
            shown = f"0x{code:02x}" if code < 256 else f"0x{code:x}"
            words = f"Panic({shown}): {PANIC_NAMES.get(code, 'unknown code')}"
            return Revert(words, "Panic", panic=code, data=data)
        for contract in CONTRACTS:
            if error := interface(contract).errors.get(selector):
                return _custom(error, body, data)
    except RPCInvalidResponse:
        pass  # malformed data is shown below as it is
    return Revert(f"unknown error {printable(data[:200], LONGEST_REASON)}", data=data)


def _custom(error: Function, body: str, data: str) -> Revert:
    values = error.decode(body)
    values = values if len(error.outputs) > 1 else (values,) if error.outputs else ()
    names = [entry["name"] for entry in error.outputs]
    told = [_worded(value) for value in values]
    words = printable(f"{error.name}({', '.join(told)})", LONGEST_REASON)
    return Revert(words, error.name, dict(zip(names, told, strict=True)), data=data)


def _worded(value: Any) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


def revert_of(error: RPCFailed) -> Revert | None:
    """The refusal when a node's error is one, else None; some nodes tell the reason in their text only."""
    found = decoded_revert(error.data)
    if found.words:
        return found
    text = error.rpc_message
    if "revert" not in text.lower():
        return None
    reason = printable(text.partition("reverted:")[2].strip(), LONGEST_REASON)
    return Revert(reason, reason, data=found.data)
