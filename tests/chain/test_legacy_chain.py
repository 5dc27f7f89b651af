"""A chain from before EIP-1559: it has no base fee, and takes no transactions with one."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import rlp
from eth_account import Account
from tests.support.calls import (
    until,
)
from tests.support.localnet import rpc
from tests.support.ports import kept
from tests.support.proxy import Proxy, proxied
from tests.support.stage import COIN

from ogpu.localnet.node import find_anvil
from ogpu.localnet.processes import end_with_parent
from ogpu.rpc.transport import RPC
from ogpu.tx.journal import Journal
from ogpu.tx.manager import TransactionManager
from ogpu.tx.signer import resolve_signer
from ogpu.tx.state import Call, Cost, Policy, Receipt, SendOptions

ANVIL_CHAIN = 31337
GWEI = 10**9


@pytest.fixture(scope="module")
def legacy_url() -> Iterator[str]:
    """A node of a chain from before EIP-1559, which mines when it is told to."""
    binary = asyncio.run(find_anvil(print))
    with kept() as port:
        command = [str(binary), "--port", str(port), "--hardfork", "berlin", "--no-mining", "--silent"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=end_with_parent())
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: _answers(url), what="the node")
            yield url
        finally:
            process.kill()
            process.wait(10)


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError):
        return bool(rpc(url, "eth_chainId"))
    return False


def test_a_legacy_chain_gets_legacy_transactions_also_when_bumped(legacy_url: str, tmp_path: Path) -> None:
    account = Account.create()
    rpc(legacy_url, "anvil_setBalance", account.address, hex(COIN))
    assert not rpc(legacy_url, "eth_getBlockByNumber", "latest", False).get("baseFeePerGas")
    call, wanted = Call("transfer", "0x" + "99" * 20, value=5), 3 * GWEI

    async def send(proxy: Proxy) -> tuple[Cost, Receipt]:
        node = RPC([proxy.url], ANVIL_CHAIN)
        policy = Policy(max_fee=wanted, fee_cap=2 * wanted)
        manager = TransactionManager(node, ANVIL_CHAIN, Journal(tmp_path / "legacy.sqlite3"), policy)
        try:
            signer = resolve_signer(account)
            cost = await manager.estimate(call, signer.address)
            sending = asyncio.create_task(manager.send(call, signer, SendOptions(key="legacy")))
            while not proxy.raw_sent:
                await asyncio.sleep(0.02)
            await manager.bump("legacy", signer)
            await asyncio.to_thread(rpc, legacy_url, "evm_mine")
            return cost, await sending
        finally:
            await manager.close()
            await node.close()

    with proxied(legacy_url) as proxy:
        cost, receipt = asyncio.run(asyncio.wait_for(send(proxy), 60))
        sent = [rlp.decode(bytes.fromhex(raw[2:])) for raw in dict.fromkeys(proxy.raw_sent)]
    prices = [int.from_bytes(fields[1]) for fields in sent]
    assert (cost.priority_fee, cost.max_fee) == (None, wanted)
    assert cost.gas_cost == cost.gas * wanted
    assert prices == [wanted, wanted * 11 // 10]
    assert (receipt.succeeded, receipt.gas_price) == (True, prices[-1])
    spent = COIN - int(rpc(legacy_url, "eth_getBalance", account.address, "latest"), 16)
    assert spent == 5 + receipt.gas_cost
