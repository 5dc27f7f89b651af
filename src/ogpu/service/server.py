"""A service over HTTP: tasks come in by POST, results go out to the callback URL."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import threading
from collections.abc import Callable
from io import BytesIO
from typing import TypeVar
from urllib.parse import quote

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from pydantic import BaseModel

from ogpu.errors import HandlerError, HandlerFailed, HandlerInputInvalid, HandlerMissing, PortTaken
from ogpu.service.calls import call, parse_input, run_init
from ogpu.service.config import ServiceSettings
from ogpu.service.logs import logger
from ogpu.service.registry import Handler, Registry
from ogpu.text import printable

MAX_BODY = 64 * 1024 * 1024  # bytes
MAX_RUNNING = 40  # handlers at a time, as many as the threads that existing services run with
MAX_ACCEPTED = 400  # tasks running or waiting; more are told to come again
CALLBACK_ATTEMPTS = 6
CALLBACK_DELAY = 0.5  # seconds, doubled with each attempt
CALLBACK_TIMEOUT = ClientTimeout(total=60)
STOP_GRACE = 5.0  # seconds for running tasks; a container is usually killed 10 s after SIGTERM

Result = TypeVar("Result")


def serve(registry: Registry, settings: ServiceSettings) -> None:
    """Prepare the handlers and serve them until a signal says stop."""
    if not registry.handlers:
        raise HandlerMissing("This service exposes no handler.", hint="Decorate a function with @expose().")
    for file, function in registry.inits.items():
        run_init(file, function, HandlerFailed)
    asyncio.run(Service(registry, settings).serve())


class Service:
    """The tasks of one running service."""

    def __init__(self, registry: Registry, settings: ServiceSettings) -> None:
        self._registry = registry
        self._settings = settings
        self._running: dict[str, asyncio.Task[None] | None] = {}
        self._slots = asyncio.Semaphore(MAX_RUNNING)
        self._session: ClientSession

    async def serve(self) -> None:
        """Listen until SIGTERM or SIGINT, then give running tasks a moment."""
        stop = asyncio.Event()
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/run/{function}/{task}", self._accept)
        app.router.add_get("/healthz", self._health)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        async with ClientSession(timeout=CALLBACK_TIMEOUT) as self._session:
            try:
                await self._listen(runner)
                _stop_on_signals(stop)
                await stop.wait()
                logger.info("Stopping.")
            finally:
                await runner.cleanup()
                await self._finish()

    async def _listen(self, runner: web.AppRunner) -> None:
        host, port = self._settings.host, self._settings.port
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortTaken(
                f"Port {port} on {host} is in use.",
                hint="Stop the other program, or set OGPU_SERVICE_PORT.",
                facts={"host": host, "port": port},
            ) from error
        logger.info("Listening on http://%s:%d", host, runner.addresses[0][1])
        for name in self._registry.names:
            logger.info("POST /run/%s/{task_address}", name)

    async def _finish(self) -> None:
        tasks = {task for task in self._running.values() if task is not None}
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=STOP_GRACE)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ready", "functions": list(self._registry.names)})

    async def _accept(self, request: web.Request) -> web.Response:
        task = request.match_info["task"]
        try:
            handler = self._registry.get(request.match_info["function"])
        except HandlerMissing as error:
            return web.json_response({"detail": error.message, **error.facts}, status=404)
        if task in self._running:
            return _accepted(task)
        if len(self._running) >= MAX_ACCEPTED:
            return web.json_response({"detail": "too many tasks"}, status=503, headers={"Retry-After": "5"})
        self._running[task] = None  # before the first await, so that a second post finds it
        try:
            data = await in_thread(parse_input, handler, await request.read())
            self._running[task] = asyncio.create_task(self._execute(handler, task, data))
        except HandlerInputInvalid as error:
            return web.json_response({"detail": error.facts["reasons"], "message": error.message}, status=422)
        except HandlerError as error:
            logger.task_fail("[%s] %s", printable(task, 100), error)
            return web.json_response({"detail": error.message}, status=500)
        finally:
            if self._running[task] is None:
                del self._running[task]
        return _accepted(task)

    async def _execute(self, handler: Handler, task: str, data: BaseModel) -> None:
        label = printable(task, 100)
        try:
            async with self._slots, asyncio.timeout(handler.timeout):
                result = await in_thread(call, handler, data)
            logger.task_success("[%s] %s is done", label, handler.name)
            await self._post(task, label, result)
        except TimeoutError:
            logger.task_timeout("[%s] %s took over %s s", label, handler.name, handler.timeout)
        except HandlerError as error:
            logger.task_fail("[%s] %s", label, error)
        finally:
            del self._running[task]

    async def _post(self, task: str, label: str, result: bytes) -> None:
        if self._settings.callback_url is None:
            logger.info("[%s] CALLBACK_URL is not set; the result goes nowhere", label)
            return
        url = f"{self._settings.callback_url}/{quote(task, safe='')}"
        reason = ""
        for attempt in range(CALLBACK_ATTEMPTS):
            if attempt:
                await asyncio.sleep(CALLBACK_DELAY * 2 ** (attempt - 1))
            reason, again = await self._post_once(url, result)
            if not reason:
                return
            if not again:
                break
        logger.task_fail("[%s] the result could not be delivered: %s", label, reason)

    async def _post_once(self, url: str, result: bytes) -> tuple[str, bool]:
        """What went wrong, if anything, and whether another attempt may help."""
        headers = {"Content-Type": "application/json"}  # and BytesIO: aiohttp warns of large raw bytes
        try:
            async with self._session.post(
                url, data=BytesIO(result), headers=headers, allow_redirects=False
            ) as answer:
                if 200 <= answer.status < 300:
                    return "", False
                return f"HTTP {answer.status}", answer.status >= 500 or answer.status == 429
        except (ClientError, OSError) as error:  # a timeout is an OSError
            return type(error).__name__, True  # its text would show the URL, and with it a token


async def in_thread(function: Callable[..., Result], *arguments: object) -> Result:
    """Run a function in a daemon thread: one that never returns does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def work() -> None:
        results: list[Result] = []
        failure: HandlerError = HandlerFailed("The handler ended its thread (sys.exit?).")
        try:
            results.append(function(*arguments))
        except HandlerError as error:
            failure = error
        finally:
            with contextlib.suppress(RuntimeError):  # the service has stopped meanwhile
                loop.call_soon_threadsafe(_settle, done, results, failure)

    threading.Thread(target=work, daemon=True).start()
    return await done


def _settle(done: asyncio.Future[Result], results: list[Result], failure: HandlerError) -> None:
    if done.done():  # timed out
        return
    if results:
        done.set_result(results[0])
    else:
        done.set_exception(failure)


def _accepted(task: str) -> web.Response:
    return web.json_response({"task_address": task, "status": "accepted"}, status=202)


def _stop_on_signals(stop: asyncio.Event) -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # signals go to the main thread, whose owner decides
    loop = asyncio.get_running_loop()

    def first(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)  # a second one ends at once

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, first, number)
