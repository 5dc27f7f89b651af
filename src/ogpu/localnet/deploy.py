"""Deploys and wires the contracts as contracts/README.md says, and gives each account what it needs."""

from __future__ import annotations

import asyncio
import json
from importlib import resources
from typing import Any

from ogpu.errors import LocalNetworkError, RPCFailed
from ogpu.localnet.accounts import Accounts
from ogpu.rpc.codec import ZERO_ADDRESS, checksum, interface, keccak
from ogpu.rpc.transport import RPC, quantity, raised
from ogpu.tx.keystore import KeyPair
from ogpu.tx.signer import LocalSigner

COIN = 10**18
ACCOUNT_COINS = 100_000 * COIN
CLIENT_DEPOSIT = 10_000 * COIN
PROVIDER_STAKE = 1_000 * COIN
GAS = 10_000_000
MAX_FEE = 100 * 10**9  # wei per gas; the base fee starts at 1 gwei and falls
MINE_TIMEOUT = 60.0  # seconds for one step's transactions
RECEIPT_POLL = 0.02
CONSTRUCTED = ("Manager", "Terminal", "Nexus", "Vault", "Controller")


def created_address(sender: str, nonce: int) -> str:
    """The address of the contract that a sender creates at a nonce (Yellow paper, section 7)."""
    import rlp

    encoded = rlp.encode([bytes.fromhex(sender[2:]), nonce])
    return checksum("0x" + keccak(encoded)[12:].hex())


class _Script:
    """Signed transactions, gathered to be sent at once."""

    def __init__(self, chain_id: int) -> None:
        self._chain_id = chain_id
        self._nonces: dict[str, int] = {}
        self._signed: list[tuple[str, str, str]] = []  # label, raw bytes, hash

    def add(self, label: str, sender: KeyPair, to: str | None, data: str, value: int = 0) -> int:
        """Sign one more; returns its nonce."""
        nonce = self._nonces.get(sender.address, 0)
        self._nonces[sender.address] = nonce + 1
        transaction: dict[str, Any] = {
            "chainId": self._chain_id,
            "nonce": nonce,
            "data": data,
            "value": value,
            "gas": GAS,
            "maxFeePerGas": MAX_FEE,
            "maxPriorityFeePerGas": 0,
            "type": 2,
        }
        if to is not None:
            transaction["to"] = to
        raw = LocalSigner(sender).sign(transaction)
        self._signed.append((label, "0x" + raw.hex(), "0x" + keccak(raw).hex()))
        return nonce

    def call(
        self,
        sender: KeyPair,
        contracts: dict[str, str],
        contract: str,
        function: str,
        *arguments: Any,
        value: int = 0,
    ) -> None:
        """Sign one more that calls a contract."""
        data = interface(contract).functions[function].encode(*arguments)
        self.add(f"{contract}.{function}", sender, contracts[contract], data, value)

    async def run(self, rpc: RPC) -> None:
        """Send what was gathered, and see that all of it is mined and succeeded."""
        signed, self._signed = self._signed, []
        sends = await rpc.batch([("eth_sendRawTransaction", [raw]) for _, raw, _ in signed])
        for (label, _, _), sent in zip(signed, sends, strict=True):
            if isinstance(sent, RPCFailed):
                raise LocalNetworkError(f"Setting up the contracts failed at {label}: {sent}") from sent
        try:
            async with asyncio.timeout(MINE_TIMEOUT):
                receipts = await self._receipts(rpc, [tx_hash for _, _, tx_hash in signed])
        except TimeoutError:
            raise LocalNetworkError(
                f"The node did not mine the contracts' set-up within {MINE_TIMEOUT:g} s."
            ) from None
        for (label, _, _), receipt in zip(signed, receipts, strict=True):
            if quantity(receipt["status"]) != 1:
                raise LocalNetworkError(f"Setting up the contracts failed at {label}: it was reverted.")

    async def _receipts(self, rpc: RPC, hashes: list[str]) -> list[dict[str, Any]]:
        """The receipts of all; a block may still be on its way when the pool is empty already."""
        while True:
            await mine_pending(rpc)
            answers = await rpc.batch([("eth_getTransactionReceipt", [tx_hash]) for tx_hash in hashes])
            receipts = [raised(answer) for answer in answers]
            if all(receipts):
                return receipts
            await asyncio.sleep(RECEIPT_POLL)


