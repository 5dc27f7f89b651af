"""A program that publishes: a process with a client, told what to do over a pipe, and killed for real."""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ogpu import AsyncClient
from ogpu.errors import OGPUError
from ogpu.networks import Network
from ogpu.tx.boundaries import Boundary
from ogpu.tx.journal import Journal
from ogpu.tx.state import Policy
from ogpu.types import TaskInfo
from tests.support.crash import Child, ChildEnded, Talk, die, started

IDLE = 3600.0  # seconds that a program waits for its next order
UNDER_WAY = 3.0  # seconds after which nobody waits any longer for a call to be sent; nothing rests on it


@dataclass(frozen=True)
class Answer:
    """What a call came back with: a value, or an error of the library by its class."""

    value: Any = None
    error: str = ""
    message: str = ""


@dataclass(frozen=True)
class Broken:
    """What must not happen at all, such as an error that is none of the library's."""

    text: str


@dataclass(frozen=True)
class Setting:
    """What a program is started with."""

    network: Network
    key: str = field(repr=False)
    journal: str
    policy: Policy


class _Program:
    """The process's own side."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._lock = threading.Lock()
        self._dies_at: Boundary | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def run(self, setting: Setting) -> None:
        asyncio.get_running_loop().set_exception_handler(self._unhandled)
        journal = Journal(setting.journal, at=self._at)
        client = AsyncClient(
            setting.network, private_key=setting.key, journal=journal, policy=setting.policy, timeout=5
        )
        async with client:
            while True:
                number, order, arguments = await asyncio.to_thread(self._talk.hear, IDLE)
                if order == "die at":
                    (self._dies_at,) = arguments
                elif order == "stop waiting":
                    for task in self._tasks.values():
                        task.cancel()
                else:
                    work = self._answered(number, client, order, arguments)
                    self._tasks[number] = asyncio.create_task(work)

    async def _answered(self, number: int, client: AsyncClient, order: str, arguments: Any) -> None:
        try:
            said: Any = _answer(await self._carried_out(client, order, *arguments))
        except OGPUError as error:
            said = _answer(error)
        except asyncio.CancelledError:
            said = Answer(error="StoppedWaiting")
        except Exception:  # noqa: BLE001 - whoever ordered it is told
            said = Broken(traceback.format_exc())
        del self._tasks[number]
        self._say((number, said))

    async def _carried_out(self, client: AsyncClient, order: str, *arguments: Any) -> Any:
        if order == "publish":
            key, info = arguments
            return await client.publish_task(info, idempotency_key=key)
        if order == "publish many":
            keys, infos = arguments
            results = await client.publish_tasks(infos, idempotency_keys=keys, return_exceptions=True)
            return [_answer(result) for result in results]
        if order in ("bump", "cancel"):
            return (await getattr(client, order)(*arguments)).state.value
        assert order == "recover", order
        return {intent.key: intent.state.value for intent in await client.recover()}

    def _at(self, boundary: Boundary) -> None:
        if boundary is self._dies_at:
            die()
        if boundary is Boundary.SENT:
            self._say((None, "sent"))

    def _unhandled(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        said = "".join(traceback.format_exception(error)) if error else ""
        self._say((None, Broken(f"{context.get('message')}\n{said}")))

    def _say(self, message: Any) -> None:
        with self._lock:
            self._talk.say(message)


def _answer(result: Any) -> Answer:
    if isinstance(result, OGPUError):
        return Answer(error=type(result).__name__, message=str(result))
    return Answer(result)


def _run(talk: Talk, setting: Setting) -> None:
    asyncio.run(_Program(talk).run(setting))


class Program:
    """A program as whoever started it sees it; started with its first order, and again after a crash.

    `told` is called with each order's number and its answer, None when the process ended before it.
    """

    def __init__(self, setting: Setting, told: Callable[[int, Answer | None], None]) -> None:
        self.setting = setting
        self._told = told
        self._child: Child | None = None
        self._open: set[int] = set()
        self._sent = 0  # how many sends it has told of
        self._broken = ""

    @property
    def runs(self) -> bool:
        """Whether it was started and not found ended."""
        return self._child is not None

    @property
    def owes(self) -> bool:
        """Whether it has orders that it has not answered."""
        return bool(self._open)

    def publish(self, number: int, key: str, info: TaskInfo) -> None:
        """Publish a task."""
        self.order(number, "publish", key, info)

    def publish_many(self, number: int, keys: Sequence[str], infos: Sequence[TaskInfo]) -> None:
        """Publish tasks at once; the answer's value is a list of answers."""
        self.order(number, "publish many", list(keys), list(infos))

    def order(self, number: int, name: str, *arguments: Any) -> None:
        """Have it do something that is answered."""
        self._send(number, name, arguments)

    def die_at(self, boundary: Boundary | None) -> None:
        """Have it end, as by `kill -9`, the next time that it passes there; None: not any more."""
        self._send(None, "die at", (boundary,))

    def stop_waiting(self) -> None:
        """Have all its callers give up."""
        self._send(None, "stop waiting", ())

    def wait(self, number: int, timeout: float, *, sent: bool = False) -> None:
        """Hear what it says until an order is answered, or, when that will do, something was sent."""
        before, deadline = self._sent, time.monotonic() + timeout
        while number in self._open and not (sent and self._sent > before):
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self.hear(left)

    def wait_for_all(self, timeout: float) -> None:
        """Hear what it says until it owes no answer."""
        deadline = time.monotonic() + timeout
        while self._open and (left := deadline - time.monotonic()) > 0:
            self.hear(left)

    def hear(self, timeout: float = 0.0) -> None:
        """Take in what it has said, after a first wait."""
        while self._child is not None and self._child.said_more(timeout):
            timeout = 0.0
            try:
                number, said = self._child.receive()
            except ChildEnded:
                self._ended()
                return
            if isinstance(said, Broken):
                self._broken = said.text
            elif number is None:
                self._sent += 1
            else:
                self._open.discard(number)
                self._told(number, said)
        assert not self._broken, self._broken

    def kill(self) -> None:
        """`kill -9`; what it had said before is heard."""
        if self._child is not None:
            self._child.kill()
            while self._child is not None:
                self.hear()

    def _send(self, number: int | None, name: str, arguments: tuple[Any, ...]) -> None:
        self.hear()
        if self._child is None:
            self._child = started(_run, self.setting)
        if number is not None:
            self._open.add(number)
        try:
            self._child.send((number, name, arguments))
        except (BrokenPipeError, ConnectionResetError):  # it has ended just now
            while self._child is not None:
                self.hear(UNDER_WAY)

    def _ended(self) -> None:
        self._child = None
        for number in sorted(self._open):
            self._told(number, None)
        self._open.clear()
