"""A network of strangers who write what harms: each hostile text in each field that a stranger fills."""

from __future__ import annotations

import hashlib
import json
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, insert, select
from web3 import Web3

from ogpu import Client
from ogpu.content.cid import cid_in_link
from ogpu.errors import OGPUError
from ogpu.indexer import tables
from ogpu.networks import load_network_file
from tests.support.bidders import bidders
from tests.support.hostile import HOSTILE, LONG_WORD
from tests.support.indexing import indexed
from tests.support.localnet import RunningNetwork, started
from tests.support.market import source_info
from tests.support.past import chain_time

PRICE = 10**15
BATCH = 40
TEXTS = (*HOSTILE, LONG_WORD)  # the last one in content only
ONCHAIN = HOSTILE
BIDDERS = 8


@dataclass
class Strangers:
    """What they published, and the index of it."""

    index: Path
    sources: list[str]  # with hostile metadata, then with hostile links to it
    tasks: list[str]  # with hostile configs, then with hostile links to them
    providers: list[str]


@contextmanager
def strangers(folder: Path) -> Iterator[Strangers]:
    """A network of its own, on which all of it was really published."""
    with started(folder, "--no-provider") as network:
        chosen = load_network_file(network.file)
        with Client(chosen, private_key=network.key(), journal=":memory:") as client:
            made = _published(network, client, folder)
            indexed(chosen, made.index)
            keep_content(made.index, client)
            yield made


def _published(network: RunningNetwork, client: Client, folder: Path) -> Strangers:
    me = network.address()
    network.transact("Vault", "setWhitelist", me, True, sender=network.admin())
    first = client.publish_source(source_info(minPayment=1))
    providers = bidders(network, first, BIDDERS)
    links = {text: _stored(client, text) for text in TEXTS}
    urls = [links[text][0] for text in TEXTS] + list(ONCHAIN)
    terms = [(me, url, 1, 1, 0, 3600, False, url, 0, 0) for url in urls]
    send(network, (("Nexus", "publishSource", me, (each,)) for each in terms))
    due = chain_time(network) + 3600
    configs = [links[text][1] for text in TEXTS] + list(ONCHAIN)
    send(network, (("Controller", "publishTask", me, ((first, url, due, PRICE),)) for url in configs))
    tasks = list(client.source(first).tasks())
    assert len(tasks) == len(configs)
    # A few tasks are answered by everybody, so that one view shows many results.
    answers = [
        *((tasks[place // BIDDERS], place, links[text][2]) for place, text in enumerate(TEXTS)),
        *((tasks[-1 - place // BIDDERS], place, text) for place, text in enumerate(ONCHAIN)),
    ]
    given = [(task, providers[place % BIDDERS], data) for task, place, data in answers]
    send(network, (("Nexus", "attempt", who, (task, who, PRICE)) for task, who, _ in given))
    submitted = [(task, who, data, PRICE) for task, who, data in given]
    send(network, (("Nexus", "submitResponse", each[1], (each,)) for each in submitted))
    for place, who in enumerate(providers):
        said = "\n".join(ONCHAIN[place::BIDDERS])
        network.transact("Terminal", "setBaseData", said[:600], sender=who)
        network.transact("Terminal", "setLiveData", said[600:1200], sender=who)
    return Strangers(folder / "hostile.sqlite3", list(client.nexus.sources()), tasks, providers)


def _stored(client: Client, text: str) -> tuple[str, str, str]:
    """Metadata, config and result that say it in each of their fields."""
    fields = ("name", "description", "logoUrl", "cpu", "nvidia", "amd", text)
    metadata = client.content.put_json(dict.fromkeys(fields, text))
    config = client.content.put_json({"function_name": text, "data": {text: [text, {text: text}]}})
    whole = {"result": text, text: text} if len(text) % 2 else None
    result = (
        client.content.put_json(whole) if whole else client.content.put_bytes(f"{text}\r\n{text}".encode())
    )
    return metadata, config, result


def send(network: RunningNetwork, calls: Iterable[tuple[str, str, str, tuple[Any, ...]]]) -> None:
    """Transactions of accounts that the node signs for, (contract, function, sender, arguments), in order."""
    requests: list[dict[str, Any]] = []
    nonces: dict[str, int] = {}  # a batch's calls run beside each other
    for contract, function, sender, arguments in calls:
        if sender not in nonces:
            network.rpc("anvil_impersonateAccount", sender)
            network.rpc("anvil_setBalance", sender, hex(10**24))
            nonces[sender] = int(network.rpc("eth_getTransactionCount", sender, "latest"), 16)
        call = {
            "from": sender,
            "to": network.document["contracts"][contract.upper()],
            "data": _interface(contract).encode_abi(function, args=list(arguments)),
            "nonce": hex(nonces[sender]),
            "gas": hex(12_000_000),
            "gasPrice": hex(10**10),
        }
        nonces[sender] += 1
        requests.append(
            {"jsonrpc": "2.0", "id": len(requests), "method": "eth_sendTransaction", "params": [call]}
        )
    for start in range(0, len(requests), BATCH):
        _batch(network.url, requests[start : start + BATCH])
        network.rpc("evm_mine")  # what instant mining leaves over


def _batch(url: str, requests: list[dict[str, Any]]) -> None:
    asked = urllib.request.Request(url, json.dumps(requests).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=60) as response:
        answers = json.loads(response.read())
    assert all("result" in answer for answer in answers), answers


@cache
def _interface(contract: str) -> Any:
    abi = json.loads(resources.files("ogpu").joinpath("abi", f"{contract}.json").read_text())["abi"]
    return Web3().eth.contract(abi=abi)


def keep_content(path: Path, client: Client) -> None:
    """Fetch what an index's items link to, and keep it there."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        urls = {
            url
            for column in (tables.sources.c.metadata_url, tables.tasks.c.config_url, tables.responses.c.data)
            for (url,) in connection.execute(select(column))
        }
        seen: set[str] = set()
        for url in sorted(urls):
            cid = cid_in_link(url)
            if cid is None:
                continue
            key = hashlib.sha256(url.encode()).hexdigest()
            if cid not in seen:
                seen.add(cid)
                connection.execute(insert(tables.documents), _document(client, cid))
            connection.execute(insert(tables.links), {"url_hash": key, "url": url, "cid": cid})
    engine.dispose()


def _document(client: Client, cid: str) -> dict[str, object]:
    row: dict[str, object] = {"cid": cid, "role": "content", "tries": 1, "next_try": int(time.time())}
    try:
        body = client.content.get_bytes(cid)
    except OGPUError as error:
        return {**row, "state": "failed", "body": None, "size": None, "error": error.message}
    return {**row, "state": "kept", "body": body, "size": len(body), "error": None}
