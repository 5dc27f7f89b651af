"""Files of a local network that other programs read."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from ogpu.networks import MAX_FILE_BYTES
from ogpu.safejson import parse_json


def lock_of(network_file: Path) -> Path:
    """The lock beside a network file; whoever runs that network holds it."""
    return network_file.with_name(network_file.name + ".lock")


def write_private(path: Path, document: dict[str, Any]) -> None:
    """Write JSON that only its owner may read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, scratch = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # made with mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
            file.write("\n")
        Path(scratch).replace(path)
    finally:
        Path(scratch).unlink(missing_ok=True)


def writer_of(path: Path) -> int | None:
    """The process that wrote a network file; None when the file is anything else than ours."""
    with contextlib.suppress(OSError, ValueError):
        with path.open("rb") as file:
            document = parse_json(file.read(MAX_FILE_BYTES))
        if isinstance(document, dict) and {"rpc_urls", "contracts", "pid"} <= document.keys():
            pid = document["pid"]
            return pid if isinstance(pid, int) else None
    return None
