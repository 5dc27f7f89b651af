"""The calls by which a client gives work to the network; `AsyncClient` has them."""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

from ogpu.errors import InvalidInput
from ogpu.protocol import checks
from ogpu.protocol.results import BIDDING, Accept, Results, Wish, fetched
from ogpu.protocol.task import AsyncTask
from ogpu.text import shown
from ogpu.tx.keys import Keys
from ogpu.types import Response
from ogpu.work.jobs import Jobs
from ogpu.work.many import mapped
from ogpu.work.purse import Purse
from ogpu.work.terms import ONCE, Retry, Terms

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ogpu.tx.keys import Key
    from ogpu.types import Role

    Data: TypeAlias = BaseModel | dict[str, Any]

M = TypeVar("M", bound="BaseModel")

IN_FLIGHT = 16


class WorkCalls:
    """Calls of functions of a source, one or many."""

    _jobs: Jobs
    _keys: Keys
    _results: Results

    def task(self, address: str) -> AsyncTask:
        """A task by its address; nothing is asked yet."""
        return AsyncTask(self._results.chain, self._keys, address, self._results)

    async def wait_for_response(self, task_address: str, timeout: float = 300) -> Response:
        """The same as `task(task_address).wait(timeout)`."""
        return await self.task(task_address).wait(timeout)

    async def fetch_result(self, response: Response) -> Any:
        """The JSON result that a response links to, checked against its CID.

        Raises `ContentMismatch`, `ContentUnavailable`, `ContentTooLarge`, `ContentInvalid`, or
        `UnsupportedCID` for a link without one.
        """
        checks.check_response(response)
        return await fetched(self._results.content, response, None)

    async def submit(
        self,
        source: str,
        function: str,
        data: Data,
        *,
        payment: int,
        expires_in: int | None = None,
        idempotency_key: str | None = None,
        private_key: Key | None = None,
        role: Role | None = None,
    ) -> AsyncTask:
        """Publish a call of a source's function, and give the task back without waiting for it.

        `payment` in wei, from the Vault balance; `expires_in` in seconds, without it an hour, or less when
        the source says so. With an `idempotency_key` it is published once, whoever calls again and whenever.
        Raises what `publish_task` raises.
        """
        signer = self._keys.signer(private_key, role)
        terms = Terms("submit", source, function, payment, signer, expires_in, key=idempotency_key)
        return self.task(await self._jobs.submit(terms, data))

    @overload
    async def run(
        self,
        source: str,
        function: str,
        data: Data,
        *,
        payment: int,
        model: type[M],
        timeout: float = 300,
        expires_in: int | None = None,
        accept: Accept | None = "first",
        bidding: float = BIDDING,
        retries: Retry | None = None,
        published: Callable[[str], None] | None = None,
        idempotency_key: str | None = None,
        private_key: Key | None = None,
        role: Role | None = None,
    ) -> M: ...

    @overload
    async def run(
        self,
        source: str,
        function: str,
        data: Data,
        *,
        payment: int,
        model: type[BaseModel] | None = None,
        timeout: float = 300,
        expires_in: int | None = None,
        accept: Accept | None = "first",
        bidding: float = BIDDING,
        retries: Retry | None = None,
        published: Callable[[str], None] | None = None,
        idempotency_key: str | None = None,
        private_key: Key | None = None,
        role: Role | None = None,
    ) -> Any: ...

    async def run(
        self,
        source: str,
        function: str,
        data: Data,
        *,
        payment: int,
        model: type[BaseModel] | None = None,
        timeout: float = 300,
        expires_in: int | None = None,
        accept: Accept | None = "first",
        bidding: float = BIDDING,
        retries: Retry | None = None,
        published: Callable[[str], None] | None = None,
        idempotency_key: str | None = None,
        private_key: Key | None = None,
        role: Role | None = None,
    ) -> Any:
        """Call a source's function through the network, and return its result, verified and paid for.

        `payment` (wei), `expires_in` (seconds) as for `submit`; `model`, `accept` and `bidding` as for the
        task's `result`, which also says what is raised. After `timeout` seconds it is `WaitTimeout`: the
        task goes on, and the error says how to come back to it. With `retries` it is published again when
        an attempt has failed and can cost no more. With an `idempotency_key` a program that was
        killed goes on where it was: attempt 2 is published by the idempotency key "KEY/run/2". `published` is
        called with each attempt's task as soon as that is published, on the client's own thread.
        """
        if published is not None and not callable(published):
            raise InvalidInput(
                f"published is {shown(published)}; it must be a function that takes a task's address.",
                facts={"field": "published"},
            )
        signer = self._keys.signer(private_key, role)
        wish = Wish(model, accept, bidding, signer)
        retry = retries or ONCE
        terms = Terms(
            "run", source, function, payment, signer, expires_in, timeout, wish, retry, idempotency_key
        )
        try:
            return (await self._jobs.do(terms, data, published=published)).value
        finally:
            await terms.purse.close()

    @overload
    def map(
        self,
        source: str,
        function: str,
        items: Iterable[Data] | AsyncIterable[Data],
        *,
        payment: int,
        model: type[M],
        ordered: bool = True,
        return_exceptions: Literal[False] = False,
        in_flight: int = IN_FLIGHT,
        budget: int | None = None,
        timeout: float = math.inf,
        expires_in: int | None = None,
        accept: Accept | None = "first",
        bidding: float = BIDDING,
        retries: Retry | None = None,
        idempotency_key: str | None = None,
        private_key: Key | None = None,
        role: Role | None = None,
    ) -> AsyncIterator[M]: ...

    @overload
    def map(
        self,
        source: str,
        function: str,
        items: Iterable[Data] | AsyncIterable[Data],
        *,
        payment: int,
        model: type[BaseModel] | None = None,
        ordered: bool = True,
        return_exceptions: bool = False,
        in_flight: int = IN_FLIGHT,
        budget: int | None = None,
        timeout: float = math.inf,
        expires_in: int | None = None,
        accept: Accept | None = "first",
        bidding: float = BIDDING,
        retries: Retry | None = None,
        idempotency_key: str | None = None,
        private_key: Key | None = None,
        role: Role | None = None,
    ) -> AsyncIterator[Any]: ...

    def map(
        self,
        source: str,
        function: str,
        items: Iterable[Data] | AsyncIterable[Data],
        *,
        payment: int,
        model: type[BaseModel] | None = None,
        ordered: bool = True,
        return_exceptions: bool = False,
        in_flight: int = IN_FLIGHT,
        budget: int | None = None,
        timeout: float = math.inf,
        expires_in: int | None = None,
        accept: Accept | None = "first",
        bidding: float = BIDDING,
        retries: Retry | None = None,
        idempotency_key: str | None = None,
        private_key: Key | None = None,
        role: Role | None = None,
    ) -> AsyncIterator[Any]:
        """Call a source's function for each item; the results, in the items' order or as they come.

        At most `in_flight` items are taken whose result was not: so `items` may be endless, and whoever
        stops asking stops publishing. Items that are no list are asked for in a thread of their own.
        `budget` (wei) bounds payments and gas together: when another task may not fit, it waits for what
        others give back, and at last raises `BudgetExceeded`, after all results. An item's error is raised
        in its turn, or given in the result's place with `return_exceptions`. Everything else is as for
        `run`, for each item; `timeout` is for ever by default, that is, until the task expires. With an
        `idempotency_key` a program that was killed publishes nothing twice and gets the same results: the
        first attempt for item 12, counted from 0, has the key "KEY/map/12/1". Leaving it ends the waiting;
        tasks that are published go on.
        """
        signer = self._keys.signer(private_key, role)
        for name, value in (("ordered", ordered), ("return_exceptions", return_exceptions)):
            checks.check_type(value, bool, name)
        if not checks.check_amount(in_flight, "in_flight"):
            raise InvalidInput("in_flight is 0; it must be from 1 on.", facts={"field": "in_flight"})
        if isinstance(items, str | bytes | dict) or not isinstance(items, Iterable | AsyncIterable):
            raise InvalidInput(
                f"items is {shown(items)}; it must give one dictionary or model after the other."
            )
        wish = Wish(model, accept, bidding, signer)
        purse = Purse(None if budget is None else checks.check_amount(budget, "budget"))
        retry, key = retries or ONCE, idempotency_key
        terms = Terms("map", source, function, payment, signer, expires_in, timeout, wish, retry, key, purse)

        async def one(position: int, data: Data) -> Any:
            return (await self._jobs.do(terms, data, position)).value

        return mapped(
            items,
            one,
            purse.close,
            in_flight=in_flight,
            ordered=ordered,
            return_exceptions=return_exceptions,
        )
