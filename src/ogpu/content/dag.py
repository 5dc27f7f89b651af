"""The blocks of a stored file, read back: dag-pb nodes with UnixFS in them, and raw leaves. Pure.

Formats as in `unixfs`; here other people's files are read, so nothing is taken for granted. A block is only
read after its hash was checked, so what is wrong in it was stored so: `ContentInvalid`, and no other gateway
helps. What adds bytes to a block and none to the file is wrong: other fields, fields that come twice, names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ogpu.content.cid import CID, cid_of_bytes
from ogpu.errors import ContentInvalid, UnsupportedCID

MAX_BLOCK = 4 * 1024 * 1024  # bytes; IPFS nodes exchange blocks of at most 2 MiB

_FILE_TYPES = (0, 2)  # Raw, as leaves once were, and File
_OTHER_TYPES = {1: "a directory", 3: "metadata", 4: "a symbolic link", 5: "a sharded directory"}
_VARINT, _BYTES = 0, 2  # protobuf's wire types, as far as these formats have them
_DATA, _LINKS = 1, 2  # the fields of a dag-pb node
_HASH, _NAME, _TSIZE = 1, 2, 3  # those of a link
_KIND, _CONTENT, _FILE_SIZE, _PART_SIZES, _MTIME = 1, 2, 3, 4, 8  # those of UnixFS
_NUMBERS = {_KIND, _FILE_SIZE, 5, 6, 7}  # and those of directories, and a file's mode, which we pass over
_LONGEST_TIME = 16  # bytes of an mtime


@dataclass(frozen=True, slots=True)
class Link:
    """A part of a file: its CID, and how many bytes of the file are below it."""

    cid: CID
    size: int


@dataclass(frozen=True, slots=True)
class Node:
    """A block: the bytes of the file that it holds, and the parts that follow them."""

    data: bytes
    links: tuple[Link, ...]

    @property
    def size(self) -> int:
        """The bytes of the file in it and below it, as it says."""
        return len(self.data) + sum(link.size for link in self.links)


def read_node(cid: CID, block: bytes) -> Node:
    """What a checked block holds; `UnsupportedCID` names what is not a file, `ContentInvalid` says why."""
    if cid.codec == "raw":
        return Node(block, ())
    try:
        return _read_dag_pb(cid, block)
    except _Malformed as error:
        raise ContentInvalid(f"{cid} names a block that is no proper part of a file: {error}.") from error


class _Malformed(Exception):
    """What is wrong with a block."""


def _read_dag_pb(cid: CID, block: bytes) -> Node:
    links: list[bytes] = []
    unixfs: bytes | None = None
    for number, value in _fields(block):
        if number == _LINKS and isinstance(value, bytes):
            links.append(value)
        elif number == _DATA and isinstance(value, bytes) and unixfs is None:
            unixfs = value
        else:
            raise _Malformed("it is not dag-pb")
    if unixfs is None:
        raise _Malformed("it has no UnixFS data")
    data, sizes, told = _read_unixfs(cid, unixfs)
    if len(sizes) != len(links):
        raise _Malformed(f"it has {len(links)} links and {len(sizes)} sizes")
    if 0 in sizes:
        raise _Malformed("it links to nothing")  # without end, it would cost only us
    node = Node(data, tuple(map(Link, map(_target, links), sizes)))
    if told is not None and told != node.size:
        raise _Malformed("its sizes do not add up")
    return node


def _target(link: bytes) -> CID:
    """Where the link of a file leads; only a directory's have names."""
    parts: dict[int, int | bytes] = {}
    for number, value in _fields(link):
        known = number == _TSIZE if isinstance(value, int) else number in (_HASH, _NAME)
        if not known or number in parts:
            raise _Malformed("a link is not dag-pb")
        parts[number] = value
    target = parts.get(_HASH)
    if not isinstance(target, bytes):
        raise _Malformed("a link has no CID")
    if parts.get(_NAME):
        raise _Malformed("a link has a name")
    return cid_of_bytes(target)


def _read_unixfs(cid: CID, message: bytes) -> tuple[bytes, list[int], int | None]:
    """The bytes, the sizes of the parts, and the whole size where it is told."""
    numbers, texts, sizes = dict[int, int](), dict[int, bytes](), list[int]()
    strange = False
    for number, value in _fields(message):
        if number == _PART_SIZES:
            sizes += [value] if isinstance(value, int) else _packed(value)
        elif isinstance(value, int):
            strange |= number in numbers or number not in _NUMBERS
            numbers[number] = value
        else:
            strange |= number in texts or number not in (_CONTENT, _MTIME)
            texts[number] = value
    kind = numbers.get(_KIND)
    if kind not in _FILE_TYPES:
        what = _OTHER_TYPES.get(kind, "of an unknown kind") if kind is not None else "of no kind"
        raise UnsupportedCID(f"{cid} is {what}; only files can be fetched.")
    if strange or len(texts.get(_MTIME, b"")) > _LONGEST_TIME:
        raise _Malformed("it has more than UnixFS has")
    return texts.get(_CONTENT, b""), sizes, numbers.get(_FILE_SIZE)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The numbers and values of a protobuf message."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        wire = tag & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if wire != _BYTES:
            raise _Malformed("it has a field of no known form")
        length, at = _varint(message, at)
        if at + length > len(message):
            raise _Malformed("it is not protobuf")
        yield tag >> 3, message[at : at + length]
        at += length


def _packed(value: bytes) -> list[int]:
    numbers, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        numbers.append(number)
    return numbers


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for place, byte in enumerate(data[at : at + 10]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at + place + 1
    raise _Malformed("it ends inside a number")
