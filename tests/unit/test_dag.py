"""Blocks of files as others store them: read as a real implementation wrote them, else not believed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.ipfs import CHILD, field, link, unixfs, varint
from tests.support.vectors import FILES, STORED, StoredFile

from ogpu.content.cid import CID, block_matches, parse_cid
from ogpu.content.dag import read_node
from ogpu.errors import ContentInvalid, UnsupportedCID

NAME = CID(1, "dag-pb", b"\1" * 32)


def whole(stored: StoredFile, cid: str) -> bytes:
    """The file, put together from its blocks."""
    node = read_node(parse_cid(cid), stored.blocks[cid])
    return node.data + b"".join(whole(stored, spelled(stored, part.cid)) for part in node.links)


def spelled(stored: StoredFile, cid: CID) -> str:
    return next(text for text in stored.blocks if parse_cid(text).digest == cid.digest)


@pytest.mark.parametrize("stored", FILES, ids=lambda stored: stored.name)
def test_a_file_in_any_layout_is_read_as_it_was_stored(stored: StoredFile) -> None:
    assert whole(stored, stored.root) == stored.data
    root = parse_cid(stored.root)
    assert read_node(root, stored.blocks[stored.root]).size == len(stored.data)
    assert all(block_matches(parse_cid(cid), block) for cid, block in stored.blocks.items())


def test_a_directory_is_refused_by_name() -> None:
    stored = STORED["a directory"]
    with pytest.raises(UnsupportedCID, match="is a directory"):
        read_node(parse_cid(stored.root), stored.blocks[stored.root])


@pytest.mark.parametrize(
    ("kind", "name"),
    [(1, "a directory"), (3, "metadata"), (4, "a symbolic link"), (5, "sharded"), (77, "unknown")],
)
def test_what_is_no_file_is_refused_by_name(kind: int, name: str) -> None:
    with pytest.raises(UnsupportedCID, match=name):
        read_node(NAME, field(2, field(1, CHILD) + field(2, b"name")) + unixfs(field(5, 34), kind=kind))


def test_sizes_may_be_packed_and_a_mode_and_a_time_are_passed_over() -> None:
    more = field(7, 0o644) + field(8, field(1, 1_700_000_000) + b"\x15\0\0\0\1")
    block = link() + link() + unixfs(field(2, b"ab"), field(4, varint(300) + varint(5)), field(3, 307), more)
    node = read_node(NAME, block)
    assert (node.data, [part.size for part in node.links], node.size) == (b"ab", [300, 5], 307)
    assert [part.cid for part in node.links] == [CID(0, "dag-pb", CHILD[2:])] * 2


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (b"", "no UnixFS data"),
        (link(), "no UnixFS data"),
        (field(1, b""), "of no kind"),
        (field(1, 5), "not dag-pb"),
        (b"\x0a\xff", "ends inside a number"),
        (b"\x0a\x05ab", "not protobuf"),
        (b"\x0b", "no known form"),
        (b"\xff" * 12, "ends inside a number"),
        (link() + unixfs(), "1 links and 0 sizes"),
        (unixfs(field(4, 5)), "0 links and 1 sizes"),
        (link() + unixfs(field(4, 0)), "links to nothing"),
        (link() + unixfs(field(4, 5), field(3, 6)), "do not add up"),
        (unixfs(field(2, b"abc"), field(3, 2)), "do not add up"),
        (field(2, field(2, b"name")) + unixfs(field(4, 5)), "no CID"),
        (unixfs() + field(3, b"more"), "not dag-pb"),
        (unixfs() + unixfs(), "not dag-pb"),
        (unixfs(field(15, b"more")), "more than UnixFS has"),
        (unixfs(field(9, 1)), "more than UnixFS has"),
        (unixfs(field(2, b"more"), field(2, b"")), "more than UnixFS has"),
        (unixfs(field(7, 1), field(7, 2)), "more than UnixFS has"),
        (unixfs(field(8, bytes(17))), "more than UnixFS has"),
        (unixfs(b"\x45\0\0\0\0"), "no known form"),
        (field(2, field(1, CHILD) + field(2, b"name")) + unixfs(field(4, 5)), "has a name"),
        (field(2, field(1, CHILD) + field(4, b"more")) + unixfs(field(4, 5)), "link is not dag-pb"),
        (field(2, field(1, CHILD) * 2) + unixfs(field(4, 5)), "link is not dag-pb"),
    ],
)
def test_a_block_that_is_no_part_of_a_file_is_invalid(block: bytes, reason: str) -> None:
    with pytest.raises((ContentInvalid, UnsupportedCID), match=reason):
        read_node(NAME, block)


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (b"\x01\x71" + CHILD, "dag-cbor"),
        (b"\x01\x55\x00\x03abc", "identity"),
        (b"\x01\x55\x13\x40" + bytes(64), "sha2-512"),
    ],
)
def test_a_part_that_cannot_be_checked_is_named(target: bytes, kind: str) -> None:
    with pytest.raises(UnsupportedCID, match=kind):
        read_node(NAME, link(target) + unixfs(field(4, 5)))


@given(
    st.binary(max_size=120) | st.sampled_from([block for stored in FILES for block in stored.blocks.values()])
)
@settings(max_examples=150, database=None)
def test_any_bytes_are_a_node_or_one_of_two_errors(block: bytes) -> None:
    for data in (block, block[:-1], block + b"\x08"):
        try:
            node = read_node(NAME, data)
        except (ContentInvalid, UnsupportedCID):
            continue
        assert node.size >= len(node.data)
