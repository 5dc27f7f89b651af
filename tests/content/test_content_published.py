"""What is published: only under links that others can follow, and that give nothing of ours away."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from tests.support.http_servers import run, serving
from tests.support.localnet import RunningNetwork
from tests.support.proxy import Proxy, proxied

from ogpu import AsyncClient, Client
from ogpu.content import cid_of, to_json
from ogpu.errors import ConfigurationError
from ogpu.networks import Network, load_network_file
from ogpu.types import ImageEnvironments, SourceInfo, TaskInfo, TaskInput

INFO = SourceInfo("s", "d", "", ImageEnvironments(cpu="https://example.org/c.yml"), 10**15, 0, 3600)
METADATA = cid_of(to_json(INFO.metadata()))
TOKEN = "t0ken"


def task(source: str) -> TaskInfo:
    return TaskInfo(source, TaskInput("echo", {"at": 1}), int(time.time()) + 600, 10**15)


def kubo() -> web.Application:
    """The `add` of a Kubo node."""

    async def add(request: web.Request) -> web.Response:
        (part,) = (await request.post()).values()
        assert isinstance(part, web.FileField)
        return web.json_response({"Name": "f", "Hash": cid_of(part.file.read())})

    app = web.Application()
    app.router.add_post("/api/v0/add", add)
    return app


def network_of(bare: RunningNetwork, proxy: Proxy, gateway: str) -> Network:
    return replace(load_network_file(bare.file), rpc_urls=(proxy.url,), gateway_url=gateway)


def sent_to(proxy: Proxy) -> str:
    """All that a node was asked, and again as text where it was bytes."""
    told = json.dumps(proxy.calls)
    words = [word for call in proxy.calls for word in json.dumps(call).split('"') if word.startswith("0x")]
    return told + "".join(
        bytes.fromhex(word[2:]).decode(errors="replace") for word in words if not len(word) % 2
    )


def test_nothing_is_published_that_is_on_this_machine_alone(bare: RunningNetwork, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    with Client() as usual:
        source = usual.publish_source(INFO, idempotency_key="from here")
    with Client(content=f"folder:{folder}") as client:
        before = (client.get_nonce_info(), client.intents())
        for call in (
            lambda: client.publish_source(INFO),
            lambda: client.publish_task(task(source)),
            lambda: client.estimate(INFO),
            lambda: client.estimate(task(source)),
            lambda: client.source(source).update(INFO),
            lambda: client.run(source, "echo", {}, payment=10**15),
        ):
            with pytest.raises(ConfigurationError, match="a folder of this machine"):
                call()
        (error,) = client.publish_tasks([task(source)], return_exceptions=True)
        assert isinstance(error, ConfigurationError)
        assert (client.get_nonce_info(), client.intents()) == before
        assert not folder.exists()
        assert client.publish_source(INFO, idempotency_key="from here") == source  # it was, elsewhere
        assert client.content.get_bytes(client.content.put_bytes(b"kept")) == b"kept"


def test_no_secret_of_the_gateway_is_published_nor_shown_to_a_node(bare: RunningNetwork) -> None:
    async def scenario(proxy: Proxy) -> None:
        gateway = f"http://me:{TOKEN}@127.0.0.1:9/{TOKEN}/ipfs?key={TOKEN}"
        network = network_of(bare, proxy, gateway)
        async with (
            serving(kubo()) as url,
            AsyncClient(network, content=f"kubo:{url}") as client,
        ):
            source = await client.publish_source(INFO)
            assert (await client.get_source(source)).metadata_url == f"ipfs://{METADATA}"
            address = await client.publish_task(task(source))
            assert (await client.get_task(address)).config_url.startswith("ipfs://Qm")
            await client.source(source).update(INFO)

    with proxied(bare.url) as proxy:
        run(scenario(proxy))
    assert f"ipfs://{METADATA}" in sent_to(proxy)
    assert TOKEN not in sent_to(proxy)


def test_a_gateways_query_does_not_hide_the_cid_from_the_estimate(bare: RunningNetwork) -> None:
    async def scenario(proxy: Proxy) -> None:
        network = network_of(bare, proxy, f"http://me:{TOKEN}@127.0.0.1:9/here/ipfs?key={TOKEN}")
        async with AsyncClient(network) as client:
            await client.estimate(INFO)

    with proxied(bare.url) as proxy:
        run(scenario(proxy))
    assert f"http://127.0.0.1:9/here/ipfs/{METADATA}" in sent_to(proxy)
    assert TOKEN not in sent_to(proxy)
