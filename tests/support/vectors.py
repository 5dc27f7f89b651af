"""Files, CIDs and blocks as a real IPFS implementation makes them; `scripts/cid_vectors.mjs` wrote them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UNIT = Path(__file__).parents[1] / "unit"

VECTORS: list[dict[str, Any]] = json.loads((UNIT / "cid_vectors.json").read_text())["vectors"]
DEFAULTS = [vector for vector in VECTORS if vector["chunk_size"] == 262_144]


def content(vector: dict[str, Any]) -> bytes:
    """The bytes of a vector's file."""
    return str(vector["text"]).encode() if "text" in vector else by_formula(vector["length"])


def by_formula(length: int) -> bytes:
    """The bytes of a file of that length."""
    rows = [bytes((31 * j + shift) & 255 for j in range(256)) for shift in range(256)]
    return b"".join(rows[(17 * k + 7 * (k >> 10)) & 255] for k in range(-(-length // 256)))[:length]


@dataclass(frozen=True)
class StoredFile:
    """A file in a layout that no default has, with all of its blocks by their CIDs."""

    name: str
    data: bytes
    root: str
    blocks: dict[str, bytes]


STORED = {
    vector["name"]: StoredFile(
        vector["name"],
        bytes(vector["length"]) if vector["zeros"] else by_formula(vector["length"]),
        vector["root"],
        {cid: base64.b64decode(block) for cid, block in vector["blocks"].items()},
    )
    for vector in json.loads((UNIT / "dag_vectors.json").read_text())["vectors"]
}
FILES = [stored for name, stored in STORED.items() if name != "a directory"]
