"""What the calls of one contract share: views, transactions, ranges, and the events that it has emitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from ogpu.errors import InvalidInput, RPCInvalidResponse
from ogpu.events import LogPlace, ProtocolEvent, event_of
from ogpu.protocol.chain import Chain, Read, View
from ogpu.protocol.checks import check_blocks, check_key, check_range
from ogpu.rpc.codec import ZERO_ADDRESS, checked_address, checksum, interface
from ogpu.rpc.transport import hash_of, quantity
from ogpu.tx.keys import Keys
from ogpu.tx.state import Call, Receipt, SendOptions

if TYPE_CHECKING:
    from ogpu.tx.keys import Key
    from ogpu.types import Role

E = TypeVar("E", bound=ProtocolEvent)
T = TypeVar("T")

ITEMS_PER_READ = 500  # of a list, in one call: 16 KB of addresses, well under what nodes answer
BLOCKS_PER_QUERY = 1000  # of logs; public nodes refuse long ranges
MOST_ITEMS = 10_000_000  # a list that claims to have more is none


class By(NamedTuple):
    """Who signs a call, and the name of what is to happen once."""

    private_key: Key | None
    role: Role | None
    idempotency_key: str | None


class Contract:
    """One contract of the protocol, by its kind and address."""

    kind: ClassVar[str]

    def __init__(self, chain: Chain, keys: Keys, address: str | None = None) -> None:
        self._chain = chain
        self._keys = keys
        self._own_address = None if address is None else checked_address(address, self.kind.lower())

    @property
    def address(self) -> str:
        """Where it is, checksummed."""
        return self._own_address or checked_address(self._chain.network.contract(self.kind.upper()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"

    async def events(self, kind: type[E], first_block: int = 0, last_block: int | None = None) -> list[E]:
        """The events of one kind that the contract emitted in these blocks, both included, in order.

        `last_block=None` is the latest block. `InvalidInput` for a kind that this contract does not emit.
        """
        name = getattr(kind, "__name__", "")
        if name not in interface(self.kind).events or not issubclass(kind, ProtocolEvent):
            known = ", ".join(interface(self.kind).events)
            raise InvalidInput(f"{self.kind} emits no event of that kind.", hint=f"It emits: {known}.")
        head = (await self._chain.head()).number
        last = head if last_block is None else last_block
        check_blocks(first_block, last)
        found: list[E] = []
        for first in range(first_block, min(last, head) + 1, BLOCKS_PER_QUERY):
            until = min(first + BLOCKS_PER_QUERY - 1, last, head)
            logs = await self._chain.logs(self.kind, [name], first, until, address=self.address)
            found += [self._event(kind, log) for log in logs]
        return found

    def _event(self, kind: type[E], log: dict[str, Any]) -> E:
        """The event of a log that a node gave as this contract's."""
        place, event = place_of(log), interface(self.kind).events[kind.__name__]
        if place.contract != self.address or log.get("topics", [None])[0] != event.topic:
            raise RPCInvalidResponse("The node answered eth_getLogs with a log that was not asked for.")
        try:
            return event_of(kind, event.decode(log), place)
        except ValueError as error:  # a number outside its enumeration
            raise self._chain.wrong_contract(self.kind, self.address) from error

    def _read(self, function: str, *arguments: Any) -> Read:
        return Read(self.kind, self.address, function, arguments)

    async def _view(self, function: str, *arguments: Any) -> Any:
        """One view call at the latest block."""
        (value,) = await self._chain.read(self._read(function, *arguments))
        return value

    async def _as(self, make: Callable[[Any], T], function: str, *arguments: Any) -> T:
        """A view call whose value belongs to an enumeration; `WrongContract` when it does not."""
        try:
            return make(await self._view(function, *arguments))
        except ValueError as error:
            raise self._chain.wrong_contract(self.kind, self.address) from error

    async def _optional(self, function: str, *arguments: Any) -> str | None:
        """A view call that gives an address, or None for the zero address."""
        found: str = await self._view(function, *arguments)
        return None if found == ZERO_ADDRESS else found

    async def _range(
        self, count: str, items: str, lower: int, upper: int | None, *, from_zero: str | None = None
    ) -> list[Any]:
        """The places `[lower, upper)` of a list that the contract reads by both bounds inclusive.

        `from_zero` names the getter of one place, for lists that can be read from place 0 only.
        """
        check_range(lower, upper)

        async def reading(view: View) -> list[Any]:
            (size,) = await view.read(self._read(count))
            if size > MOST_ITEMS:
                raise self._chain.wrong_contract(self.kind, self.address)
            end = size if upper is None else min(upper, size)
            if lower >= end:
                return []
            if from_zero is None:
                pages = await view.read(
                    *(
                        self._read(items, first, min(first + ITEMS_PER_READ, end) - 1)
                        for first in range(lower, end, ITEMS_PER_READ)
                    )
                )
                return [item for page in pages for item in page]
            if end <= ITEMS_PER_READ:
                (whole,) = await view.read(self._read(items, 0, end - 1))
                return list(whole[lower:])
            return await view.read(*(self._read(from_zero, place) for place in range(lower, end)))

        return await self._chain.at_one_block(reading)

    async def _send(
        self,
        function: str,
        *arguments: Any,
        by: By,
        usual: Role | None,
        value: int = 0,
        payment: int = 0,
    ) -> Receipt:
        """A transaction to the contract; `usual` is the role that signs when the call names none."""
        check_key(by.idempotency_key)
        signer = self._keys.signer(by.private_key, by.role, usual)
        await self._chain.check_there(self.kind, self.address)
        data = interface(self.kind).functions[function].encode(*arguments)
        call = Call(f"{self.kind}.{function}", self.address, data, value, payment)
        return await self._chain.send(call, signer, SendOptions(key=by.idempotency_key))


def present(addresses: list[str]) -> list[str]:
    """Addresses without the holes that a removal leaves."""
    return [address for address in addresses if address != ZERO_ADDRESS]


def place_of(log: dict[str, Any]) -> LogPlace:
    """Where the chain has a log."""
    try:
        return LogPlace(
            checksum(log["address"]),
            quantity(log["blockNumber"]),
            hash_of(log["blockHash"]),
            hash_of(log["transactionHash"]),
            quantity(log["logIndex"]),
        )
    except (KeyError, TypeError) as error:
        raise RPCInvalidResponse("The node answered eth_getLogs with a log that lacks its place.") from error
