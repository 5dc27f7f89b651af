"""Results of tasks: one response is chosen, fetched, checked, made into a model, and only then paid for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ogpu.content import AsyncContent, Limits
from ogpu.errors import (
    AlreadyConfirmed,
    AlreadyFinalized,
    ContentError,
    ContentUnavailable,
    ContractReverted,
    IdempotencyConflict,
    InvalidInput,
    NetworkError,
    ResultInvalid,
    TaskExpired,
    WaitTimeout,
)
from ogpu.protocol.chain import Chain
from ogpu.protocol.checks import check_wait
from ogpu.protocol.controller import AsyncController
from ogpu.protocol.explaining import nobody_else_could
from ogpu.protocol.waiting import Look, Waiting
from ogpu.text import printable, shown
from ogpu.tx.keys import Keys
from ogpu.tx.state import Receipt
from ogpu.types import DeliveryMethod, Response

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ogpu.tx.keys import Key
    from ogpu.types import Role

Accept: TypeAlias = Literal["first", "cheapest"] | Callable[[list[Response]], Response | None]

BIDDING = 30.0  # seconds that others have for an answer, after the first one or after one of no use
LARGEST = 8 * 1024 * 1024  # bytes of a result; many are held at a time
TRIES = 5  # of content that no gateway gives; the pauses between them double, from a second on
RULES = ("first", "cheapest")


@dataclass(frozen=True)
class Wish:
    """How a task's result is to be got: which response is taken, what it must fit, who confirms."""

    model: type[BaseModel] | None = None
    accept: Accept | None = None
    bidding: float = BIDDING
    private_key: Key | None = None
    role: Role | None = None
    before_paying: Callable[[], Awaitable[None]] | None = None  # may raise, and then nothing is paid

    def __post_init__(self) -> None:
        check_wait(self.bidding, "bidding")
        if self.accept is not None and not callable(self.accept) and self.accept not in RULES:
            raise InvalidInput(
                f"accept is {shown(self.accept)}.",
                hint="Use 'first', 'cheapest', a function of the list of responses, or None.",
                facts={"field": "accept"},
            )
        if self.model is not None and not hasattr(self.model, "model_validate"):
            raise InvalidInput(
                f"model is {shown(self.model)}; it must be a pydantic model class.", facts={"field": "model"}
            )


@dataclass(frozen=True)
class Result:
    """A result, its response, and what that has cost: paid to its provider, and in gas (wei)."""

    value: Any
    response: Response
    paid: int
    gas_cost: int


class Results:
    """Gets the results of one client's tasks."""

    def __init__(self, chain: Chain, content: AsyncContent, keys: Keys) -> None:
        self.waiting = Waiting(chain)
        self.chain = chain
        self.content = content
        self.keys = keys

    async def get(self, task: str, timeout: float, wish: Wish) -> Result:
        """The result of a task; raises what `AsyncTask.result` raises."""
        check_wait(timeout)
        choice = _Choice(self, task, wish)
        try:
            return await self.waiting.until(task, timeout, choice.decide)
        except TaskExpired as error:
            if choice.broken:
                raise choice.none_left("and it expired") from error
            raise
        except WaitTimeout as error:
            error.facts["unusable"] = sorted(choice.broken)  # responses
            raise


@dataclass(frozen=True)
class _Away:
    """Content that no gateway gave: why, how often it was asked for, and when to ask again."""

    error: ContentUnavailable
    tries: int
    again: float


