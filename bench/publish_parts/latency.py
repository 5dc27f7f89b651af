"""The latency of one publish beside the node's own: python -m publish_parts.latency JOB, run by `job.run`.

Each round publishes once by hand (an upload, `eth_sendRawTransaction` of what was signed before, and asking
for the receipt until it is there), once with the journal on disk and once with it in memory, so that
a busy moment falls on all alike.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from eth_account import Account

from ogpu import Client
from ogpu.content import cid_of, to_json
from ogpu.networks import load_network_file
from ogpu.protocol.market import config_of
from ogpu.rpc.codec import interface
from publish_parts.ours import info
from shared.network import HAS_JOURNAL

WARM = 3  # rounds that are not counted
GAS, MAX_FEE, PRIORITY_FEE = 1_700_000, 100 * 10**9, 10**9
BOUNDARY = "boundary-of-the-benchmark"


class ByHand:
    """Publishing without any library: what the node and the content service take by themselves."""

    def __init__(self, job: dict[str, Any], key: str, rounds: int) -> None:
        self._upload, self._node = urlsplit(job["upload_url"]), urlsplit(job["url"])
        self._content = http.client.HTTPConnection(self._upload.netloc)
        self._rpc = http.client.HTTPConnection(self._node.netloc)
        self._prepared = iter([self._signed(job, key, position) for position in range(rounds)])

    def _signed(self, job: dict[str, Any], key: str, position: int) -> tuple[bytes, str, str]:
        network, account = load_network_file(Path(job["file"])), Account.from_key(key)
        task = info(job, 10**6 + position)
        document = to_json(config_of(task))
        link = f"{network.gateway_url}/{cid_of(document)}"
        function = interface("Controller").functions["publishTask"]
        transaction = {
            "chainId": network.chain_id,
            "nonce": position,  # the key is new
            "to": network.contract("CONTROLLER"),
            "data": function.encode((task.source, link, task.expiryTime, task.payment)),
            "value": 0,
            "gas": GAS,
            "maxFeePerGas": MAX_FEE,
            "maxPriorityFeePerGas": PRIORITY_FEE,
            "type": 2,
        }
        signed = account.sign_transaction(transaction)
        return document, "0x" + signed.raw_transaction.hex(), "0x" + signed.hash.hex()

    def publish(self) -> tuple[float, float]:
        """Publish the next one; the milliseconds of the upload, and of sending until the receipt."""
        document, raw, tx_hash = next(self._prepared)
        begin = time.perf_counter()
        self._post_file(document)
        uploaded = time.perf_counter()
        self._call("eth_sendRawTransaction", raw)
        while not self._call("eth_getTransactionReceipt", tx_hash):
            pass
        return (uploaded - begin) * 1e3, (time.perf_counter() - uploaded) * 1e3

    def _post_file(self, document: bytes) -> None:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="taskConfig.json"\r\n'
        body = (
            f"{head}Content-Type: application/json\r\n\r\n".encode()
            + document
            + f"\r\n--{BOUNDARY}--\r\n".encode()
        )
        self._content.request(
            "POST", self._upload.path, body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        )
        answer = self._content.getresponse()
        answer.read()
        assert answer.status == 201, answer.status

    def _call(self, method: str, *params: str) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        self._rpc.request("POST", self._node.path or "/", body, {"Content-Type": "application/json"})
        answer = json.loads(self._rpc.getresponse().read())
        assert "error" not in answer, answer
        return answer["result"]


def milliseconds(action: Callable[[], object]) -> float:
    """How long it takes."""
    begin = time.perf_counter()
    action()
    return (time.perf_counter() - begin) * 1e3


def commits(folder: Path, rounds: int) -> list[float]:
    """The milliseconds of commits of one row each, as durable as the journal's: the disk's own time."""
    found = []
    with contextlib.closing(sqlite3.connect(folder / "disk.sqlite", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE entry (position INTEGER PRIMARY KEY, data BLOB)")
        for position in range(rounds):
            database.execute("BEGIN IMMEDIATE")
            database.execute("INSERT INTO entry VALUES (?, ?)", (position, bytes(1000)))
            found.append(milliseconds(lambda: database.execute("COMMIT")))
    return found


def main(job: dict[str, Any]) -> dict[str, Any]:
    """Measure; all in milliseconds."""
    network = load_network_file(Path(job["file"]))
    on_disk, in_memory, bare = job["key"].split()
    rounds = WARM + job["count"]
    by_hand = ByHand(job, bare, rounds)
    found: dict[str, list[float]] = {name: [] for name in ("ours", "in memory", "upload", "node")}
    positions = itertools.count()
    with contextlib.ExitStack() as stack:

        def opened(key: str, journal: str) -> Client:
            options: Any = {"journal": journal} if HAS_JOURNAL else {}
            return stack.enter_context(Client(network, private_key=key, **options))

        durable, fleeting = opened(on_disk, job["journal"]), opened(in_memory, ":memory:")
        for _ in range(rounds):
            upload, node = by_hand.publish()
            found["upload"].append(upload)
            found["node"].append(node)
            for name, client in (("ours", durable), ("in memory", fleeting)):
                task = info(job, next(positions))
                found[name].append(milliseconds(lambda c=client, t=task: c.publish_task(t)))  # type: ignore[misc]
    result: dict[str, Any] = {name: values[WARM:] for name, values in found.items()}
    return {**result, "commit": commits(Path(job["result"]).parent, job["count"]), "journal": HAS_JOURNAL}


if __name__ == "__main__":
    told = json.loads(Path(sys.argv[1]).read_text())
    Path(told["result"]).write_text(json.dumps(main(told)))
