"""Frames between a pool and its worker: two lengths, a JSON header and a payload, over one socket."""

from __future__ import annotations

import json
import os
import struct
from typing import Any

LENGTHS = struct.Struct(">II")  # of the header and of the payload, in bytes
MAX_HEADER = 1 << 20


def frame(header: dict[str, Any], payload: bytes = b"") -> bytes:
    """The bytes of one frame."""
    head = json.dumps(header).encode()
    return LENGTHS.pack(len(head), len(payload)) + head + payload


def read_frame(channel: int) -> tuple[dict[str, Any], bytes]:
    """Read one frame, blocking; EOFError when the other side is gone."""
    head_size, payload_size = LENGTHS.unpack(_read(channel, LENGTHS.size))
    header: dict[str, Any] = json.loads(_read(channel, head_size))
    return header, _read(channel, payload_size)


def write_frame(channel: int, header: dict[str, Any], payload: bytes = b"") -> None:
    """Write one frame, blocking."""
    left = memoryview(frame(header, payload))
    while left:
        left = left[os.write(channel, left) :]


def _read(channel: int, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = os.read(channel, min(size - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
