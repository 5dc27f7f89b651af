"""The transport on nodes that answer strangely, and on what its errors may show."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ogpu.errors import (
    ClientClosed,
    ManagementUnavailable,
    NetworkError,
    NodeBehind,
    OGPUError,
    RPCFailed,
    RPCInvalidResponse,
    RPCRateLimited,
    RPCUnreachable,
    WrongChain,
)
from ogpu.protocol.management import Management
from ogpu.rpc import node as nodes
from ogpu.rpc import transport
from ogpu.rpc.sizes import FIRST_SIZE
from ogpu.rpc.transport import RPC, quantity, raised
from ogpu.tx.replies import Reply, verdict

Answer = Callable[[Any], bytes]


@contextmanager
def node(answer: Answer, status: int = 200, **headers: str) -> Iterator[tuple[str, list[Any]]]:
    """An HTTP server that answers each request with what `answer` makes of it; its URL and the requests."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(request)
            body = answer(request)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/token-canary?key=canary", seen
    finally:
        server.shutdown()
        server.server_close()


def result(call: Any) -> dict[str, Any]:
    value = "0x539" if call["method"] == "eth_chainId" else f"0x{call['id']:x}"
    return {"jsonrpc": "2.0", "id": call["id"], "result": value}


def good(request: Any) -> bytes:
    answers = [result(call) for call in request] if isinstance(request, list) else result(request)
    return json.dumps(answers).encode()


def no_batches(request: Any) -> bytes:
    if isinstance(request, list):
        return b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batches are not served"}}'
    return good(request)


def shuffled(request: Any) -> bytes:
    answers = json.loads(good(request))
    return json.dumps(answers[::-1] if isinstance(answers, list) else answers).encode()


def ask(url: str, count: int = 1) -> list[Any]:
    async def main() -> list[Any]:
        rpc = RPC([url], 1337, timeout=2)
        try:
            return await rpc.batch([("eth_blockNumber", [])] * count)
        finally:
            await rpc.close()

    return asyncio.run(main())


def test_many_calls_are_few_requests() -> None:
    with node(good) as (url, seen):
        answers = ask(url, 2 * FIRST_SIZE + 1)
    assert len(set(answers)) == 2 * FIRST_SIZE + 1
    assert len(seen) == 1 + 3  # the chain id, and the batches


def test_answers_are_matched_by_their_id() -> None:
    with node(shuffled) as (url, _):
        answers = ask(url, 5)
    assert answers == sorted(answers)


def test_a_node_without_batches_is_asked_one_by_one() -> None:
    with node(no_batches) as (url, seen):
        assert len(set(ask(url, 5))) == 5
    assert len(seen) == 1 + 1 + 5


def test_a_missing_answer_in_a_batch_is_an_error_and_not_a_gap() -> None:
    def lossy(request: Any) -> bytes:
        answers = json.loads(good(request))
        return json.dumps(answers[:-1] if isinstance(answers, list) else answers).encode()

    with node(lossy) as (url, _), pytest.raises(RPCInvalidResponse):
        ask(url, 3)


def test_one_failure_in_a_batch_is_a_value() -> None:
    def failing(request: Any) -> bytes:
        answers = json.loads(good(request))
        if isinstance(answers, list):
            answers[1] = {"id": answers[1]["id"], "error": {"code": 3, "message": "execution reverted"}}
        return json.dumps(answers).encode()

    with node(failing) as (url, _):
        first, second, third = ask(url, 3)
    assert isinstance(second, RPCFailed)
    assert (second.code, second.rpc_message) == (3, "execution reverted")
    assert isinstance(first, str)
    assert isinstance(third, str)
    with pytest.raises(RPCFailed):
        raised(second)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b"5",
        b'{"id":1}',
        b'{"id":99,"result":"0x1"}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_an_answer_that_is_no_json_rpc(body: bytes) -> None:
    with node(lambda _: body) as (url, _), pytest.raises(RPCInvalidResponse):
        ask(url)


def test_a_rate_limit_said_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_PAUSE", 0.01)
    body = b'{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"limit exceeded"}}'
    with node(lambda _: body) as (url, seen), pytest.raises(RPCRateLimited):
        ask(url)
    assert len(seen) == transport.RATE_ROUNDS


