"""Where a file's bytes are asked for: gateways and Kubo nodes. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from ogpu.content.cid import CID
from ogpu.content.http import PLAIN
from ogpu.content.urls import gateway_address


@dataclass(frozen=True, slots=True)
class Ask:
    """A request; `final` are the statuses that another try does not change, though they look as if."""

    url: str = field(repr=False)
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=lambda: PLAIN)
    final: frozenset[int] = frozenset()


class Source(Protocol):
    """A server that has files by their CIDs, whole and in blocks."""

    @property
    def url(self) -> str:
        """What it is known by in messages, once `origin` has cut it."""

    def file(self, cid: CID) -> Ask:
        """How to ask for a whole file."""

    def block(self, cid: CID) -> Ask:
        """How to ask for one block."""


@dataclass(frozen=True, slots=True)
class GatewaySource:
    """An HTTP gateway, in the form that `urls.gateway_base` makes.

    https://specs.ipfs.tech/http-gateways/path-gateway/, and for blocks
    https://specs.ipfs.tech/http-gateways/trustless-gateway/: both the parameter and the header.
    """

    url: str = field(repr=False)

    def file(self, cid: CID) -> Ask:
        """The bytes of the file, put together by the gateway."""
        return Ask(gateway_address(self.url, cid))

    def block(self, cid: CID) -> Ask:
        """The block itself."""
        parts = urlsplit(gateway_address(self.url, cid))
        query = f"{parts.query}&format=raw" if parts.query else "format=raw"
        headers = {**PLAIN, "Accept": "application/vnd.ipld.raw"}
        return Ask(urlunsplit(parts._replace(query=query)), headers=headers)


@dataclass(frozen=True, slots=True)
class KuboSource:
    """The RPC of a Kubo node, which takes POST only and says 500 for whatever it cannot do.

    https://docs.ipfs.tech/reference/kubo/rpc/
    """

    url: str = field(repr=False)

    def file(self, cid: CID) -> Ask:
        """`ipfs cat`."""
        return self._ask("cat", cid)

    def block(self, cid: CID) -> Ask:
        """`ipfs block get`."""
        return self._ask("block/get", cid)

    def _ask(self, command: str, cid: CID) -> Ask:
        return Ask(f"{self.url}/{command}?arg={cid}", "POST", final=frozenset({500}))
