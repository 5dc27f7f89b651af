"""Nodes that fail in every way, and say what they were asked by: neither key nor URL is shown by anything."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from tests.support.canaries import TOKEN, keep_secret, leaks, look

from ogpu import AsyncClient, Client
from ogpu.client import TaskInfo, TaskInput
from ogpu.content import ContentOptions, Limits
from ogpu.errors import OGPUError
from ogpu.networks import Network
from ogpu.rpc import transport
from ogpu.tx.journal import Journal
from ogpu.tx.state import Policy

KEY = "0x" + "5ec7e7c0" * 8
PASSWORD = "canary-password-5ec7e7"
ADDRESS = "0x" + "11" * 20
CHAIN = 1337
SLOW = 3.0  # seconds, longer than the clients wait

Answer = Callable[[BaseHTTPRequestHandler, Any], None]


def reply(handler: BaseHTTPRequestHandler, status: int, text: str, **headers: str) -> None:
    handler.send_response(status)
    body = text.encode()
    for name, value in {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **headers,
    }.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def asked_by(handler: BaseHTTPRequestHandler) -> str:
    """All that the request held, as careless servers repeat it."""
    return f"{handler.path} {handler.headers.get('Authorization')} http://{TOKEN}:{TOKEN}@host{handler.path}"


def page(status: int) -> Answer:
    return lambda handler, _: reply(
        handler, status, f"<html>Cannot POST {asked_by(handler)}</html>", Content_Type="text/html"
    )


def failing(code: int, message: str) -> Answer:
    """A node of the right chain that refuses all else in words that hold the URL."""

    def answer(handler: BaseHTTPRequestHandler, asked: Any) -> None:
        calls = asked if isinstance(asked, list) else [asked]
        answers = [answered(call, message + asked_by(handler)) for call in calls]
        reply(handler, 200, json.dumps(answers if isinstance(asked, list) else answers[0]))

    def answered(call: Any, said: str) -> dict[str, Any]:
        if call["method"] == "eth_chainId":
            return {"jsonrpc": "2.0", "id": call["id"], "result": hex(CHAIN)}
        error = {"code": code, "message": said, "data": said}
        return {"jsonrpc": "2.0", "id": call["id"], "error": error}

    return answer


def of_another_chain(handler: BaseHTTPRequestHandler, asked: Any) -> None:
    calls = asked if isinstance(asked, list) else [asked]
    answers = [{"jsonrpc": "2.0", "id": call["id"], "result": "0x2a"} for call in calls]
    reply(handler, 200, json.dumps(answers if isinstance(asked, list) else answers[0]))


def silent(handler: BaseHTTPRequestHandler, _: Any) -> None:
    handler.server.over.wait(SLOW)  # type: ignore[attr-defined]


def hung_up(handler: BaseHTTPRequestHandler, _: Any) -> None:
    handler.connection.close()


WAYS: dict[str, Answer] = {
    "silence": silent,
    "hanging up": hung_up,
    "a page": page(200),
    "not allowed": page(401),
    "not found": page(404),
    "too many": lambda handler, _: reply(handler, 429, asked_by(handler), Retry_After="0"),
    "broken": page(502),
    "elsewhere": lambda handler, _: reply(handler, 307, "", Location=f"http://127.0.0.1:9{handler.path}"),
    "text": lambda handler, _: reply(handler, 200, json.dumps(asked_by(handler))),
    "an odd header": lambda handler, _: reply(handler, 200, "{}", Content_Encoding=f"gzip{TOKEN}"),
    "an error": failing(-32000, "cannot serve "),
    "a revert": failing(3, "execution reverted: "),
    "no funds": failing(-32000, "insufficient funds for "),
    "another chain": of_another_chain,
}


@contextlib.contextmanager
def node(answer: Answer | None) -> Iterator[str]:
    """A node's URL with the token in it everywhere; without an answer nobody listens there."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            assert answer is not None
            answer(self, json.loads(self.rfile.read(length)))

        def do_GET(self) -> None:
            assert answer is not None
            answer(self, {"id": 0, "method": "GET"})

        def log_message(self, format: str, *args: Any) -> None:
            """It is quiet."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """The client has gone."""

    if answer is None:
        yield url_of(9)
        return
    with Server(("127.0.0.1", 0), Handler) as server:
        server.over = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield url_of(server.server_address[1])
        finally:
            server.over.set()  # type: ignore[attr-defined]
            server.shutdown()
            thread.join()


def url_of(port: int) -> str:
    return f"http://{TOKEN}:{TOKEN}@127.0.0.1:{port}/v3/{TOKEN}/?apikey={TOKEN}#{TOKEN}"


def network(url: str) -> Network:
    """A network whose services are all behind that URL."""
    contracts = dict.fromkeys(("NEXUS", "CONTROLLER", "TERMINAL", "VAULT", "MANAGER"), ADDRESS)
    return Network("secret", CHAIN, (url,), contracts, url, url, url)


QUICK: dict[str, Any] = {
    "timeout": 0.1,
    "policy": Policy(receipt_timeout=0.5),
    "content": ContentOptions(limits=Limits(total_seconds=0.1, attempts=1), cache_bytes=0),
}
GIVEN = ("argument", "environment", "keystore")


@pytest.fixture
def given(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """The key in one of the ways to give it."""
    keep_secret(KEY, PASSWORD)
    monkeypatch.setattr(transport, "FIRST_PAUSE", 0.0)
    if request.param == "argument":
        return {"private_key": KEY}
    if request.param == "environment":
        monkeypatch.setenv("CLIENT_PRIVATE_KEY", KEY)
        return {}
    file = tmp_path / "key.json"
    file.write_text(json.dumps(Account.encrypt(bytes.fromhex(KEY[2:]), PASSWORD, kdf="pbkdf2", iterations=2)))
    file.chmod(0o600)
    monkeypatch.setenv("CLIENT_KEYSTORE", str(file))
    monkeypatch.setenv("CLIENT_KEYSTORE_PASSWORD", PASSWORD)
    return {}


def task_info() -> TaskInfo:
    return TaskInfo(ADDRESS, TaskInput("echo", {"n": 1}), int(time.time()) + 600, 1)


CALLS: dict[str, Callable[[Any], Any]] = {
    "a view": lambda client: client.vault.balance_of(ADDRESS),
    "a snapshot": lambda client: client.get_task(ADDRESS),
    "a transaction": lambda client: client.vault.withdraw(1, role="client"),
    "a publish": lambda client: client.publish_task(task_info()),
    "nonces": lambda client: client.fix_nonce(),
    "content": lambda client: client.content.put_bytes(b"x"),
    "the management": lambda client: client.get_confirmed_response(ADDRESS),
    "events": lambda client: client.nexus.events(object),
}


def shown(error: OGPUError) -> None:
    """All that a program would see of an error."""
    look("".join(traceback.format_exception(error)), "the traceback")
    look(f"{error!r} {error} {error.facts} {error.args} {vars(error)}", "the error")
    logging.getLogger("program").error("it failed", exc_info=error)


@pytest.mark.parametrize("given", GIVEN, indirect=True)
@pytest.mark.parametrize("way", [*WAYS, "refused"])
def test_no_failure_of_a_node_shows_a_secret(way: str, given: dict[str, Any]) -> None:
    """Each call once by each client; the watch of all tests looks at logs and at every error, too."""
    with node(WAYS.get(way)) as url:
        failed = [*in_sync(url, given), *asyncio.run(in_async(url, given))]
    assert len(failed) == 2 * len(CALLS)
    for error in failed:
        shown(error)
    assert leaks() == []


def in_sync(url: str, given: dict[str, Any]) -> list[OGPUError]:
    failed = []
    with Client(network(url), **QUICK, **given) as client:
        for call in CALLS.values():
            with pytest.raises(OGPUError) as caught:
                call(client)
            failed.append(caught.value)
    return failed


async def in_async(url: str, given: dict[str, Any]) -> list[OGPUError]:
    failed = []
    async with AsyncClient(network(url), **QUICK, **given) as client:
        for call in CALLS.values():
            with pytest.raises(OGPUError) as caught:
                await call(client)
            failed.append(caught.value)
    return failed


# --- what objects say of themselves


@pytest.mark.parametrize("given", GIVEN, indirect=True)
def test_no_object_shows_a_secret_when_it_is_printed(given: dict[str, Any], tmp_path: Path) -> None:
    url = f"postgresql://user:{TOKEN}@127.0.0.1:9/db?sslkey={TOKEN}"
    look(repr(Journal(url)), "a journal")

    async def main() -> list[object]:
        async with AsyncClient(network(url_of(9)), **given) as client:
            client._keys.signer()
            return [*reachable(client)]

    objects = asyncio.run(main())
    with Client(network(url_of(9)), **given) as client:
        objects += reachable(client)
        handles = [client.source, client.task, client.response, client.provider, client.master]
        objects += [handle(ADDRESS) for handle in handles]
    kinds = {type(one).__name__ for one in objects}
    assert kinds >= {
        "AsyncClient",
        "Client",
        "Network",
        "Journal",
        "Policy",
        "Keys",
        "LocalSigner",
        "Vault",
        "Task",
    }
    for one in objects:
        look(f"{one!r} {one}", f"a {type(one).__name__}")
    assert leaks() == []


def reachable(root: object) -> list[object]:
    """All objects of the library that hang on one."""
    found: dict[int, object] = {}
    rest = [root]
    while rest:
        one = rest.pop()
        if id(one) in found or isinstance(one, type):
            continue
        ours = type(one).__module__.partition(".")[0] == "ogpu"
        if ours:
            found[id(one)] = one
        if ours or isinstance(one, dict | list | tuple | set):
            rest += gc.get_referents(one)
    return list(found.values())
