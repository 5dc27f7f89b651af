"""Decoding of ABI data that is exactly as Solidity writes it, many times as fast as eth-abi's. Pure.

Whatever differs from that, malformed or only unusual, is `NotPlain`: eth-abi then says what it means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WORD = 32  # bytes
ADDRESS_PADDING = bytes(12)

Entry = Mapping[str, Any]  # a parameter, as the ABI describes it
Spell = Callable[[str], str]  # how an address is written


class NotPlain(Exception):
    """The data, or its type, is not of the plain kind."""


@dataclass(frozen=True)
class Layout:
    """How values of one type lie in the data.

    With a `size`, in bytes, they are always that long, and `read` gives one at a position. Those of a type
    without stand behind what has a size, and `read` also gives the position after them.
    """

    size: int | None
    read: Callable[[bytes, int], Any]


def sequence(entries: Sequence[Entry], spell: Spell) -> Callable[[bytes], tuple[Any, ...]]:
    """What reads one value after the other: tuples as tuples, lists as lists. Raises `NotPlain`."""
    layout = _tuple([_layout(entry, spell) for entry in entries])
    if layout.size is None:
        return lambda data: layout.read(data, 0)[0]
    return lambda data: layout.read(data, 0)


def _layout(entry: Entry, spell: Spell) -> Layout:
    kind: str = entry["type"]
    if kind.endswith("[]"):
        return _list(_layout({**entry, "type": kind[:-2]}, spell))
    if kind == "tuple":
        return _tuple([_layout(component, spell) for component in entry["components"]])
    if kind == "address":
        return _address(spell)
    if kind == "bool":
        return _number(1)
    if number := re.fullmatch(r"uint(\d+)", kind):
        return _number(int(number[1]))
    if kind == "bytes32":
        return Layout(WORD, _word)
    if kind == "string":
        return Layout(None, _text)
    raise NotPlain


def _word(data: bytes, at: int) -> bytes:
    word = data[at : at + WORD]
    if len(word) != WORD:
        raise NotPlain
    return word


def _number(bits: int) -> Layout:
    kind = bool if bits == 1 else int

    def read(data: bytes, at: int) -> int:
        number = int.from_bytes(_word(data, at), "big")
        if number >> bits:
            raise NotPlain
        return kind(number)

    return Layout(WORD, read)


def _address(spell: Spell) -> Layout:
    def read(data: bytes, at: int) -> str:
        word = _word(data, at)
        if word[:12] != ADDRESS_PADDING:
            raise NotPlain
        return spell("0x" + word[12:].hex())

    return Layout(WORD, read)


def _text(data: bytes, at: int) -> tuple[str, int]:
    length = int.from_bytes(_word(data, at), "big")
    start = at + WORD
    end = start + (length + WORD - 1) // WORD * WORD
    if end > len(data) or any(data[start + length : end]):
        raise NotPlain
    return data[start : start + length].decode("utf-8", "replace"), end


def _list(item: Layout) -> Layout:
    size, read_item = item.size, item.read
    if size is None:  # the protocol has no lists of texts
        raise NotPlain

    def read(data: bytes, at: int) -> tuple[list[Any], int]:
        start = at + WORD
        end = start + size * int.from_bytes(_word(data, at), "big")
        if end > len(data):
            raise NotPlain
        return [read_item(data, position) for position in range(start, end, size)], end

    return Layout(None, read)


def _tuple(parts: Sequence[Layout]) -> Layout:
    heads = [part.size or WORD for part in parts]
    offsets = [sum(heads[:position]) for position in range(len(parts))]
    placed = [(part.size is None, part.read, offset) for part, offset in zip(parts, offsets, strict=True)]

    def read_fixed(data: bytes, at: int) -> tuple[Any, ...]:
        return tuple([read(data, at + offset) for _, read, offset in placed])

    def read(data: bytes, at: int) -> tuple[tuple[Any, ...], int]:
        values, end = [], at + sum(heads)
        for elsewhere, read_part, offset in placed:
            if not elsewhere:
                values.append(read_part(data, at + offset))
                continue
            if int.from_bytes(_word(data, at + offset), "big") != end - at:
                raise NotPlain
            value, end = read_part(data, end)
            values.append(value)
        return tuple(values), end

    if not parts:
        raise NotPlain
    return Layout(None, read) if any(part.size is None for part in parts) else Layout(sum(heads), read_fixed)