async def mine_pending(rpc: RPC) -> None:
    """Mine until the pool has nothing that can be mined; anvil leaves over what a burst brings."""
    while quantity((await rpc.call("txpool_status"))["pending"]):
        await rpc.call("evm_mine")


async def deploy(rpc: RPC, chain_id: int, accounts: Accounts) -> dict[str, str]:
    """Put the protocol on a fresh chain; returns the contracts' addresses by name."""
    await _fund(rpc, accounts.all())
    script = _Script(chain_id)
    contracts = _construct(script, accounts.admin)
    await script.run(rpc)  # each step is mined first: a call of what is not there yet would do nothing
    _wire(script, accounts.admin, contracts)
    await script.run(rpc)
    _equip_clients(script, accounts, contracts)
    _pair(script, accounts, contracts)
    await script.run(rpc)
    return {name.upper(): address for name, address in contracts.items()}


async def add_providers(rpc: RPC, chain_id: int, more: Accounts, contracts: dict[str, str]) -> None:
    """Pair and stake more providers on a chain that has the protocol."""
    await _fund(rpc, [*more.provider, *more.master, *more.agent])
    script = _Script(chain_id)
    _pair(script, more, {name.capitalize(): address for name, address in contracts.items()})
    await script.run(rpc)


async def _fund(rpc: RPC, accounts: list[KeyPair]) -> None:
    for answer in await rpc.batch([("anvil_setBalance", [a.address, hex(ACCOUNT_COINS)]) for a in accounts]):
        raised(answer)


def _construct(script: _Script, admin: KeyPair) -> dict[str, str]:
    from eth_abi.abi import encode

    contracts: dict[str, str] = {}
    arguments: dict[str, tuple[str, ...]] = {
        "Manager": (),
        "Terminal": ("Manager", ""),
        "Nexus": ("Manager", "Terminal", ""),
        "Vault": ("Manager", "Nexus", "Terminal"),
        "Controller": ("Nexus", "Terminal", "Vault"),
    }
    for name in CONSTRUCTED:
        values = [contracts.get(needed, ZERO_ADDRESS) for needed in arguments[name]]
        data = _bytecode(name) + encode(["address"] * len(values), values).hex()
        contracts[name] = created_address(admin.address, script.add(name, admin, None, data))
    return contracts


def _bytecode(name: str) -> str:
    text = resources.files("ogpu").joinpath("abi", f"{name}.json").read_text(encoding="utf-8")
    return str(json.loads(text)["bytecode"])


def _wire(script: _Script, admin: KeyPair, contracts: dict[str, str]) -> None:
    script.call(admin, contracts, "Terminal", "setVault", contracts["Vault"])
    script.call(admin, contracts, "Nexus", "setVault", contracts["Vault"])
    script.call(admin, contracts, "Manager", "grantRole", keccak(b"CONTROLLER"), contracts["Nexus"])
    script.call(admin, contracts, "Manager", "grantRole", keccak(b"CONTROLLER"), contracts["Controller"])
    script.call(admin, contracts, "Manager", "grantRole", keccak(b"TERMINAL"), contracts["Terminal"])
    script.call(admin, contracts, "Manager", "grantRole", keccak(b"JUDGE"), admin.address)


def _equip_clients(script: _Script, accounts: Accounts, contracts: dict[str, str]) -> None:
    for client in accounts.client:
        script.call(client, contracts, "Vault", "deposit", client.address, value=CLIENT_DEPOSIT)
        script.call(accounts.admin, contracts, "Vault", "setWhitelist", client.address, True)


def _pair(script: _Script, accounts: Accounts, contracts: dict[str, str]) -> None:
    for provider, master, agent in zip(accounts.provider, accounts.master, accounts.agent, strict=True):
        stake = PROVIDER_STAKE
        script.call(master, contracts, "Terminal", "announceProvider", provider.address, stake, value=stake)
        script.call(provider, contracts, "Terminal", "announceMaster", master.address)
        script.call(master, contracts, "Terminal", "setAgent", agent.address, True)
