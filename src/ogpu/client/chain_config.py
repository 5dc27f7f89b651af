"""Which network the functional API uses."""

from __future__ import annotations

from enum import Enum

from ogpu.client import default
from ogpu.errors import UnknownChain
from ogpu.networks import LOCAL_CHAIN_ID, MAINNET, TESTNET, network_of
from ogpu.text import shown


class ChainId(Enum):
    """The networks by chain id. A network file may give one of them another id, as its own name."""

    OGPU_MAINNET = MAINNET.chain_id
    OGPU_TESTNET = TESTNET.chain_id
    OGPU_LOCAL = LOCAL_CHAIN_ID


_NAMES = {
    ChainId.OGPU_MAINNET: MAINNET.name,
    ChainId.OGPU_TESTNET: TESTNET.name,
    ChainId.OGPU_LOCAL: "local",
}


class ChainConfig:
    """The network of the functional API; the default is `OGPU_NETWORK_FILE`'s, else the testnet."""

    @classmethod
    def set_chain(cls, chain_id: ChainId) -> None:
        """Use this network from now on; `ValueError` for one that is not known."""
        if not isinstance(chain_id, ChainId):
            raise UnknownChain(
                f"Not a ChainId: {shown(chain_id)}.",
                hint=f"Use one of {', '.join(str(chain) for chain in ChainId)}.",
            )
        default.select(network_of(_NAMES[chain_id]))

    @classmethod
    def get_current_chain(cls) -> ChainId:
        """The network in use; `ValueError` when a network file's network is none of these."""
        network = default.selected()
        for chain, name in _NAMES.items():
            if network.name == name:
                return chain
        raise UnknownChain(
            f"The network in use is {shown(network.name)} (chain {network.chain_id}) of a network file, "
            "which is none of ChainId.",
            hint="ogpu.Client().network tells what is in use.",
        )

    @classmethod
    def get_contract_address(cls, contract_name: str) -> str:
        """The address of "NEXUS", "CONTROLLER", "TERMINAL", "VAULT" or "MANAGER" on the network in use."""
        return default.selected().contract(contract_name)

    @classmethod
    def get_all_supported_chains(cls) -> list[ChainId]:
        """All networks that can be selected."""
        return list(ChainId)