class _Choice:
    """The responses of one task while one of them is chosen."""

    def __init__(self, results: Results, task: str, wish: Wish) -> None:
        self._results = results
        self._task = task
        self._wish = wish
        self.broken: dict[str, ContentError] = {}  # by the response's address
        self._away: dict[str, _Away] = {}
        self._shown: set[str] = set()  # the responses that the caller's function has seen
        self._picked: Response | None = None  # what it wants, while the content is away
        self._first_seen: float | None = None
        self._broken_since: tuple[int, float] = (0, 0.0)  # how many are broken, and since when
        self._gas_cost = 0

    async def decide(self, look: Look) -> Result | None:
        """The result, once it is clear which response is taken, and that one is paid for."""
        manual = look.task.delivery_method is DeliveryMethod.MANUAL_CONFIRMATION
        if look.confirmed is not None:
            value = await self._value_if_there(look.confirmed, look.last)
            paid = look.confirmed.payment if manual else look.task.payment
            return None if value is None else Result(value[0], look.confirmed, paid, self._gas_cost)
        if not look.responses or self._wish.accept is None or not manual:
            return None
        found = await self._by_function(look) if callable(self._wish.accept) else await self._by_rule(look)
        if found is None and not self._usable(look) and await self._is_hopeless(look):
            raise self.none_left("and nobody else has answered")
        return found

    def none_left(self, what: str) -> ResultInvalid:
        """That no response can be used, with each one's reason."""
        reasons = [f"{address}: {error.message}" for address, error in self.broken.items()]
        return ResultInvalid(
            f"No response of task {self._task} can be used, {what}: {printable(' '.join(reasons))}",
            problems=self.broken,
            hint="None was confirmed, so nothing is paid; after the expiry vault.force_release_payment(task) "
            "brings the payment back.",
            facts={"task": self._task},
        )

    async def _is_hopeless(self, look: Look) -> bool:
        """Whether another answer is not waited for, when there is none that can be used."""
        now = asyncio.get_running_loop().time()
        if self._broken_since[0] != len(self.broken):
            self._broken_since = len(self.broken), now
        if not look.all_answered:
            return False
        over = look.last or now - self._broken_since[1] >= self._wish.bidding
        return over or await self._everybody_answered(look)

    async def _everybody_answered(self, look: Look) -> bool:
        """Whether nobody is left who may attempt the task; False also when that cannot be read now."""
        if not look.all_answered:
            return False
        try:
            providers = {response.provider for response in look.responses}
            return await nobody_else_could(self._results.chain, look.task, providers)
        except NetworkError as error:
            if not error.retryable:
                raise
            return False

    def _usable(self, look: Look) -> list[Response]:
        return [response for response in look.responses if response.address not in self.broken]

    async def _by_rule(self, look: Look) -> Result | None:
        usable = self._usable(look)
        if self._wish.accept == "first":
            return await self._first_of(look, sorted(usable, key=lambda each: each.timestamp))
        if not await self._bidding_is_over(look):
            return None
        return await self._first_of(look, sorted(usable, key=lambda each: (each.payment, each.timestamp)))

    async def _bidding_is_over(self, look: Look) -> bool:
        now = asyncio.get_running_loop().time()
        if self._first_seen is None:
            self._first_seen = now
        over = look.last or now - self._first_seen >= self._wish.bidding
        return over or look.sight.expires_soon or await self._everybody_answered(look)

    async def _by_function(self, look: Look) -> Result | None:
        assert callable(self._wish.accept)
        while usable := self._usable(look):
            if self._picked not in usable:
                if {each.address for each in usable} == self._shown:
                    return None
                self._shown = {each.address for each in usable}
                self._picked = self._wish.accept(list(usable))
            if self._picked is None:
                return None
            if self._picked not in usable:
                raise InvalidInput(
                    f"accept returned {shown(self._picked)}.",
                    hint="It must return one of the responses that it is given, or None to wait on.",
                )
            found = await self._first_of(look, [self._picked])
            if found is not None or self._picked.address not in self.broken:
                return found
        return None

    async def _first_of(self, look: Look, ranked: list[Response]) -> Result | None:
        """The first of these whose content is what it must be, paid for."""
        for response in ranked:
            try:
                value = await self._value_if_there(response, look.last)
            except ContentError as error:
                self.broken[response.address] = error
                continue
            if value is not None:
                return await self._confirmed(look, response, value[0])
        return None

    async def _value_if_there(self, response: Response, last: bool) -> tuple[Any] | None:
        """What a response links to, or None when it is to be asked for again later."""
        loop, away = asyncio.get_running_loop(), self._away.get(response.address)
        if away is not None and loop.time() < away.again and not last:
            return None
        try:
            return (await fetched(self._results.content, response, self._wish.model),)
        except ContentUnavailable as error:
            tries = 1 if away is None else away.tries + 1
            if last or tries > TRIES:
                raise
            self._away[response.address] = _Away(error, tries, loop.time() + 2 ** (tries - 1))
            return None

    async def _confirmed(self, look: Look, response: Response, value: Any) -> Result | None:
        """The response, confirmed by us; None when another one may have been, which the next look shows."""
        others = [each for each in look.responses if each != response]
        conflict: IdempotencyConflict | None = None
        for each in (response, *others):
            try:
                receipt = await self._confirm(each)
            except IdempotencyConflict as error:  # the key stands for another response, chosen before
                conflict = conflict or error
            except ContractReverted as error:
                if not isinstance(error, AlreadyConfirmed | AlreadyFinalized) and not (
                    (await self._results.waiting.sight(self._task)).task.status.final
                ):
                    raise
                return None
            else:
                self._gas_cost += receipt.gas_cost
                if each is not response:
                    return None
                return Result(value, replace(each, confirmed=True), each.payment, self._gas_cost)
        assert conflict is not None
        raise conflict

    async def _confirm(self, response: Response) -> Receipt:
        chain, wish = self._results.chain, self._wish
        if wish.before_paying is not None:
            await wish.before_paying()
        controller = AsyncController(chain, self._results.keys)
        return await controller.confirm_response(
            response.address,
            private_key=wish.private_key,
            role=wish.role,
            idempotency_key=await once("accept", chain, self._task),
        )


async def once(what: str, chain: Chain, task: str) -> str:
    """The idempotency key of what happens once to a task; another chain may have its address too."""
    return f"{what}/{await chain.transactions.context.chain()}/{task}"


async def fetched(content: AsyncContent, response: Response, model: type[BaseModel] | None) -> Any:
    """The JSON value that a response links to, verified, and made into a model when one is given."""
    value = await content.get_json(response.data, limits=Limits(max_bytes=LARGEST))
    if model is None:
        return value
    from pydantic import ValidationError  # takes long to import

    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        first = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}" for each in problems[:3]
        )
        raise ResultInvalid(
            f"The result of response {response.address} is no {model.__name__}: {printable(first, 500)}.",
            facts={"response": response.address, "problems": len(problems)},
        ) from error
