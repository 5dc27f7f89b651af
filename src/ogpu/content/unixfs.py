"""The tree that IPFS makes of a file: UnixFS chunks in dag-pb nodes, balanced. Pure, and streamed.

Formats: https://ipld.io/specs/codecs/dag-pb/spec/ and https://specs.ipfs.tech/unixfs/. Field order is part of
the format, since a node's name is the hash of its bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

RAW = 0x55
DAG_PB = 0x70
SHA2_256 = b"\x12\x20"  # multihash prefix: sha2-256, 32 bytes

_FILE_TYPE = b"\x08\x02"  # UnixFS Data.Type = File


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is cut and how its nodes are linked; another layout gives the same file another CID."""

    cid_version: int
    raw_leaves: bool
    chunk_size: int = 262_144  # bytes, `ipfs add --chunker=size-262144`, the default
    links: int = 174  # children of a node, kubo's DefaultLinksPerBlock


KUBO_V0 = Layout(cid_version=0, raw_leaves=False)  # `ipfs add`
KUBO_V1 = Layout(cid_version=1, raw_leaves=True)  # `ipfs add --cid-version=1`
# The profile unixfs-v1-2025 of https://specs.ipfs.tech/ipips/ipip-0499/, and what storage services long used.
WIDE_V1 = Layout(cid_version=1, raw_leaves=True, chunk_size=1_048_576, links=1024)


@dataclass(frozen=True, slots=True)
class Node:
    """A block of the tree: what its parent must know of it."""

    codec: int
    digest: bytes
    file_size: int  # bytes of the file below it
    dag_size: int  # bytes of all blocks from it on down: a link's Tsize


class TreeBuilder:
    """The root of a file fed piece by piece; holds at most one chunk and one row of nodes a level."""

    def __init__(self, layout: Layout = KUBO_V0) -> None:
        self._layout = layout
        self._chunk = bytearray()
        self._levels: list[list[Node]] = [[]]

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Add the file's next bytes."""
        view = memoryview(data).cast("B")
        size = self._layout.chunk_size
        while view:
            if not self._chunk and len(view) >= size:
                self._add_chunk(view[:size])  # no copy of what is a whole chunk already
                view = view[size:]
                continue
            room = size - len(self._chunk)
            self._chunk += view[:room]
            view = view[room:]
            if len(self._chunk) == size:
                self._add_chunk(self._chunk)
                self._chunk = bytearray()

    def root(self) -> Node:
        """The root of what was fed so far; feeding may go on after it."""
        levels = [list(level) for level in self._levels]
        if self._chunk or not any(levels):
            self._add(levels, _leaf(self._chunk, self._layout))
        depth = 0
        while depth < len(levels) - 1 or len(levels[depth]) > 1:
            self._add(levels, _branch(levels[depth], self._layout), depth + 1)
            depth += 1
        return levels[depth][0]

    def _add_chunk(self, chunk: bytearray | memoryview) -> None:
        self._add(self._levels, _leaf(chunk, self._layout))

    def _add(self, levels: list[list[Node]], node: Node, depth: int = 0) -> None:
        if depth == len(levels):
            levels.append([])
        if len(levels[depth]) == self._layout.links:
            self._add(levels, _branch(levels[depth], self._layout), depth + 1)
            levels[depth].clear()
        levels[depth].append(node)


def _leaf(chunk: bytearray | memoryview, layout: Layout) -> Node:
    size = len(chunk)
    if layout.raw_leaves:
        return Node(RAW, hashlib.sha256(chunk).digest(), size, size)
    data_field = b"\x12" + _varint(size) if size else b""  # an empty Data is left out
    tail = b"\x18" + _varint(size)
    unixfs_size = len(_FILE_TYPE) + len(data_field) + size + len(tail)
    head = b"\x0a" + _varint(unixfs_size) + _FILE_TYPE + data_field
    digest = hashlib.sha256(head)
    digest.update(chunk)
    digest.update(tail)
    return Node(DAG_PB, digest.digest(), size, len(head) + size + len(tail))


def _branch(children: Iterable[Node], layout: Layout) -> Node:
    links = bytearray()
    block_sizes = bytearray()
    file_size = below = 0
    for child in children:
        links += _field(b"\x12", _link(child, layout))
        block_sizes += b"\x20" + _varint(child.file_size)  # proto2: repeated numbers are not packed
        file_size += child.file_size
        below += child.dag_size
    unixfs = _FILE_TYPE + b"\x18" + _varint(file_size) + bytes(block_sizes)
    block = bytes(links) + _field(b"\x0a", unixfs)  # dag-pb: Links (field 2) come before Data (field 1)
    return Node(DAG_PB, hashlib.sha256(block).digest(), file_size, len(block) + below)


def _link(child: Node, layout: Layout) -> bytes:
    target = SHA2_256 + child.digest
    if layout.cid_version == 1 or child.codec == RAW:  # CIDv0 can only name dag-pb
        target = bytes((1, child.codec)) + target
    return _field(b"\x0a", target) + b"\x12\x00" + b"\x18" + _varint(child.dag_size)  # Hash, Name "", Tsize


def _field(tag: bytes, value: bytes) -> bytes:
    return tag + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
