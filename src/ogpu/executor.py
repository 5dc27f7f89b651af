"""`NetworkExecutor`: a `concurrent.futures.Executor` whose workers are the network's providers."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
import threading
from collections.abc import Callable
from concurrent import futures
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, get_type_hints, overload

from ogpu.errors import ClientClosed, InvalidInput
from ogpu.protocol.checks import check_amount
from ogpu.protocol.results import BIDDING, Accept, Result, Wish
from ogpu.sync import Client
from ogpu.text import shown
from ogpu.work.calls import IN_FLIGHT
from ogpu.work.purse import Purse
from ogpu.work.terms import ONCE, Retry, Terms

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ogpu.aio import AsyncClient
    from ogpu.tx.keys import Key
    from ogpu.tx.signer import Signer
    from ogpu.types import Role
    from ogpu.work.calls import Data

P = ParamSpec("P")
T = TypeVar("T")


class TaskFuture(futures.Future[T]):
    """A future of a result; `task` is the task's address once it is published.

    `cancel()` works until then: what is published is not canceled, since providers may be at work.
    `client.task(future.task).cancel()` cancels a task that nobody has attempted.
    """

    task: str | None = None


class NetworkExecutor(futures.Executor):
    """Runs functions of a source through the network; code that uses a `ThreadPoolExecutor` can use it.

    What is submitted is a function's name, or a function: its `__name__` is what counts, and the pydantic
    model that it is annotated to return is what the result becomes; it is not run here. Its one argument
    that is a model or a dictionary is the task's data, or else its arguments by name. At most `in_flight`
    tasks are on the network at a time. `payment` and `budget` are in wei; these and all others are as for
    `client.map`. Without a `client` it has one of its own. Keys number what is submitted:
    "KEY/executor/0/1" is the first attempt of the first.
    """

    def __init__(
        self,
        client: Client | None,
        source: str,
        *,
        payment: int,
        timeout: float = math.inf,
        expires_in: int | None = None,
        accept: Accept | None = "first",
        bidding: float = BIDDING,
        retries: Retry | None = None,
        in_flight: int = IN_FLIGHT,
        budget: int | None = None,
        idempotency_key: str | None = None,
        private_key: Key | None = None,
        role: Role | None = None,
    ) -> None:
        if client is not None and not isinstance(client, Client):
            raise InvalidInput("client must be an ogpu.Client, or None for one of the executor's own.")
        if not check_amount(in_flight, "in_flight"):
            raise InvalidInput("in_flight is 0; it must be from 1 on.", facts={"field": "in_flight"})
        purse = Purse(None if budget is None else check_amount(budget, "budget"))
        self._owns_client = client is None
        self._client = Client() if client is None else client
        self._portal = self._client._portal
        retry, key = retries or ONCE, idempotency_key
        try:
            signer = self._signer(private_key, role)
            wish = Wish(None, accept, bidding, signer)
            self._terms = Terms(
                "executor", source, "", payment, signer, expires_in, timeout, wish, retry, key, purse
            )
        except BaseException:
            if self._owns_client:
                self._client.close()
            raise
        self._room = asyncio.Semaphore(in_flight)
        self._lock = threading.Lock()
        self._open: set[futures.Future[Any]] = set()
        self._count = 0
        self._shut = False

    @overload
    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> TaskFuture[T]: ...

    @overload
    def submit(self, fn: str, /, *args: Any, **kwargs: Any) -> TaskFuture[Any]: ...

    def submit(self, fn: str | Callable[..., Any], /, *args: Any, **kwargs: Any) -> TaskFuture[Any]:
        """Have a function called on the network; what goes wrong is the future's exception.

        `InvalidInput` when the function has no name that a source can have, or the arguments are no data.
        """
        name, data, model = call_of(fn, args, kwargs)
        terms = replace(self._terms, function=name, wish=replace(self._terms.wish, model=model))
        future: TaskFuture[Any] = TaskFuture()
        with self._lock:
            if self._shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            number, self._count = self._count, self._count + 1
            self._open.add(future)
        future.add_done_callback(self._forget)

        async def work(core: AsyncClient) -> Result | None:
            async with self._room:
                if not future.set_running_or_notify_cancel():
                    return None
                return await core._jobs.do(terms, data, number, partial(setattr, future, "task"))

        self._portal.start(work).add_done_callback(partial(_settle, future))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more; with `cancel_futures` what is not published is canceled. Waits for the rest."""
        with self._lock:
            self._shut = True
            left = list(self._open)
        if cancel_futures:
            for future in left:
                future.cancel()
        if wait:
            self._finish(left)
        else:
            threading.Thread(target=self._finish, args=(left,), name="ogpu shutdown").start()

    def _signer(self, private_key: Key | None, role: Role | None) -> Signer:
        async def signer_of(core: AsyncClient) -> Signer:
            return core._keys.signer(private_key, role)

        return self._portal.call(signer_of)

    def _finish(self, left: list[futures.Future[Any]]) -> None:
        async def end(core: AsyncClient) -> None:
            await self._terms.purse.close()

        futures.wait(left)
        with contextlib.suppress(ClientClosed):  # by its owner, which has ended all
            self._portal.call(end)
        if self._owns_client:
            self._client.close()

    def _forget(self, future: futures.Future[Any]) -> None:
        with self._lock:
            self._open.discard(future)


