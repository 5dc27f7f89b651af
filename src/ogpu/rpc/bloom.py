"""The bloom filter in a block's header: which addresses and topics its logs may have. Pure.

Each address and topic of a log sets three of the 2,048 bits (Yellow Paper, section 4.4.3). So a log whose
bits are not set is not the block's; one whose bits are set need not be there, others may have set them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from ogpu.errors import RPCInvalidResponse
from ogpu.rpc.codec import keccak
from ogpu.text import shown

BITS = 2048
REMEMBERED = 1 << 13  # topics, in 4 MB at most

_BLOOM = re.compile(rf"0x[0-9a-fA-F]{{{BITS // 4}}}")


def bloom_of(value: Any) -> int:
    """A header's filter as a number; raises `RPCInvalidResponse`."""
    if not isinstance(value, str) or not _BLOOM.fullmatch(value):
        raise RPCInvalidResponse(f"The node answered {shown(value)} where a block's logsBloom was due.")
    return int(value, 16)


def bits_of(value: bytes) -> int:
    """The bits that an address (20 bytes) or topic (32 bytes) sets."""
    hashed = keccak(value)
    places = (int.from_bytes(hashed[at : at + 2], "big") % BITS for at in (0, 2, 4))
    bits = 0
    for place in places:
        bits |= 1 << place
    return bits


@lru_cache(REMEMBERED)
def bits_of_hex(value: str) -> int:
    """The same of 0x-prefixed hex."""
    return bits_of(bytes.fromhex(value[2:]))


def chance(bloom: int) -> float:
    """How likely it is that a filter has the bits of something that is not in the block."""
    return float((bloom.bit_count() / BITS) ** 3)
