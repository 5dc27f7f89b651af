"""CIDs, the names of content: read them, compute them, find them in links, check bytes against them. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import SplitResult, urlsplit

from ogpu.content.unixfs import DAG_PB, KUBO_V0, KUBO_V1, RAW, SHA2_256, WIDE_V1, Layout, TreeBuilder
from ogpu.errors import UnsupportedCID
from ogpu.text import shown

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_PIECE = 1024 * 1024  # bytes of a file that are read at a time
_LONGEST = 128  # characters; a sha2-256 CID has at most 62, and decoding is quadratic

# https://github.com/multiformats/multicodec/blob/master/table.csv
_CODECS = {RAW: "raw", DAG_PB: "dag-pb"}
_OTHER_CODECS = {0x51: "cbor", 0x71: "dag-cbor", 0x72: "libp2p-key", 0x78: "git-raw", 0x0129: "dag-json"}
_HASHES = {
    0x00: "identity",
    0x11: "sha1",
    0x12: "sha2-256",
    0x13: "sha2-512",
    0x14: "sha3-512",
    0x16: "sha3-256",
    0x1B: "keccak-256",
    0x1E: "blake3",
    0xB220: "blake2b-256",
}


@dataclass(frozen=True, slots=True)
class CID:
    """A CID of one of the kinds that can be checked; `str` gives its usual text."""

    version: int
    codec: str  # "dag-pb" or "raw"
    digest: bytes  # sha2-256

    def __str__(self) -> str:
        if self.version == 0:
            return _encode(SHA2_256 + self.digest, _BASE58)
        return _base32(_v1_bytes(self))


class CIDBuilder:
    """The CID that a real IPFS node gives a file, fed piece by piece; it never holds the file."""

    def __init__(self, layout: Layout = KUBO_V0) -> None:
        self._layout = layout
        self._tree = TreeBuilder(layout)

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Add the file's next bytes."""
        self._tree.feed(data)

    def cid(self) -> CID:
        """The CID of what was fed so far."""
        root = self._tree.root()
        return CID(self._layout.cid_version, _CODECS[root.codec], root.digest)


def cid_of(data: bytes, layout: Layout = KUBO_V0) -> str:
    """The CID of a file with these bytes, as `ipfs add` names it by default (CIDv0)."""
    builder = CIDBuilder(layout)
    builder.feed(data)
    return str(builder.cid())


def cid_of_file(file: BinaryIO, layout: Layout = KUBO_V0) -> CID:
    """The CID of an open file, read from its beginning piece by piece."""
    builder = CIDBuilder(layout)
    for piece in _pieces(file):
        builder.feed(piece)
    return builder.cid()


class Verifier:
    """Whether a file that is fed piece by piece is the one that a CID names, in one layout."""

    def __init__(self, cid: CID, layout: Layout | None = None) -> None:
        self._digest = cid.digest
        self._hash = hashlib.sha256() if cid.codec == "raw" else None
        self._tree = TreeBuilder(layout or likely_layouts(cid)[0])

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Add the file's next bytes."""
        if self._hash is not None:
            self._hash.update(data)
        else:
            self._tree.feed(data)

    def good(self) -> bool:
        """Whether what was fed so far is the file."""
        digest = self._tree.root().digest if self._hash is None else self._hash.digest()
        return digest == self._digest


def likely_layouts(cid: CID) -> tuple[Layout, ...]:
    """The layouts in which a whole file is compared with a CID, the likeliest first."""
    if cid.codec == "raw":
        return (KUBO_V1,)  # one block, so no layout matters
    return (KUBO_V0, KUBO_V1, WIDE_V1) if cid.version == 0 else (KUBO_V1, WIDE_V1, KUBO_V0)


def matches(cid: CID | str, data: bytes) -> bool:
    """Whether `data` is the file that `cid` names.

    A raw CID is the hash of the bytes. A dag-pb CID names a tree, so the tree is made again in the
    layouts that kubo makes by default. A file that was stored in another layout (other chunk size, trickle,
    more links a node) has another CID: it can only be checked block by block, and does not match.
    """
    cid = parse_cid(cid) if isinstance(cid, str) else cid
    return _matches_any(cid, likely_layouts(cid), lambda: [data])


def file_matches(cid: CID | str, file: BinaryIO, layouts: tuple[Layout, ...] | None = None) -> bool:
    """Whether an open file is the one that `cid` names; like `matches`, but read piece by piece."""
    cid = parse_cid(cid) if isinstance(cid, str) else cid
    return _matches_any(cid, likely_layouts(cid) if layouts is None else layouts, lambda: _pieces(file))


def block_matches(cid: CID, block: bytes | bytearray) -> bool:
    """Whether `block` is the very block that `cid` names, which for a dag-pb CID is not its file."""
    return hashlib.sha256(block).digest() == cid.digest


def parse_cid(text: str) -> CID:
    """The CID that `text` spells; `UnsupportedCID` names the kind of one that cannot be checked."""
    if len(text) == 46 and text.startswith("Qm"):
        return CID(0, "dag-pb", _digest(_decode(text, _BASE58, text), text))
    return _from_bytes(_multibase(text), text)


def cid_of_bytes(raw: bytes) -> CID:
    """The CID in its binary form, as it stands in the links of a block."""
    if raw[:2] == SHA2_256 and len(raw) == 34:
        return CID(0, "dag-pb", raw[2:])
    return _from_bytes(raw, _base32(raw))


