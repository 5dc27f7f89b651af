"""Where a file is looked for, in order: the cache, the configured store, the gateways; or at a plain link."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from ogpu.content.cid import CID
from ogpu.content.fetch import Fetch, fetch
from ogpu.content.files import file_errors, read_checked
from ogpu.content.limits import Limits
from ogpu.content.options import Folder, KuboNode
from ogpu.content.outside import Resolve, fetch_link, system_resolve
from ogpu.content.receiver import Receiver
from ogpu.content.sources import GatewaySource, KuboSource, Source
from ogpu.content.threads import in_thread
from ogpu.errors import ConfigurationError, ContentMismatch, ContentUnavailable


async def get_by_cid(wanted: Fetch, store: KuboNode | Folder | None, gateways: Sequence[str]) -> None:
    """Write the file that the CID names to the sink."""
    if await _is_here(wanted, store):
        if wanted.progress is not None:
            size = wanted.sink.seek(0, os.SEEK_END)
            wanted.progress(size, size)
        return None
    sources: list[Source] = [GatewaySource(gateway) for gateway in gateways]
    if isinstance(store, KuboNode):
        sources.insert(0, KuboSource(store.url))
    if sources:
        return await fetch(wanted, sources)
    if isinstance(store, Folder):
        raise ContentUnavailable(f"The folder has no {wanted.cid}.", facts={"folder": str(store.path)})
    raise ConfigurationError("The network has no content gateway.", hint="Set gateway_urls.")


async def get_by_link(
    link: str, own_origins: frozenset[str], limits: Limits, receiver: Receiver, resolve: Resolve | None
) -> None:
    """Give what a link without a CID leads to, unchecked, to the receiver."""
    await fetch_link(link, own_origins, limits, receiver, resolve or system_resolve)


async def _is_here(wanted: Fetch, store: KuboNode | Folder | None) -> bool:
    """Whether the file was on this machine, and is now in the sink."""
    limit = wanted.limits.max_bytes
    if wanted.cache is not None and await in_thread(wanted.cache.read, wanted.cid, wanted.sink, limit):
        return True
    if not isinstance(store, Folder):
        return False
    return await in_thread(_read_folder, store.path, wanted.cid, wanted.sink, limit)


def _read_folder(folder: Path, cid: CID, sink: BinaryIO, limit: int) -> bool:
    """`ContentMismatch` when the folder has a file of that name which is another."""
    names = [str(cid)] if cid.codec == "raw" else [str(CID(0, cid.codec, cid.digest)), str(cid)]
    for path in (folder / name for name in dict.fromkeys(names)):
        with file_errors(path, "read"):
            if not path.exists():
                continue
            found = read_checked(path, cid, sink, limit)
        if found is False:
            raise ContentMismatch(
                f"The file {path.name} in the content folder is not what {cid} names.",
                hint="Remove it.",
                facts={"folder": str(folder), "cid": str(cid)},
            )
        if found:
            return True
    return False
