"""Plain https links, with no CID to check their bytes by: fetched from public addresses only.

The name is resolved once, all that it leads to is checked, and the connection goes to one of those addresses,
however the name is resolved a moment later.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult

from ogpu.content.addresses import Target, check_addresses, check_link
from ogpu.content.fetch import pieces
from ogpu.content.http import Failure, open_session, unavailable, within
from ogpu.content.limits import Limits
from ogpu.content.receiver import Receiver
from ogpu.content.sources import Ask
from ogpu.errors import ContentBlocked

# The addresses of a name, for connections to a port; an OSError when it has none.
Resolve = Callable[[str, int], Awaitable[list[str]]]


async def system_resolve(host: str, port: int) -> list[str]:
    """What the system's resolver says."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


async def fetch_link(
    link: str, own_origins: frozenset[str], limits: Limits, receiver: Receiver, resolve: Resolve
) -> None:
    """Give what the link leads to, unchecked, to the receiver.

    Raises `ContentBlocked` before anything is asked for; `ContentTooLarge` and `ContentUnavailable` as a
    fetch by CID does. No redirect is followed, and it is tried once.
    """
    target = check_link(link, own_origins)
    outcome = await within(limits.total_seconds, _fetch(target, limits, receiver, resolve), target.url)
    if isinstance(outcome, Failure):
        raise outcome.error


async def _fetch(target: Target, limits: Limits, receiver: Receiver, resolve: Resolve) -> Failure | None:
    addresses = await _addresses(target, resolve)
    if isinstance(addresses, Failure):
        return addresses
    url = yarl.URL(target.url)
    if url.host != target.host or url.port != target.port:
        raise ContentBlocked(
            "The link is read in two ways.", facts={"host": target.host, "reason": "ambiguous"}
        )
    connector = aiohttp.TCPConnector(
        resolver=_Pinned(target.host, addresses),
        ssl=await asyncio.to_thread(ssl.create_default_context),
        use_dns_cache=False,
        force_close=True,
    )
    async with (
        open_session(connector) as session,
        aclosing(pieces(session, target.url, Ask(target.url), limits, receiver.expect)) as coming,
    ):
        async for piece in coming:
            if isinstance(piece, Failure):
                return piece
            await receiver.take(piece)
    await receiver.finish()
    return None


async def _addresses(target: Target, resolve: Resolve) -> list[str] | Failure:
    try:
        addresses = [str(ipaddress.ip_address(target.host))]
    except ValueError:
        try:
            addresses = await resolve(target.host, target.port)
        except OSError:
            return unavailable(target.url, "has a name that cannot be resolved", passing=True)
    if not target.exempt:
        check_addresses(target.host, addresses)
    return addresses


class _Pinned(AbstractResolver):
    """Leads one name to the addresses that were checked, and no other name anywhere."""

    def __init__(self, host: str, addresses: list[str]) -> None:
        self._host = host
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The checked addresses; the family is theirs."""
        if host != self._host:
            raise OSError("another name was asked for than the one that was checked")
        return [_result(host, address, port) for address in self._addresses]

    async def close(self) -> None:
        """Nothing is held."""


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=flags)
