"""A container over HTTP: real services as processes of their own, and hosts that answer strangely."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from aiohttp import ClientSession, web

from ogpu.errors import (
    ContainerUnreachable,
    HandlerCrashed,
    HandlerFailed,
    HandlerInputInvalid,
    HandlerMissing,
    HandlerTimeout,
    InvalidInput,
)
from ogpu.provider.container import ContainerRunner
from ogpu.provider.runner import Runner
from tests.provider.support import EXISTING, HANDLERS, TASK, run, serving
from tests.support.ports import kept

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def host(answer: Answer) -> AsyncIterator[str]:
    """An HTTP server in the place of a container."""
    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def accept(request: web.Request) -> web.StreamResponse:
    return web.json_response({"status": "accepted"}, status=202)


@pytest.fixture
def place() -> Iterator[int]:
    """A port at which nobody listens, unless the test does."""
    with kept() as port:
        yield port


@pytest.fixture
def reserved(place: int) -> tuple[str, int, str]:
    """A callback URL for a service that is started before its runner, with the port and the token in it."""
    token = secrets.token_urlsafe(24)
    return f"http://127.0.0.1:{place}/{token}", place, token


async def posted(url: str, body: bytes) -> int:
    async with ClientSession() as session, session.post(url, data=body) as reply:
        return reply.status


def test_a_service_end_to_end(reserved: tuple[str, int, str]) -> None:
    callback, port, token = reserved

    async def main() -> None:
        async with serving(EXISTING, callback) as url:
            runner = ContainerRunner(url, callback_port=port, callback_token=token, timeout=20)
            interface: Runner = runner
            async with runner:
                assert runner.callback_url == callback
                assert interface.functions is None
                tasks = [f"0x{number:040x}" for number in range(8)]
                answers = await asyncio.gather(
                    *(interface.run("multiply", task, {"a": 2, "b": n}) for n, task in enumerate(tasks))
                )
                assert answers == [{"result": 2 * number} for number in range(8)]
                with pytest.raises(HandlerMissing, match="multiply, slow"):
                    await runner.run("nope", TASK, {})
                with pytest.raises(HandlerInputInvalid) as invalid:
                    await runner.run("multiply", TASK, {"a": "x"})
                assert [reason["loc"] for reason in invalid.value.facts["reasons"]] == [["a"], ["b"]]

    run(main())


def test_a_megabyte_passes_and_a_handler_that_gives_no_result_times_out(
    reserved: tuple[str, int, str],
) -> None:
    callback, port, token = reserved

    async def main() -> None:
        async with serving(HANDLERS, callback) as url:
            async with ContainerRunner(url, callback_port=port, callback_token=token) as runner:
                text = "ab" * (1 << 19)
                assert await runner.run("upper", TASK, {"text": text}) == {"value": text.upper()}
            async with ContainerRunner(url, timeout=0.5, callback_port=port, callback_token=token) as hasty:
                with pytest.raises(HandlerTimeout, match=r"0\.5 s"):
                    await hasty.run("raises", TASK, {})

    run(main())


def test_nobody_listens(place: int) -> None:
    async def main() -> None:
        async with ContainerRunner(f"http://127.0.0.1:{place}") as runner:
            with pytest.raises(ContainerUnreachable) as caught:
                await runner.run("echo", TASK, {})
            assert caught.value.retryable

    run(main())


@pytest.mark.parametrize(
    ("status", "text", "error", "said"),
    [
        (404, '{"detail":"Not Found"}', HandlerMissing, "Not Found"),
        (422, "<html>", HandlerInputInvalid, "<html>"),
        (500, "bang \x1b[2J", HandlerFailed, r"HTTP 500: bang \\x1b"),
        (200, "{}", HandlerFailed, "HTTP 200"),
        (302, "", HandlerFailed, "HTTP 302"),
        (503, "x" * 200_000, HandlerFailed, "HTTP 503"),
    ],
)
def test_answers_other_than_accepted(status: int, text: str, error: type[Exception], said: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers={"Location": "http://127.0.0.1:1/"})

    async def main() -> None:
        async with host(answer) as url, ContainerRunner(url, timeout=5) as runner:
            with pytest.raises(error, match=said) as caught:
                await runner.run("echo", TASK, {})
            assert len(str(caught.value)) < 1000

    run(main())


def test_a_callback_that_overtakes_the_answer_is_not_lost() -> None:
    runners: list[ContainerRunner] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        assert await posted(f"{runners[0].callback_url}/{TASK}", b'{"early": true}') == 200
        return await accept(request)

    async def main() -> None:
        async with host(answer) as url, ContainerRunner(url, timeout=5) as runner:
            runners.append(runner)
            assert await runner.run("echo", TASK, {}) == {"early": True}

    run(main())


def test_callbacks_need_the_token_and_a_task_that_waits() -> None:
    async def main() -> None:
        async with host(accept) as url, ContainerRunner(url, timeout=10) as runner:
            task = asyncio.create_task(runner.run("echo", TASK, {}))
            while not runner._waiting:
                await asyncio.sleep(0)
            base, token = runner.callback_url.rsplit("/", 1)
            assert len(token) >= 32
            assert token not in repr(runner)
            for wrong in (
                f"{base}/{TASK}",
                f"{base}/guess/{TASK}",
                f"{base}/{token}/0x12",
                f"{base}/{token}x/{TASK}",
            ):
                assert await posted(wrong, b"{}") == 404
            assert not task.done()
            assert await posted(f"{base}/{token}/{TASK}", b'{"a": 1}') == 200
            assert await task == {"a": 1}
            assert await posted(f"{base}/{token}/{TASK}", b'{"a": 1}') == 404

    run(main())


@pytest.mark.parametrize("body", [b"[1]", b"no json", b'{"a": NaN}', b"", b"[" * 100_000])
def test_a_callback_that_is_no_json_object_fails_the_task(body: bytes) -> None:
    async def main() -> None:
        async with host(accept) as url, ContainerRunner(url, timeout=10) as runner:
            task = asyncio.create_task(runner.run("echo", TASK, {}))
            while not runner._waiting:
                await asyncio.sleep(0)
            assert await posted(f"{runner.callback_url}/{TASK}", body) == 400
            with pytest.raises(HandlerFailed):
                await task

    run(main())


def test_a_task_runs_once_at_a_time_and_close_ends_it() -> None:
    async def main() -> None:
        async with host(accept) as url:
            runner = ContainerRunner(url, timeout=10)
            await runner.start()
            task = asyncio.create_task(runner.run("echo", TASK, {}))
            while not runner._waiting:
                await asyncio.sleep(0)
            with pytest.raises(InvalidInput, match="runs already"):
                await runner.run("echo", TASK, {})
            await runner.close()
            with pytest.raises(HandlerCrashed):
                await task
            with pytest.raises(HandlerCrashed, match="not running"):
                await runner.run("echo", TASK, {})

    run(main())


@pytest.mark.parametrize(
    ("url", "token"), [("ftp://x", None), ("127.0.0.1:5555", None), ("http://x", "short")]
)
def test_senseless_arguments_are_refused(url: str, token: str | None) -> None:
    with pytest.raises(InvalidInput):
        ContainerRunner(url, callback_token=token)
