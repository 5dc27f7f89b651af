"""All of a network's contracts, also those that only another contract names."""

from __future__ import annotations

import logging
from dataclasses import replace

from ogpu.errors import RPCFailed, RPCInvalidResponse
from ogpu.networks import Network
from ogpu.rpc.codec import ZERO_ADDRESS, interface
from ogpu.rpc.transport import RPC
from ogpu.text import printable

logger = logging.getLogger(__name__)


async def with_manager(rpc: RPC, network: Network) -> Network:
    """The network with its Manager, which public ones do not name; Nexus knows it, if it has one."""
    if "MANAGER" in network.contracts:
        return network
    manager = interface("Nexus").functions["manager"]
    call = {"to": network.contract("NEXUS"), "data": manager.encode()}
    try:
        address = manager.decode(await rpc.call("eth_call", call, "latest"))
    except (RPCFailed, RPCInvalidResponse) as error:
        logger.warning("roles are not followed: Nexus names no Manager: %s", printable(str(error), 200))
        return network
    if address == ZERO_ADDRESS:
        return network
    return replace(network, contracts={**network.contracts, "MANAGER": address})
