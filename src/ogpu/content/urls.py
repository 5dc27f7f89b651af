"""The addresses of content services: checked once, and shown without what may be secret in them. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from ogpu.content.cid import CID
from ogpu.errors import ConfigurationError


def service_url(url: str, name: str) -> str:
    """`url` when it is an http(s) address; else `ConfigurationError`, which does not show it."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode(
            "idna"
        )  # as the resolver will: an empty or overlong label is refused
        good = parts.scheme in ("http", "https") and bool(host) and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url:
        raise ConfigurationError(f"{name} is not an http or https URL.")
    return url


def gateway_base(url: str) -> str:
    """A gateway's one normal form, ending in `/ipfs`, from one given with or without it or a last slash."""
    parts = urlsplit(service_url(url, "gateway_url"))
    path = parts.path.rstrip("/").removesuffix("/ipfs")
    return urlunsplit(parts._replace(path=path + "/ipfs", fragment=""))


def gateway_address(base: str, cid: CID) -> str:
    """Where the gateway of that normal form has the content."""
    parts = urlsplit(base)
    return urlunsplit(parts._replace(path=f"{parts.path}/{cid}"))


def origin(url: str) -> str:
    """Scheme, host and port alone: a URL's path, query and user may hold a token."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "", "", ""))


def shown_address(base: str, cid: CID) -> str:
    """The same without the user and the query of the gateway's own address, which may hold a token."""
    parts = urlsplit(gateway_address(base, cid))
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def public_link(base: str, cid: CID) -> str:
    """A link for others to read; where the gateway's path may hold a token too, one that names no gateway."""
    return shown_address(base, cid) if urlsplit(base).path == "/ipfs" else f"ipfs://{cid}"