def _settle(future: TaskFuture[Any], done: futures.Future[Result | None]) -> None:
    """Give a future what has become of its work."""
    if future.cancelled() or (not future.running() and not future.set_running_or_notify_cancel()):
        return
    if done.cancelled():
        future.set_exception(ClientClosed("The client was closed before the result was there."))
    elif error := done.exception():
        future.set_exception(error)
    elif result := done.result():
        future.set_result(result.value)


def call_of(
    fn: str | Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[str, Data, type[BaseModel] | None]:
    """The function's name, the data, and the result's model that a call stands for."""
    while isinstance(fn, partial):
        args, kwargs = (*fn.args, *args), {**fn.keywords, **kwargs}
        fn = fn.func
    name = fn if isinstance(fn, str) else getattr(fn, "__name__", None)
    if not isinstance(name, str) or (callable(fn) and not name.isidentifier()):
        raise InvalidInput(
            f"{shown(name or fn)} is no name of a function that a source can have.",
            hint="Submit a function's name, or a function that was made with def.",
        )
    return name, _data_of(fn, args, kwargs), None if isinstance(fn, str) else _model_of(fn)


def _data_of(fn: str | Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Data:
    from pydantic import BaseModel  # takes long to import

    if len(args) == 1 and not kwargs and isinstance(args[0], BaseModel | dict):
        return args[0]
    if not args:
        return dict(kwargs)
    if isinstance(fn, str):
        raise InvalidInput(
            f"The arguments of {shown(fn)} are no data.",
            hint="Give one dictionary or pydantic model, or keyword arguments only.",
        )
    return dict(inspect.signature(fn).bind(*args, **kwargs).arguments)


def _model_of(fn: Callable[..., Any]) -> type[BaseModel] | None:
    """The pydantic model that a function is annotated to return."""
    from pydantic import BaseModel  # takes long to import

    returned = getattr(fn, "__annotations__", {}).get("return")
    if isinstance(returned, str):
        alone = type("Alone", (), {"__annotations__": {"return": returned}})
        try:
            returned = get_type_hints(alone, globalns=getattr(fn, "__globals__", {}))["return"]
        except NameError as error:
            raise InvalidInput(
                f"What {fn.__name__} returns is annotated as {shown(returned)}, which is nowhere: {error}.",
                hint="Define the model at the module's level, and import it there.",
            ) from error
    return returned if isinstance(returned, type) and issubclass(returned, BaseModel) else None
