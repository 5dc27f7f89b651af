"""What a server serves, and how."""

from __future__ import annotations

from dataclasses import dataclass

from ogpu.indexer.place import Place
from ogpu.networks import Network
from ogpu.web.limits import Limits


@dataclass(frozen=True)
class Served:
    """What is served, and how.

    `hosts` are names that the server goes by beside loopback's; None takes any. With `anew`, for a local
    network, an index of a chain that was wound back is made again.
    """

    network: Network
    place: Place
    limits: Limits
    hosts: tuple[str, ...] | None = ()
    origins: tuple[str, ...] = ()
    indexes: bool = True
    anew: bool = False
    first_block: int = 0
