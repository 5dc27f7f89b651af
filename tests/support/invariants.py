"""What must hold after every run: each key executed once or not at all, no nonce gap, journal equals chain.

The chain and the journal are read here without the library's code.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from eth_abi.abi import decode
from eth_utils.crypto import keccak

from tests.support.localnet import RunningNetwork
from tests.support.plain import ask, get

PUBLISH_TASK = keccak(text="publishTask((address,string,uint256,uint256))")[:4].hex()
DEPOSIT = keccak(text="deposit(address)")[:4].hex()
BALANCE_OF = keccak(text="getBalanceOf(address)")[:4].hex()
TASK_PUBLISHED = "0x" + keccak(text="TaskPublished(address,address)").hex()

Block = dict[str, Any]


@dataclass(frozen=True)
class Mined:
    """A transaction of the account under test, as the chain has it. Amounts in wei."""

    nonce: int
    hash: str
    block: int
    block_hash: str
    to: str
    value: int
    payment: int  # of a published task
    succeeded: bool
    key: str | None  # whose call it is; None for what is neither a task nor a deposit
    empty: bool  # a transfer of nothing to the account itself, which is what cancels
    tasks: tuple[str, ...]  # addresses, from the events


@dataclass(frozen=True)
class Found:
    """What the chain has of an account's transactions, in the order of their nonces."""

    sender: str
    first_nonce: int
    next_nonce: int
    mined: tuple[Mined, ...]
    waiting: tuple[int, ...]  # nonces in the node's pool

    @property
    def executions(self) -> dict[str, list[Mined]]:
        """The transactions that did what they were to do, by key."""
        found: defaultdict[str, list[Mined]] = defaultdict(list)
        for transaction in self.mined:
            if transaction.key is not None and transaction.succeeded:
                found[transaction.key].append(transaction)
        return dict(found)

    @property
    def paid(self) -> int:
        """The payments of all published tasks, in wei."""
        return sum(transaction.payment for transaction in self.mined if transaction.succeeded)

    def assert_no_gap(self) -> None:
        """Nonces are used one after the other, and what waits follows them at once."""
        nonces = [transaction.nonce for transaction in self.mined]
        expected = list(range(self.first_nonce, self.next_nonce))
        assert nonces == expected, (
            f"nonces {nonces} in blocks {[t.block for t in self.mined]}, not {expected}"
        )
        waiting = sorted(self.waiting)
        assert waiting == list(range(self.next_nonce, self.next_nonce + len(waiting))), "a nonce gap"

    def assert_once(self, done: Iterable[str], none: Iterable[str] = ()) -> None:
        """Each key of `done` is executed exactly once, none of `none`, and nothing else."""
        done, counts = sorted(done), {key: len(found) for key, found in self.executions.items()}
        assert len(set(done)) == len(done)
        twice = [
            f"{key}: nonce {one.nonce} in block {one.block}, {one.hash}"
            for key, found in self.executions.items()
            if len(found) != 1
            for one in found
        ]
        assert not twice, "executed more than once:\n" + "\n".join(twice)
        assert sorted(counts) == done, "not the keys that were to be executed"
        assert not set(counts) & set(none)
        for found in self.executions.values():
            assert len(found[0].tasks) == (0 if str(found[0].key).startswith("deposit:") else 1)


def check_chain(
    network: RunningNetwork, sender: str, *, since_block: int, blocks: Sequence[Block] | None = None
) -> Found:
    """The transactions that an account has in the blocks after `since_block`; there is no nonce gap."""
    found = read_chain(network, sender, since_block=since_block, blocks=blocks)
    found.assert_no_gap()
    return found


def read_chain(
    network: RunningNetwork, sender: str, *, since_block: int, blocks: Sequence[Block] | None = None
) -> Found:
    """The same without a look at the nonces, also while the node mines: a block may then have holes."""
    latest, first, count, pool = ask(
        network.url,
        [
            ("eth_blockNumber", []),
            ("eth_getTransactionCount", [sender, hex(since_block)]),
            ("eth_getTransactionCount", [sender, "latest"]),
            ("txpool_content", []),
        ],
    )
    if blocks is None:
        blocks = read_blocks(network, since_block, int(latest, 16))
    shown = [t for block in blocks if block for t in block["transactions"] if t]
    ours = [t for t in shown if t["from"].lower() == sender.lower()]
    receipts = ask(network.url, [("eth_getTransactionReceipt", [t["hash"]]) for t in ours])
    mined = [_mined(t, receipt) for t, receipt in zip(ours, receipts, strict=True) if receipt]
    return Found(
        sender,
        int(first, 16),
        int(count, 16),
        tuple(sorted(mined, key=lambda transaction: transaction.nonce)),
        tuple(_waiting(pool, sender)),
    )


def read_blocks(network: RunningNetwork, since_block: int, last: int) -> list[Block]:
    """The blocks after `since_block`, with their transactions."""
    numbers = range(since_block + 1, last + 1)
    return ask(network.url, [("eth_getBlockByNumber", [hex(number), True]) for number in numbers])


def _waiting(pool: dict[str, Any], sender: str) -> list[int]:
    return [
        int(nonce)
        for state in ("pending", "queued")
        for account, transactions in pool[state].items()
        if account.lower() == sender.lower()
        for nonce in transactions
    ]


def _mined(transaction: dict[str, Any], receipt: dict[str, Any]) -> Mined:
    data, to, value = transaction["input"][2:], str(transaction["to"]), int(transaction["value"], 16)
    key, payment = None, 0
    if data[:8] == PUBLISH_TASK:
        ((_, link, _, payment),) = decode(["(address,string,uint256,uint256)"], bytes.fromhex(data[8:]))
        key = key_of_link(link)
    elif data[:8] == DEPOSIT:
        key = deposit_key(value)
    return Mined(
        nonce=int(transaction["nonce"], 16),
        hash=transaction["hash"],
        block=int(transaction["blockNumber"], 16),
        block_hash=transaction["blockHash"],
        to=to,
        value=value,
        payment=payment,
        succeeded=receipt["status"] == "0x1",
        key=key,
        empty=not data and not value and to.lower() == transaction["from"].lower(),
        tasks=tuple(_address(log) for log in receipt["logs"] if log["topics"] == [TASK_PUBLISHED]),
    )


def _address(log: dict[str, Any]) -> str:
    return "0x" + str(log["data"])[2 + 24 : 2 + 64]


def deposit_key(amount: int) -> str:
    """The key of a Vault deposit: its amount in wei, so use each amount once."""
    return f"deposit:{amount}"


@lru_cache(maxsize=100_000)
def key_of_link(link: str) -> str:
    """The key that a published task carries: `{"key": …}` is in the data of its config."""
    return str(json.loads(get(link))["data"]["key"])


def vault_balance(network: RunningNetwork, account: str) -> int:
    """What an account has in the Vault, in wei."""
    call = {
        "to": network.document["contracts"]["VAULT"],
        "data": "0x" + BALANCE_OF + account[2:].lower().rjust(64, "0"),
    }
    return int(ask(network.url, [("eth_call", [call, "latest"])])[0], 16)