def test_a_redirect_is_not_followed() -> None:
    with node(good) as (target, seen):
        with node(lambda _: b"", 307, Location=target) as (url, _), pytest.raises(RPCInvalidResponse):
            ask(url)
        assert not seen


def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "MAX_ANSWER_BYTES", 1000)
    with (
        node(lambda _: b'"' + b"a" * 100_000 + b'"') as (url, _),
        pytest.raises(RPCInvalidResponse, match="1000"),
    ):
        ask(url)


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_no_error_or_log_shows_what_a_url_may_hide(status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    page = b"Cannot POST /token-CANARY?key=canary"  # as servers say it
    with node(lambda _: page, status) as (url, _), pytest.raises(OGPUError) as caught:
        ask(url.replace("http://", "http://user:canary@"))
    shown(caught.value, caplog.text)


def test_nor_does_an_error_of_the_node(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    body = b'{"id":1,"error":{"code":-32601,"message":"\\u001b[2J/token-canary?key=canary: no method\\n%s"}}'
    with node(lambda _: body % (b"a" * 5000)) as (url, _), pytest.raises(RPCFailed) as caught:
        ask(url)
    shown(caught.value, caplog.text)
    assert caught.value.rpc_message.startswith(r"\x1b[2J/…?key=…: no method\naaa")
    assert len(str(caught.value)) < 600


def test_nor_does_a_refused_connection(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(RPCUnreachable) as caught:
        ask("http://user:canary@127.0.0.1:9/canary?canary=canary")
    shown(caught.value, caplog.text)


def shown(error: BaseException, log: str) -> None:
    """No canary anywhere in an error, what it chains, and the log."""
    assert isinstance(error, NetworkError)
    assert "canary" not in log
    chained: BaseException | None = error
    while chained is not None:
        assert "canary" not in (str(chained) + repr(chained)).lower()
        chained = chained.__cause__


@pytest.mark.parametrize(
    "message", ["header not found", "BlockOutOfRangeError: block height is 24 but requested was 37"]
)
def test_a_node_that_is_behind_is_asked_again(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    """Replicas lag: one may not have the block that another has just named."""
    monkeypatch.setattr(transport, "FIRST_PAUSE", 0.01)
    behind = 2

    def lagging(request: Any) -> bytes:
        nonlocal behind
        if request["method"] == "eth_chainId" or not behind:
            return good(request)
        behind -= 1
        error = {"code": -32000, "message": message}
        return json.dumps({"id": request["id"], "error": error}).encode()

    with node(lagging) as (url, _):
        assert ask(url)
    behind = 100
    with node(lagging) as (url, _), pytest.raises(NodeBehind):
        ask(url)


@pytest.mark.parametrize(
    "error",
    [
        {"code": 3, "message": "execution reverted: block not found"},
        {"code": 3, "message": "block not found"},
        {"code": -32000, "message": "block not found", "data": "0x08c379a0"},
        {"code": -32000, "message": "execution reverted: block not found"},
    ],
)
def test_a_contract_s_words_do_not_make_a_node_that_is_behind(error: dict[str, Any]) -> None:
    def reverting(request: Any) -> bytes:
        if request["method"] == "eth_chainId":
            return good(request)
        return json.dumps({"id": request["id"], "error": error}).encode()

    with node(reverting) as (url, seen), pytest.raises(RPCFailed):
        raised(ask(url)[0])
    assert len(seen) == 2


@pytest.mark.parametrize("odd", [[], {}, None, "1", 1.5, [[1]]])
def test_an_id_that_is_no_number(odd: Any) -> None:
    def answer(request: Any) -> bytes:
        answers = json.loads(good(request))
        if isinstance(answers, list):
            answers[1]["id"] = odd
        return json.dumps(answers).encode()

    with node(answer) as (url, _), pytest.raises(RPCInvalidResponse):
        ask(url, 3)


@pytest.mark.parametrize(
    "value", ["0x", "0x" + "f" * 65, "0x" + "f" * 5000, "12", "-0x1", None, 5, [], "0x1_0"]
)
def test_a_chain_id_that_is_no_quantity(value: Any) -> None:
    with pytest.raises(RPCInvalidResponse, match="number"):
        quantity(value)


@pytest.mark.parametrize(
    "error", [["a"], "odd", 5, {"message": ["a"]}, {"message": None}, {"message": 10**30}]
)
def test_an_error_of_another_shape_is_an_error_still(error: Any) -> None:
    body = json.dumps({"id": 1, "error": error}).encode()
    with node(lambda _: body) as (url, _), pytest.raises(RPCFailed):
        ask(url)


def test_what_is_closed_stays_closed() -> None:
    async def main() -> None:
        rpc = RPC(["http://127.0.0.1:9"], 1337, timeout=2)
        management = Management("http://127.0.0.1:9", timeout=2)
        await rpc.close()
        await management.close()
        with pytest.raises(ClientClosed):
            await rpc.call("eth_blockNumber")
        with pytest.raises(ClientClosed):
            await rpc.broadcast([b""])
        with pytest.raises(ClientClosed):
            await management.confirmed_response("0x")
        await rpc.close()

    asyncio.run(main())


def other_chain(request: Any) -> bytes:
    return json.dumps({"id": request["id"], "result": "0x1"}).encode()


def refusing(request: Any) -> bytes:
    if request["method"] == "eth_chainId":
        return good(request)
    return json.dumps({"id": request["id"], "error": {"code": -32000, "message": "nonce too low"}}).encode()


def swallowing(request: Any) -> bytes:
    """Takes the transaction, and its answer is lost on the way."""
    return good(request) if request["method"] == "eth_chainId" else b"<html>bad gateway</html>"


def send(*urls: str) -> tuple[Reply, str]:
    async def main() -> tuple[Reply, str]:
        rpc = RPC(urls, 1337, timeout=2)
        try:
            (answers,) = await rpc.broadcast([b"signed"])
            return verdict(answers)
        finally:
            await rpc.close()

    return asyncio.run(main())


@pytest.mark.parametrize("second", [other_chain, refusing, swallowing, lambda _: b"<html>"])
def test_no_other_node_tells_the_fate_of_what_one_may_have(second: Answer) -> None:
    """One took the bytes and its answer was lost: no refusal by another changes that."""
    with node(swallowing) as (first, sent), node(second) as (other, _):
        assert send(first, other)[0] is Reply.UNDETERMINED
    assert [request["method"] for request in sent] == ["eth_chainId", "eth_sendRawTransaction"]


def test_a_node_of_another_chain_is_refused_before_anything_is_sent() -> None:
    with node(other_chain) as (url, seen), pytest.raises(WrongChain) as caught:
        send(url)
    assert [request["method"] for request in seen] == ["eth_chainId"]
    assert "sent" not in str(caught.value)


def test_a_second_check_of_the_chain_id_disturbs_nobody_who_waited_for_the_first() -> None:
    """Two wait for one check, which fails; whoever goes on first asks again before the other does."""
    pages = iter([b"<html>"])

    def once_broken(request: Any) -> bytes:
        return next(pages, None) or good(request)

    async def asked(node: nodes.Node) -> Any:
        with contextlib.suppress(RPCInvalidResponse):
            return await node.ask([("eth_blockNumber", [])])
        return await node.ask([("eth_blockNumber", [])])

    async def main(url: str) -> list[Any]:
        wire = nodes.Wire(2)
        asked_node = nodes.Node(url, 1337, wire)
        try:
            return list(await asyncio.gather(asked(asked_node), asked(asked_node)))
        finally:
            await wire.close()

    with node(once_broken) as (url, _):
        assert len(asyncio.run(main(url))) == 2


def test_management_s_numbers_stay_whole() -> None:
    """Amounts in wei have more than 64 bits."""
    amount = 123456789012345678901234567890

    async def main(url: str) -> Any:
        management = Management(url, timeout=2)
        try:
            return await management.confirmed_response("0x")
        finally:
            await management.close()

    with page(json.dumps({"data": {"address": "0x", "payment": amount}}).encode()) as url:
        assert asyncio.run(main(url)) == {"address": "0x", "payment": amount}
    with page(b"[" * 100_000) as url, pytest.raises(ManagementUnavailable):
        asyncio.run(main(url))


@contextmanager
def page(body: bytes) -> Iterator[str]:
    """An HTTP server that answers each GET with the same body."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