def _from_bytes(raw: bytes, text: str) -> CID:
    version, rest = _read_varint(raw, text)
    if version != 1:
        raise UnsupportedCID(f"{_quoted(text)} is a CID of version {version}; only 0 and 1 are known.")
    codec, multihash = _read_varint(rest, text)
    if codec not in _CODECS:
        name = _OTHER_CODECS.get(codec, f"0x{codec:x}")
        raise UnsupportedCID(
            f"The CID {_quoted(text)} has the codec {name}; only dag-pb and raw can be checked."
        )
    return CID(1, _CODECS[codec], _digest(multihash, text))


def cid_in_link(url: str) -> str | None:
    """The text where a link has its CID, not yet checked to be one, or None.

    Known forms: `…/ipfs/<CID>[/…]`, `ipfs://<CID>[/…]`, `https://<CID>.ipfs.<host>`.
    """
    found = _find(url)
    return found[0] if found else None


def cid_of_link(link: str) -> CID:
    """The CID of a link to a whole file, or of a bare CID; `UnsupportedCID` says why there is none."""
    if "/" not in link and ":" not in link:
        return parse_cid(link)
    found = _find(link)
    if found is None:
        raise UnsupportedCID("The link has no CID, so what it leads to cannot be checked.")
    text, path = found
    cid = parse_cid(text)
    if path.strip("/"):
        raise UnsupportedCID(f"The link names a path inside {cid}; only a file's own CID can be checked.")
    return cid


def _find(url: str) -> tuple[str, str] | None:
    """The CID's text and the path after it."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:  # such as an unclosed [ in the host
        return None
    text, path = _candidate(parts)
    return (text, path) if text else None


def _candidate(parts: SplitResult) -> tuple[str, str]:
    if parts.scheme == "ipfs":
        whole = (parts.netloc + parts.path).removeprefix("ipfs/")
        text, _, path = whole.partition("/")
        return text, path
    _, _, after = parts.path.partition("/ipfs/")
    if after:
        text, _, path = after.partition("/")
        return text, path
    label, _, domain = (parts.hostname or "").partition(".")
    return (label, parts.path) if domain.startswith("ipfs.") else ("", "")


def _matches_any(cid: CID, layouts: Iterable[Layout], pieces: Callable[[], Iterable[bytes]]) -> bool:
    for layout in layouts:
        verifier = Verifier(cid, layout)
        for piece in pieces():
            verifier.feed(piece)
        if verifier.good():
            return True
    return False


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(_PIECE):
        yield piece


def _digest(multihash: bytes, text: str) -> bytes:
    kind, rest = _read_varint(multihash, text)
    name = _HASHES.get(kind, f"0x{kind:x}")
    if name != "sha2-256":
        raise UnsupportedCID(f"The CID {_quoted(text)} has a {name} hash; only sha2-256 can be checked.")
    length, digest = _read_varint(rest, text)
    if length != 32 or len(digest) != 32:
        raise UnsupportedCID(f"{_quoted(text)} is not a CID: its hash has not 32 bytes.")
    return digest


def _multibase(text: str) -> bytes:
    prefix, body = text[:1], text[1:]
    if len(text) > _LONGEST:
        raise UnsupportedCID(f"{_quoted(text)} is not a CID: it is longer than {_LONGEST} characters.")
    if prefix == "z":
        return _decode(body, _BASE58, text)
    if prefix == "k":
        return _decode(body, _BASE36, text)
    if prefix == "b":
        return _decode_base32(body, text)
    if prefix and prefix in "BKFfmMuUZ":
        raise UnsupportedCID(
            f"The CID {_quoted(text)} is in multibase {prefix!r}; only b, k and z are known."
        )
    raise UnsupportedCID(f"{_quoted(text)} is not a CID.")


def _read_varint(data: bytes, text: str) -> tuple[int, bytes]:
    number = 0
    for place, byte in enumerate(data[:9]):  # the unsigned-varint rule: at most 9 bytes, none to spare
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            if byte == 0 and place:
                break
            return number, data[place + 1 :]
    raise UnsupportedCID(f"{_quoted(text)} is not a CID: it ends or errs inside a number.")


def _v1_bytes(cid: CID) -> bytes:
    codec = RAW if cid.codec == "raw" else DAG_PB
    return bytes((1, codec)) + SHA2_256 + cid.digest


def _base32(data: bytes) -> str:
    return "b" + base64.b32encode(data).decode().rstrip("=").lower()


def _decode_base32(body: str, text: str) -> bytes:
    try:
        data = base64.b32decode((body + "=" * (-len(body) % 8)).upper())
    except (binascii.Error, ValueError):
        data = b""
    if _base32(data) != "b" + body:  # also refuses upper case and stray bits at the end
        raise UnsupportedCID(f"{_quoted(text)} is not a CID: not base32.")
    return data


def _encode(data: bytes, alphabet: str) -> str:
    number = int.from_bytes(data)
    out = []
    while number:
        number, place = divmod(number, len(alphabet))
        out.append(alphabet[place])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return alphabet[0] * zeros + "".join(reversed(out))


def _decode(body: str, alphabet: str, text: str) -> bytes:
    number = 0
    for character in body:
        place = alphabet.find(character)
        if place < 0:
            raise UnsupportedCID(
                f"{_quoted(text)} is not a CID: {character!r} is not in base{len(alphabet)}."
            )
        number = number * len(alphabet) + place
    zeros = len(body) - len(body.lstrip(alphabet[0]))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8)


def _quoted(text: str) -> str:
    return shown(text, 80)
