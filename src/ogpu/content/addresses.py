"""Which links without a CID may be fetched, and from which addresses. Pure.

A link is written by a stranger, and must not make this machine ask its own network, its own services or its
cloud's metadata service. So only https on its usual port, and only addresses of the public internet.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ogpu.errors import ContentBlocked
from ogpu.text import printable

# https://www.iana.org/assignments/iana-ipv4-special-registry/
_V4_SPECIAL = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared, behind a carrier's NAT",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local, where clouds keep their metadata",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "reserved for protocols",
    "192.0.2.0/24": "for documentation",
    "192.88.99.0/24": "a 6to4 relay",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "for benchmarks",
    "198.51.100.0/24": "for documentation",
    "203.0.113.0/24": "for documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
    "168.63.129.16/32": "a cloud's own service",
}
# https://www.iana.org/assignments/iana-ipv6-special-registry/; all that is not 2000::/3 is refused anyway.
_V6_PUBLIC = ipaddress.IPv6Network("2000::/3")
_V6_SPECIAL = {
    "2001::/23": "reserved for protocols, such as Teredo",
    "2001:db8::/32": "for documentation",
    "2002::/16": "6to4",
    "3fff::/20": "for documentation",
}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: stands for the IPv4 address at its end
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")

_V4_NETWORKS = {ipaddress.IPv4Network(text): why for text, why in _V4_SPECIAL.items()}
_V6_NETWORKS = {ipaddress.IPv6Network(text): why for text, why in _V6_SPECIAL.items()}

_NAME = re.compile(r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_INNER_NAMES = (
    "localhost",
    "local",
    "localdomain",
    "internal",
    "intranet",
    "lan",
    "home.arpa",
    "onion",
    "test",
)


@dataclass(frozen=True, slots=True)
class Target:
    """A link that may be asked for, as long as its name leads to public addresses."""

    url: str = field(repr=False)
    host: str  # a name, or a public address as it is usually written
    port: int
    exempt: bool  # the network's own: any address will do


def check_link(link: str, own_origins: frozenset[str]) -> Target:
    """The target of a plain link; `ContentBlocked` says why it is never asked for.

    `own_origins` are those of the network's definition (`scheme://host:port`), where any address and port
    and plain http will do.
    """
    try:
        parts = urlsplit(link.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _blocked("", "is not a URL") from None
    if not link.strip().isprintable() or " " in link.strip() or "\\" in link:
        raise _blocked("", "is not a URL")
    if parts.scheme not in ("http", "https") or not host:
        raise _blocked("", "is not an https link")
    port = (443 if parts.scheme == "https" else 80) if port is None else port
    clean = parts._replace(fragment="").geturl()
    if f"{parts.scheme}://{host}:{port}" in own_origins and "@" not in parts.netloc:
        return Target(clean, host, port, exempt=True)
    if parts.scheme != "https":
        raise _blocked(host, "is not an https link")
    if "@" in parts.netloc:
        raise _blocked(host, "has a user name in it")
    if port != 443:
        raise _blocked(host, f"has the port {port}; only 443 is asked")
    _check_host(host)
    return Target(clean, host, port, exempt=False)


def own_origins(*urls: str) -> frozenset[str]:
    """The origins of a network's own services, in the form that `check_link` takes."""
    found = set()
    for url in urls:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found.add(f"{parts.scheme}://{parts.hostname}:{port}")
    return frozenset(found)


def check_addresses(host: str, addresses: list[str]) -> None:
    """`ContentBlocked` unless every address that a name leads to is public."""
    if not addresses:
        raise _blocked(host, "leads to no address")
    for address in addresses:
        if why := not_public(address):
            leads = (
                "has an address that is"
                if address == host
                else f"leads to {printable(address, 60)}, which is"
            )
            raise _blocked(host, f"{leads} {why}")


def not_public(address: str) -> str | None:
    """Why an address, as a resolver writes it, is not one of the public internet."""
    try:
        number = ipaddress.ip_address(address)
    except ValueError:
        return "no address"
    if isinstance(number, ipaddress.IPv4Address):
        return _v4_not_public(number)
    if number.scope_id is not None:
        return "of one link only"
    if number in _NAT64 or number in _MAPPED:
        inner = ipaddress.IPv4Address(int(number) & 0xFFFFFFFF)
        return "IPv4 in IPv6" if number in _MAPPED else _v4_not_public(inner)
    if number not in _V6_PUBLIC:
        return "not of the public internet"
    return next((why for network, why in _V6_NETWORKS.items() if number in network), None)


def _v4_not_public(number: ipaddress.IPv4Address) -> str | None:
    return next((why for network, why in _V4_NETWORKS.items() if number in network), None)


def _check_host(host: str) -> None:
    """A name of the public internet, or an address in its usual spelling; resolvers take others too."""
    if ":" in host:
        if str(_v6(host)) != host:
            raise _blocked(host, "has an address in an unusual spelling")
        return check_addresses(host, [host])
    if re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}", host, re.ASCII):
        if any(len(part) > 1 and part[0] == "0" for part in host.split(".")):
            raise _blocked(host, "has an address in an unusual spelling")
        return check_addresses(host, [host])
    if not _NAME.fullmatch(host):
        raise _blocked(host, "has no name of the public internet")
    if any(host == name or host.endswith(f".{name}") for name in _INNER_NAMES):
        raise _blocked(host, "has a name of an inner network")
    return None


def _v6(host: str) -> ipaddress.IPv6Address | None:
    try:
        return ipaddress.IPv6Address(host)
    except ValueError:
        return None


def _blocked(host: str, reason: str) -> ContentBlocked:
    shown = printable(host, 100)
    subject = f"The link to {shown}" if shown else "The link"
    return ContentBlocked(
        f"{subject} {reason}.",
        hint="Only https links to the public internet are fetched, and those of a CID.",
        facts={"host": shown, "reason": reason},
    )
