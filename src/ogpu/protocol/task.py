"""A task by its address: what it is, who attempted it, what was answered, and what its client does."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ogpu.protocol import explaining, snapshots
from ogpu.protocol.chain import Chain
from ogpu.protocol.checks import check_amount, check_range, check_text, check_wait
from ogpu.protocol.contract import By, Contract
from ogpu.protocol.controller import AsyncController
from ogpu.protocol.explaining import Explanation
from ogpu.protocol.results import BIDDING, Accept, Results, Wish
from ogpu.protocol.waiting import Look
from ogpu.rpc.codec import checked_address, keccak
from ogpu.tx.keys import Keys
from ogpu.tx.state import Receipt
from ogpu.types import DeliveryMethod, Response, TaskParams, TaskSnapshot, TaskStatus

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ogpu.tx.keys import Key
    from ogpu.types import Role

M = TypeVar("M", bound="BaseModel")


class AsyncTask(Contract):
    """A task, and a handle on its result.

    Its address is all that another process needs: `client.task(address)`. Reading raises `ContractMissing` or
    `WrongContract` when there is none at the address.
    """

    kind = "Task"

    def __init__(self, chain: Chain, keys: Keys, address: str, results: Results) -> None:
        super().__init__(chain, keys, address)
        self._results = results

    def __await__(self) -> Generator[Any, None, Any]:
        """`await task` is `await task.result()`."""
        return self.result().__await__()

    # --- waiting

    async def wait(self, timeout: float = 300) -> Response:
        """Wait until it has a response, and return it: the confirmed one, else the first.

        Raises `TaskExpired` or `TaskCanceled` when none can come any more, and `WaitTimeout` (a
        `TimeoutError`) after `timeout` seconds, or never with `math.inf`; the task itself goes on.
        """
        check_wait(timeout)

        async def first(look: Look) -> Response | None:
            return look.confirmed or next(iter(look.responses), None)

        return await self._results.waiting.until(self.address, timeout, first)

    @overload
    async def result(
        self,
        timeout: float = 300,
        *,
        model: type[M],
        accept: Accept | None = None,
        bidding: float = BIDDING,
        private_key: Key | None = None,
        role: Role | None = None,
    ) -> M: ...

    @overload
    async def result(
        self,
        timeout: float = 300,
        *,
        model: type[BaseModel] | None = None,
        accept: Accept | None = None,
        bidding: float = BIDDING,
        private_key: Key | None = None,
        role: Role | None = None,
    ) -> Any: ...

    async def result(
        self,
        timeout: float = 300,
        *,
        model: type[BaseModel] | None = None,
        accept: Accept | None = None,
        bidding: float = BIDDING,
        private_key: Key | None = None,
        role: Role | None = None,
    ) -> Any:
        """Wait for its confirmed response, and return the result: verified JSON, or the `model` made of it.

        Under manual confirmation somebody must choose. `accept="first"` takes the earliest response;
        "cheapest" the one with the lowest price once everybody has answered who may attempt a task of the
        source, at the latest `bidding` seconds after it saw the first answer, or 20 seconds before the
        expiry. A function gets the list of responses whenever there is a new one, and returns the one to
        take, or None to wait on; it runs on the client's thread. What it takes is fetched and checked first,
        passed over when it is broken or over 8 MiB, and then confirmed, once, by the client's key,
        `private_key`, or that of `role`.
        When somebody else has confirmed meanwhile, that response is the result. `accept` changes nothing
        under first response.

        Raises `TaskExpired`, `TaskCanceled`, `WaitTimeout` (a `TimeoutError`; the task goes on), and
        `ResultInvalid` when all who attempted it gave what cannot be used, and within `bidding` seconds no
        other one of those who may: its `problems` has each one's error. The confirmed response's own errors
        are `ContentMismatch`, `ContentUnavailable`, `ContentTooLarge`, `ContentInvalid`, `UnsupportedCID`, or
        `ResultInvalid` when it does not fit the model.
        """
        wish = Wish(model, accept, bidding, private_key, role)
        return (await self._results.get(self.address, timeout, wish)).value

    async def explain(self) -> Explanation:
        """Why nobody has taken or answered it: who could, at what price, and what stands in the way."""
        return await explaining.explain(self._chain, self.address)

    # --- views

    async def snapshot(self) -> TaskSnapshot:
        """The task at the latest block."""
        (task,) = await snapshots.tasks(self._chain, [self.address])
        return task

    async def params(self) -> TaskParams:
        """Its terms as the contract holds them."""
        return TaskParams(*await self._view("taskParams"))

    async def status(self) -> TaskStatus:
        """Where it is in its life."""
        return await self._as(TaskStatus, "getStatus")

    async def source(self) -> str:
        """The source that it is a call of."""
        return str(await self._view("getSource"))

    async def payment(self) -> int:
        """What it pays at most (wei)."""
        return int(await self._view("getPayment"))

    async def expiry_time(self) -> int:
        """When it expires, in Unix seconds."""
        return int(await self._view("getExpiryTime"))

    async def delivery_method(self) -> DeliveryMethod:
        """How it gets its final response."""
        return await self._as(DeliveryMethod, "getDeliveryMethod")

    async def owner(self) -> str:
        """Its client: who confirms, cancels, and gets refunds."""
        return str(await self._view("owner"))

    async def winning_provider(self) -> str | None:
        """The provider whose response was confirmed."""
        return await self._optional("winningProvider")

    async def attempt_count(self) -> int:
        """How many providers have taken it on."""
        return int(await self._view("getAttemptCount"))

    async def attempters(self, lower: int = 0, upper: int | None = None) -> list[str]:
        """The providers of the attempts `[lower, upper)`, first one first; all by default."""
        return list(await self._range("getAttemptCount", "getAttempters", lower, upper))

    async def attempter_at(self, place: int) -> str:
        """The provider of one attempt, by its place from 0; `ContractReverted` past the last."""
        return str(await self._view("attempters", check_amount(place, "place")))

    async def attempter_id(self, provider: str) -> int:
        """A provider's attempt, from 1; 0 when it has made none."""
        return int(await self._view("getAttempterId", checked_address(provider, "provider")))

    async def attempt_timestamps(self, lower: int = 0, upper: int | None = None) -> list[int]:
        """When the attempts `[lower, upper)` were made, in Unix seconds; all by default."""
        return list(await self._range("getAttemptCount", "getAttemptTimestamps", lower, upper))

    async def attempt_timestamp_at(self, place: int) -> int:
        """When one attempt was made (Unix seconds), by its place from 0; `ContractReverted` past the last."""
        return int(await self._view("attemptTimestamps", check_amount(place, "place")))

    async def response_of(self, provider: str) -> str | None:
        """The address of a provider's response, when there is one."""
        return await self._optional("responseOf", checked_address(provider, "provider"))

    async def responses(self, lower: int = 0, upper: int | None = None) -> list[Response]:
        """The responses `[lower, upper)` in the order of the attempts; all by default."""
        check_range(lower, upper)
        return await snapshots.responses_of(self._chain, self.address, lower, upper)

    async def is_already_submitted(self, data: str) -> bool:
        """Whether some provider has answered with exactly this data."""
        return bool(await self._view("isAlreadySubmitted", keccak(check_text(data, "data").encode())))

    # --- transactions

    async def cancel(
        self,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Cancel it while nobody has attempted it; the payment goes back.

        For its client or an agent; raises what `controller.cancel_task` raises.
        """
        return await AsyncController(self._chain, self._keys).cancel_task(
            self.address, private_key=private_key, role=role, idempotency_key=idempotency_key
        )

    async def transfer_ownership(
        self,
        new_owner: str,
        *,
        private_key: Key | None = None,
        role: Role | None = None,
        idempotency_key: str | None = None,
    ) -> Receipt:
        """Make another account its client, who then confirms and gets refunds. For its client.

        Raises `NotOwner`.
        """
        return await self._send(
            "transferOwnership",
            checked_address(new_owner, "new_owner"),
            by=By(private_key, role, idempotency_key),
            usual="client",
        )
