"""Where content goes and comes from: as the caller says, else the settings, else the network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from ogpu import settings
from ogpu.content.limits import Limits
from ogpu.content.urls import gateway_base, service_url
from ogpu.errors import ConfigurationError, InvalidInput

CACHE_BYTES = 1 << 30  # the cache's size unless something else is set

_STORES = 'Known stores are "kubo:http://127.0.0.1:5001" and "folder:/path/to/a/folder".'


@dataclass(frozen=True, slots=True)
class ContentOptions:
    """Where content goes and where it comes from; what is left out is `OGPU_CONTENT_…`, else the network's.

    `store` takes uploads in place of the network's service, and is asked first for what is fetched:
    `"kubo:URL"`, a Kubo node's RPC address, or `"folder:PATH"`. `gateways` are asked after the network's own.
    `limits` bound each call that names none. `cache_bytes` bounds the cache on disk; 0 is none.
    """

    store: str | None = field(default=None, repr=False)  # a URL may hold a token
    gateways: tuple[str, ...] = field(default=(), repr=False)
    limits: Limits = field(default_factory=Limits)
    cache_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class KuboNode:
    """The RPC of a Kubo node; `url` ends in `/api/v0`."""

    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that holds each file under its CID, as the local network's content service does."""

    path: Path


def resolve_options(content: ContentOptions | str | None) -> ContentOptions:
    """The caller's options, completed by the settings and checked; a text alone is a store."""
    if content is None or isinstance(content, str):
        content = ContentOptions(store=content)
    if not isinstance(content, ContentOptions):
        raise InvalidInput(
            f"content is of type {type(content).__qualname__}, not a store's name or ContentOptions."
        )
    store = content.store if content.store is not None else settings.content_store()
    gateways = content.gateways or settings.content_gateways()
    cache_bytes = content.cache_bytes
    if cache_bytes is None:
        cache_bytes = settings.content_cache_bytes(CACHE_BYTES)
    if isinstance(cache_bytes, bool) or not isinstance(cache_bytes, int) or cache_bytes < 0:
        raise InvalidInput("cache_bytes must be a whole number of bytes, 0 or more.")
    parse_store(store)
    for gateway in gateways:
        gateway_base(gateway)
    return replace(content, store=store, gateways=tuple(gateways), cache_bytes=cache_bytes)


def parse_store(text: str | None) -> KuboNode | Folder | None:
    """The store that a setting names; None is the network's service."""
    if text is None:
        return None
    kind, _, where = text.partition(":")
    if kind == "kubo" and where:
        url = service_url(where, "The address of the kubo store").rstrip("/").removesuffix("/api/v0")
        if "?" in url or "#" in url:
            raise ConfigurationError("The address of the kubo store must have no query and no fragment.")
        return KuboNode(f"{url}/api/v0")
    if kind == "folder" and where:
        return Folder(_folder(where))
    raise ConfigurationError("The content store is of no known kind.", hint=_STORES)


def _folder(where: str) -> Path:
    try:
        return Path(where).expanduser().absolute()
    except RuntimeError as error:
        raise ConfigurationError("The content store is a folder of nobody on this machine.") from error
