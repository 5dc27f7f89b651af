"""CIDs: a real IPFS implementation's, in every spelling, and refused when they cannot be checked."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.vectors import DEFAULTS, VECTORS, content

from ogpu.content.cid import (
    CID,
    CIDBuilder,
    cid_in_link,
    cid_of,
    cid_of_file,
    cid_of_link,
    file_matches,
    matches,
    parse_cid,
)
from ogpu.content.unixfs import KUBO_V0, KUBO_V1, WIDE_V1
from ogpu.errors import UnsupportedCID

HELLO = b"hello world"
HELLO_V0 = "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD"  # as `ipfs add` prints it
HELLO_RAW = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
DIGEST = hashlib.sha256(b"x").digest()

# The alphabets and encoders here are written apart from the library's, to check it.
B58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
B36 = "0123456789abcdefghijklmnopqrstuvwxyz"
B32 = "abcdefghijklmnopqrstuvwxyz234567"


def spelled(data: bytes, prefix: str, alphabet: str) -> str:
    number, out = int.from_bytes(data), ""
    while number:
        out = alphabet[number % len(alphabet)] + out
        number //= len(alphabet)
    return prefix + out


def in_base32(data: bytes) -> str:
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    return "b" + "".join(B32[int(bits[i : i + 5], 2)] for i in range(0, len(bits), 5))


def v1_bytes(codec: int = 0x55, multihash: bytes = b"\x12\x20" + DIGEST) -> bytes:
    return bytes((1, codec)) + multihash


def name(vector: dict[str, Any]) -> str:
    what = repr(vector["text"][:12]) if "text" in vector else str(vector["length"])
    return f"{what}/{vector['chunk_size']}/{vector['links']}"


@pytest.mark.parametrize("vector", VECTORS, ids=name)
def test_cid_is_the_one_of_a_real_implementation(vector: dict[str, Any]) -> None:
    data = content(vector)
    for layout, expected in ((KUBO_V0, vector["v0"]), (KUBO_V1, vector["v1"])):
        cut = replace(layout, chunk_size=vector["chunk_size"], links=vector["links"])
        assert cid_of(data, cut) == expected


@pytest.mark.parametrize("vector", DEFAULTS, ids=name)
def test_a_file_matches_its_own_cids_and_no_other(vector: dict[str, Any]) -> None:
    data = content(vector)
    assert matches(vector["v0"], data)
    assert matches(vector["v1"], data)
    assert not matches(vector["v0"], data + b"\0")
    assert not matches(vector["v1"], data + b"\0")
    assert not data or not matches(vector["v0"], data[:-1])


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["chunk_size"] == 1_048_576], ids=name)
def test_a_file_of_the_newer_profile_matches_too(vector: dict[str, Any]) -> None:
    data = content(vector)
    assert cid_of(data, WIDE_V1) == vector["v1"]
    assert matches(vector["v1"], data)
    assert not matches(vector["v1"], data + b"\0")
    assert file_matches(vector["v1"], io.BytesIO(data))
    assert not file_matches(vector["v1"], io.BytesIO(data[:-1]))


@pytest.mark.parametrize("vector", DEFAULTS, ids=name)
def test_an_open_file_is_read_piece_by_piece_to_the_same_end(vector: dict[str, Any]) -> None:
    file = io.BytesIO(content(vector))
    file.seek(3)
    assert str(cid_of_file(file)) == vector["v0"]
    assert file_matches(vector["v0"], file)
    assert file_matches(vector["v1"], file)
    file.write(b"more")
    assert not file_matches(vector["v0"], file)


def test_known_facts() -> None:
    assert cid_of(b"") == "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"
    assert cid_of(HELLO) == HELLO_V0
    assert cid_of(HELLO, KUBO_V1) == HELLO_RAW


def test_every_flipped_bit_of_a_file_is_noticed() -> None:
    for position in range(len(HELLO) * 8):
        flipped = bytearray(HELLO)
        flipped[position // 8] ^= 1 << position % 8
        assert not matches(HELLO_V0, bytes(flipped))
        assert not matches(HELLO_RAW, bytes(flipped))


def test_a_v1_spelling_of_a_v0_cid_matches_the_same_file() -> None:
    for vector in DEFAULTS:
        v0 = parse_cid(vector["v0"])
        assert matches(str(CID(1, "dag-pb", v0.digest)), content(vector))


def test_a_file_in_another_layout_does_not_match() -> None:
    data = bytes(range(256)) * 2048
    assert not matches(cid_of(data, replace(KUBO_V0, chunk_size=1024 * 1024)), data)


@settings(max_examples=60, database=None)
@given(st.lists(st.binary(max_size=40)), st.integers(1, 7), st.integers(2, 4))
def test_pieces_of_any_size_give_the_cid_of_the_whole(pieces: list[bytes], chunk: int, links: int) -> None:
    layout = replace(KUBO_V0, chunk_size=chunk, links=links)
    builder = CIDBuilder(layout)
    whole = b""
    for piece in pieces:
        builder.feed(piece)
        whole += piece
        assert str(builder.cid()) == cid_of(whole, layout)  # asking early changes nothing


def test_the_builder_does_not_hold_the_file() -> None:
    import tracemalloc

    piece = bytes(100_000)
    builder = CIDBuilder()
    tracemalloc.start()
    try:
        for _ in range(500):
            builder.feed(piece)
        builder.cid()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


@pytest.mark.parametrize("vector", DEFAULTS, ids=name)
def test_text_is_read_and_written_back(vector: dict[str, Any]) -> None:
    assert str(parse_cid(vector["v0"])) == vector["v0"]
    assert str(parse_cid(vector["v1"])) == vector["v1"]
    assert parse_cid(vector["v0"]).version == 0
    assert parse_cid(vector["v1"]).codec == ("raw" if vector["v1"].startswith("bafk") else "dag-pb")


@given(st.binary(min_size=32, max_size=32), st.sampled_from([("raw", 0x55), ("dag-pb", 0x70)]))
@settings(max_examples=60, database=None)
def test_all_spellings_are_one_cid(digest: bytes, kind: tuple[str, int]) -> None:
    expected = CID(1, kind[0], digest)
    raw = v1_bytes(kind[1], b"\x12\x20" + digest)
    spellings = [in_base32(raw), spelled(raw, "z", B58), spelled(raw, "k", B36)]
    assert [parse_cid(text) for text in spellings] == [expected] * 3
    assert str(expected) == spellings[0]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (in_base32(v1_bytes(0x71)), "dag-cbor"),
        (in_base32(v1_bytes(0x72)), "libp2p-key"),
        (in_base32(v1_bytes(0x1F)), "0x1f"),
        (in_base32(v1_bytes(multihash=b"\x13\x40" + DIGEST * 2)), "sha2-512"),
        (in_base32(v1_bytes(multihash=b"\xa0\xe4\x02\x20" + DIGEST)), "blake2b-256"),
        (in_base32(v1_bytes(multihash=b"\x1e\x20" + DIGEST)), "blake3"),
        (in_base32(v1_bytes(multihash=b"\x00\x03abc")), "identity"),
        (in_base32(v1_bytes(multihash=b"\x12\x10" + DIGEST[:16])), "32 bytes"),
        (in_base32(v1_bytes(multihash=b"\x12\x20" + DIGEST[:31])), "32 bytes"),
        (in_base32(v1_bytes(multihash=b"\x12\x20" + DIGEST + b"\0")), "32 bytes"),
        (in_base32(b"\x02\x55\x12\x20" + DIGEST), "version 2"),
        (in_base32(b"\x12\x20" + DIGEST), "version 18"),
        (in_base32(b"\x01"), "inside a number"),
        (in_base32(b"\x81\x00\x55\x12\x20" + DIGEST), "inside a number"),
        (in_base32(b"\xff" * 12), "inside a number"),
        ("f" + v1_bytes().hex(), "multibase 'f'"),
        (in_base32(v1_bytes()).upper(), "multibase 'B'"),
        ("b" + in_base32(v1_bytes())[1:].upper(), "not base32"),
        (in_base32(v1_bytes())[:-1] + "b", "not base32"),
        (HELLO_RAW + "=", "not base32"),
        (HELLO_V0[:-1], "not a CID"),
        (HELLO_V0[:-1] + "0", "'0' is not in base58"),
        (HELLO_V0[:-1] + "é", "not in base58"),
        ("z" + "1" * 100, "version 0"),
        ("z" + "z" * 5000, "longer than 128"),
        ("../../etc/passwd", "not a CID"),
        ("hello", "not a CID"),
        ("b", "inside a number"),
        ("", "not a CID"),
    ],
)
def test_what_cannot_be_checked_is_named(text: str, kind: str) -> None:
    with pytest.raises(UnsupportedCID) as caught:
        parse_cid(text)
    assert kind in str(caught.value)
    assert len(str(caught.value)) < 250
    assert isinstance(caught.value, ValueError)


@given(st.text(max_size=80) | st.from_regex(r"[bkz][a-z0-9]{1,70}", fullmatch=True))
@settings(max_examples=120, database=None)
def test_any_text_is_a_cid_or_an_unsupported_one(text: str) -> None:
    try:
        cid = parse_cid(text)
    except UnsupportedCID:
        return
    assert parse_cid(str(cid)) == cid


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (f"https://cipfs.ogpuscan.io/ipfs/{HELLO_V0}", HELLO_V0),
        (f"https://cipfs.ogpuscan.io/ipfs/{HELLO_V0}/", HELLO_V0),
        (f"https://example.org/a/ipfs/{HELLO_V0}/file.json?x=1#y", HELLO_V0),
        (f"http://user:pass@127.0.0.1:8080/ipfs/{HELLO_RAW}?token=secret", HELLO_RAW),
        (f"ipfs://{HELLO_V0}", HELLO_V0),
        (f"ipfs://{HELLO_RAW}/file.json", HELLO_RAW),
        (f"ipfs://ipfs/{HELLO_V0}", HELLO_V0),
        (f"https://{HELLO_RAW}.ipfs.dweb.link", HELLO_RAW),
        (f"https://{HELLO_RAW}.ipfs.localhost:8080/", HELLO_RAW),
        (f" https://example.org/ipfs/{HELLO_V0}\n", HELLO_V0),
        ("https://example.org/file.json", None),
        ("https://example.org/ipfs/", None),
        ("https://example.org/ipns/name", None),
        ("https://ipfs.io", None),
        (f"https://example.org/?link=/ipfs/{HELLO_V0}", None),
        ("https://[", None),
        ("", None),
    ],
)
def test_cid_in_link(link: str, expected: str | None) -> None:
    assert cid_in_link(link) == expected


@pytest.mark.parametrize(
    "link", [HELLO_V0, f"ipfs://{HELLO_V0}", f"https://a.example/ipfs/{HELLO_V0}/?filename=x.json"]
)
def test_cid_of_link(link: str) -> None:
    assert str(cid_of_link(link)) == HELLO_V0


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("https://example.org/file.json?token=secret", "has no CID"),
        (f"https://example.org/ipfs/{HELLO_V0}/secret.json", "a path inside"),
        ("https://example.org/ipfs/readme", "not a CID"),
        (f"https://example.org/ipfs/{in_base32(v1_bytes(0x71))}", "dag-cbor"),
        ("nothing", "not a CID"),
    ],
)
def test_a_link_to_nothing_that_can_be_checked_says_why(link: str, reason: str) -> None:
    with pytest.raises(UnsupportedCID) as caught:
        cid_of_link(link)
    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)
