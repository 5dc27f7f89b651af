"""A service over HTTP, run as its author runs it: a process, a port, a callback URL."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from tests.provider.support import EXISTING, HANDLERS, TASK, handler_file, run, serving, wait_in_loop
from tests.support.ports import kept


class Callbacks:
    """What a service posts back, by task; `statuses` are answered first, one for each post."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.seen: list[tuple[str, Any]] = []

    async def receive(self, request: web.Request) -> web.Response:
        self.seen.append((request.path, json.loads(await request.read())))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_post("/{path:.*}", self.receive)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        finally:
            await runner.cleanup()


async def post(session: ClientSession, url: str, body: Any) -> tuple[int, Any]:
    data = BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
    async with session.post(url, data=data) as answer:
        return answer.status, await answer.json(content_type=None) if answer.status != 413 else None


def test_a_service_answers_and_calls_back() -> None:
    callbacks, log = Callbacks(), list[str]()

    async def main() -> None:
        async with (
            callbacks.listening() as callback,
            serving(EXISTING, callback, log) as url,
            ClientSession() as session,
        ):
            async with session.get(f"{url}/healthz") as answer:
                assert await answer.json() == {"status": "ready", "functions": ["multiply", "slow"]}
            accepted = {"task_address": TASK, "status": "accepted"}
            assert await post(session, f"{url}/run/multiply/{TASK}", {"a": 6, "b": 7}) == (202, accepted)
            await wait_in_loop(lambda: callbacks.seen)
            assert callbacks.seen == [(f"/hook/{TASK}", {"result": 42})]
            status, said = await post(session, f"{url}/run/nope/{TASK}", {})
            assert (status, said["functions"]) == (404, ["multiply", "slow"])
            status, said = await post(session, f"{url}/run/multiply/{TASK}", {"a": "x", "b": 1})
            assert (status, [reason["loc"] for reason in said["detail"]]) == (422, [["a"]])
            for body in (b"no json", b"[1]", b""):
                assert (await post(session, f"{url}/run/multiply/{TASK}", body))[0] == 422
            assert (await post(session, f"{url}/run/multiply/{TASK}", b" " * (64 << 20) + b"{}"))[0] == 413

    run(main())
    assert len(callbacks.seen) == 1
    assert any("setup is done" in line for line in log)
    assert any("SUCCESS" in line and TASK in line for line in log)


def test_a_handler_without_result_posts_nothing_and_the_log_says_why() -> None:
    callbacks, log = Callbacks(), list[str]()
    reasons = {
        "raises": "FAIL.*ValueError: bad text",
        "sleeps": "TIMEOUT.*took over 0.4 s",
        "wrong_type": "FAIL.*returned Text, not the Answer",
        "not_json": "FAIL.*cannot be written as JSON",
        "exits": "FAIL.*ended its thread",
    }

    async def main() -> None:
        async with (
            callbacks.listening() as callback,
            serving(HANDLERS, callback, log) as url,
            ClientSession() as session,
        ):
            for function in reasons:
                status, _ = await post(session, f"{url}/run/{function}/{function}", {})
                assert status == 202
            assert (await post(session, f"{url}/run/picky/p", {"text": "key"}))[0] == 500
            await post(session, f"{url}/run/asynchronous/last", {"text": "x"})
            await wait_in_loop(lambda: callbacks.seen)

    run(main())
    assert callbacks.seen == [("/hook/last", {"value": "x"})]
    for function, reason in reasons.items():
        assert any(_matches(rf"{reason}", line) and f"[{function}]" in line for line in log), (function, log)


def _matches(pattern: str, line: str) -> bool:
    first, rest = pattern.split(".*")
    return first in line and rest in line


def test_a_task_posted_twice_while_it_runs_runs_once() -> None:
    callbacks = Callbacks()

    async def main() -> None:
        async with (
            callbacks.listening() as callback,
            serving(HANDLERS, callback) as url,
            ClientSession() as session,
        ):
            body = {"number": 300, "text": "once"}
            answers = [post(session, f"{url}/run/naps/{TASK}", body) for _ in range(5)]
            assert {status for status, _ in await asyncio.gather(*answers)} == {202}
            await wait_in_loop(lambda: callbacks.seen)

    run(main())
    assert len(callbacks.seen) == 1


def test_a_callback_is_tried_again_when_the_other_side_is_not_well() -> None:
    callbacks = Callbacks(503)

    async def main() -> None:
        async with (
            callbacks.listening() as callback,
            serving(HANDLERS, callback) as url,
            ClientSession() as session,
        ):
            await post(session, f"{url}/run/upper/{TASK}", {"text": "a"})
            await wait_in_loop(lambda: len(callbacks.seen) == 2)

    run(main())
    assert callbacks.seen == [(f"/hook/{TASK}", {"value": "A"})] * 2


def test_a_callback_waits_for_a_server_that_is_not_there_yet() -> None:
    async def main(port: int) -> None:
        callbacks = Callbacks()
        async with serving(HANDLERS, f"http://127.0.0.1:{port}") as url, ClientSession() as session:
            await post(session, f"{url}/run/upper/{TASK}", {"text": "a"})
            app = web.Application()
            app.router.add_post("/{path:.*}", callbacks.receive)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            await asyncio.sleep(0.2)  # so that the first attempt finds nobody
            await web.TCPSite(runner, "127.0.0.1", port).start()
            await wait_in_loop(lambda: callbacks.seen)
            await runner.cleanup()

    with kept() as place:
        run(main(place))


def test_without_a_callback_url_the_result_goes_nowhere_and_the_log_says_so() -> None:
    log: list[str] = []

    async def main() -> None:
        async with serving(HANDLERS, None, log) as url, ClientSession() as session:
            await post(session, f"{url}/run/upper/{TASK}", {})

    run(main())
    assert any("CALLBACK_URL is not set" in line for line in log)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopping_service_finishes_what_runs(number: signal.Signals) -> None:
    callbacks = Callbacks()

    async def main() -> None:
        async with (
            callbacks.listening() as callback,
            serving(HANDLERS, callback, stop=number) as url,
            ClientSession() as session,
        ):
            await post(session, f"{url}/run/naps/{TASK}", {"number": 300, "text": "done"})

    run(main())
    assert callbacks.seen == [(f"/hook/{TASK}", {"value": "done"})]


GOOD = "@expose()\ndef good(data: In) -> Out:\n    return Out()\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("start()\n", "exposes no handler"),
        (GOOD + "@init()\ndef prepare():\n    raise OSError('offline')\nstart()\n", "OSError: offline"),
        (GOOD + "start('127.0.0.1', BUSY)\n", "in use"),
        ("@expose()\ndef bad(data: int) -> Out: ...\nstart()\n", "'data' is int"),
        (GOOD + GOOD + "start()\n", "Two handlers are named 'good'"),
        (GOOD + "@init()\ndef a(): ...\n@init()\ndef b(): ...\nstart()\n", "two @init() functions"),
    ],
)
def test_a_service_that_cannot_start_ends_with_the_reason(tmp_path: Path, text: str, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        file = handler_file(tmp_path, text.replace("BUSY", str(busy.getsockname()[1])))
        done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert said in done.stderr
