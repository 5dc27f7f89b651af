"""A task with many responses, quickly: the node signs for anybody, and mines calls of a kind in one block."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

Request = tuple[str, Sequence[Any]]  # method and parameters

AT_ONCE = 500  # requests in a batch
MINE_TIMEOUT = 60.0  # seconds
COIN = 10**18
LOCKUP = 10 * COIN  # wei, of each provider
CPU = 1  # the environment that providers register for
GAS = 2_000_000  # of a call, and much more than it uses; asking the node would take longer than mining
GAS_PRICE = 10**12  # wei; full blocks raise the base fee


@dataclass(frozen=True)
class Answer:
    """A response that was made: whose it is, and what it says."""

    provider: str
    data: str


def answered(
    url: str,
    contracts: Mapping[str, str],
    task: str,
    count: int,
    *,
    text: str = "answer {}",
    payment: int = 1,
) -> list[Answer]:
    """Give a task `count` more responses, each of a new provider, and in this order; `payment` in wei.

    The node at `url` is anvil, and `contracts` are the network file's. `text` takes the attempt's number.
    """
    source, attempts = _asked(url, [_view(task, "getSource()"), _view(task, "getAttemptCount()")])
    source, first = "0x" + source[-40:], int(attempts, 16)
    numbers = range(first, first + count)
    pairs = [(_account(task, "provider", number), _account(task, "master", number)) for number in numbers]
    _asked(url, [("anvil_setBalance", [account, hex(2 * LOCKUP)]) for pair in pairs for account in pair])
    terminal, nexus = contracts["TERMINAL"], contracts["NEXUS"]
    announce, register = "announceProvider(address,uint256)", "register(address,address,uint8)"
    attempt, submit = "attempt(address,address,uint256)", "submitResponse((address,address,string,uint256))"
    with _mining_by_hand(url):
        _mine(url, [_sent(master, terminal, announce, one, LOCKUP, value=LOCKUP) for one, master in pairs])
        _mine(url, [_sent(one, terminal, "announceMaster(address)", master) for one, master in pairs])
        _mine(url, [_sent(one, nexus, register, source, one, CPU) for one, _ in pairs])
        _mine(url, [_sent(one, nexus, attempt, task, one, payment) for one, _ in pairs])
        # A block's calls need not be in the order in which they were sent.
        answers = [
            Answer(provider, text.format(number))
            for number, provider in enumerate(_attempters(url, task, first, count), first)
        ]
        _mine(url, [_sent(a.provider, nexus, submit, (task, a.provider, a.data, payment)) for a in answers])
    return answers


def _attempters(url: str, task: str, first: int, count: int) -> list[str]:
    """Who has attempted a task, in order; both bounds of the contract's getter are inclusive."""
    bounds = "getAttempters(uint256,uint256)", first, first + count - 1
    (found,) = _asked(url, [_view(task, *bounds)]) if count else ("",)
    words = [found[start : start + 64] for start in range(2 + 2 * 64, len(found), 64)]
    return [str(to_checksum_address("0x" + word[-40:])) for word in words]


def _account(task: str, role: str, number: int) -> str:
    """An account that is there once for each task, role and number."""
    return str(to_checksum_address(keccak(f"{task.lower()} {role} {number}".encode())[-20:]))


def _data(signature: str, *arguments: Any) -> str:
    types = signature.partition("(")[2]
    kinds = [types[:-1]] if types.startswith("(") else [kind for kind in types[:-1].split(",") if kind]
    return "0x" + (keccak(signature.encode())[:4] + encode(kinds, arguments)).hex()


def _view(to: str, signature: str, *arguments: Any) -> Request:
    return "eth_call", [{"to": to, "data": _data(signature, *arguments)}, "latest"]


def _sent(sender: str, to: str, signature: str, *arguments: Any, value: int = 0) -> Request:
    transaction = {"from": sender, "to": to, "data": _data(signature, *arguments), "value": hex(value)}
    return "eth_sendTransaction", [{**transaction, "gas": hex(GAS), "gasPrice": hex(GAS_PRICE)}]


@contextmanager
def _mining_by_hand(url: str) -> Iterator[None]:
    """Have the node sign for everybody and mine when it is told; afterwards it is as it was."""
    (automine,) = _asked(url, [("anvil_getAutomine", [])])
    _asked(url, [("anvil_autoImpersonateAccount", [True]), ("evm_setAutomine", [False])])
    try:
        yield
    finally:
        _asked(url, [("evm_setAutomine", [automine]), ("anvil_autoImpersonateAccount", [False])])


def _mine(url: str, calls: Sequence[Request]) -> None:
    """Send calls, mine until all are in a block, and see that they have succeeded."""
    hashes = _asked(url, calls)
    deadline = time.monotonic() + MINE_TIMEOUT
    while True:
        _asked(url, [("evm_mine", [])])
        receipts = _asked(url, [("eth_getTransactionReceipt", [tx_hash]) for tx_hash in hashes])
        if all(receipts):
            break
        assert time.monotonic() < deadline, f"the node did not mine {len(hashes)} calls in {MINE_TIMEOUT:g} s"
    failed = [receipt for receipt in receipts if receipt["status"] != "0x1"]
    assert not failed, f"{len(failed)} of {len(hashes)} calls failed, the first: {failed[0]}"


def _asked(url: str, requests: Sequence[Request]) -> list[Any]:
    """The node's answers, in order; an error of one is an error."""
    answers: list[Any] = []
    for start in range(0, len(requests), AT_ONCE):
        calls = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
            for number, (method, params) in enumerate(requests[start : start + AT_ONCE])
        ]
        request = urllib.request.Request(
            url, json.dumps(calls).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=MINE_TIMEOUT) as response:
            found = {answer["id"]: answer for answer in json.loads(response.read())}
        for number in range(len(calls)):
            assert "error" not in found[number], f"{calls[number]['method']}: {found[number]['error']}"
            answers.append(found[number]["result"])
    return answers
