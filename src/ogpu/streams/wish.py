"""What a watcher wants to see. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ogpu.errors import InvalidInput
from ogpu.events import ProtocolEvent, ResponseSubmitted, TaskPublished, VaultMovement
from ogpu.rpc.codec import checked_address
from ogpu.streams.decoding import all_kinds, expanded
from ogpu.text import shown


class Item(NamedTuple):
    """A task or response of which something has to be known."""

    contract: str
    address: str


@dataclass
class Kin:
    """What never changes of items: the source of a task, the task and the provider of a response."""

    sources: dict[str, str] = field(default_factory=dict)  # by task
    tasks: dict[str, str] = field(default_factory=dict)  # by response
    providers: dict[str, str] = field(default_factory=dict)  # by response

    def learn(self, events: Iterable[ProtocolEvent]) -> None:
        """Remember what events tell."""
        for event in events:
            if isinstance(event, TaskPublished):
                self.sources[event.task] = event.source
            elif isinstance(event, ResponseSubmitted):
                self.tasks[event.response] = event.task


@dataclass(frozen=True)
class Wish:
    """The kinds of events that are wanted, and of which sources, tasks and providers; None is any."""

    kinds: frozenset[type[ProtocolEvent]]
    sources: frozenset[str] | None = None
    tasks: frozenset[str] | None = None
    providers: frozenset[str] | None = None

    @property
    def by_item(self) -> bool:
        """Whether an event may not tell by itself if it is wanted."""
        return not (self.sources is None and self.tasks is None and self.providers is None)

    def verdict(self, event: ProtocolEvent, kin: Kin) -> bool | list[Item]:
        """Whether an event is wanted, or the items that have to be known for that."""
        if type(event) not in self.kinds:
            return False
        unknown: list[Item] = []
        for wanted, found in (
            (self.tasks, _task),
            (self.providers, _provider),
            (self.sources, _source),
        ):
            if wanted is None:
                continue
            value = found(event, kin)
            if isinstance(value, Item):
                unknown.append(value)
            elif value not in wanted:
                return False
        return unknown or True


def _task(event: ProtocolEvent, kin: Kin) -> str | Item | None:
    """The task that an event is about, or the response that has to be known for that."""
    if (task := getattr(event, "task", None)) is not None:
        return str(task)
    if (response := getattr(event, "response", None)) is None:
        return None
    return kin.tasks.get(response) or Item("Response", response)


def _provider(event: ProtocolEvent, kin: Kin) -> str | Item | None:
    """The provider that an event is about; a movement in the Vault is about whose it is."""
    if isinstance(event, VaultMovement):
        return event.account
    if (provider := getattr(event, "provider", None)) is not None:
        return str(provider)
    if (response := getattr(event, "response", None)) is None:
        return None
    return kin.providers.get(response) or Item("Response", response)


def _source(event: ProtocolEvent, kin: Kin) -> str | Item | None:
    """The source that an event is about."""
    if (source := getattr(event, "source", None)) is not None:
        return str(source)
    task = _task(event, kin)
    return task if task is None or isinstance(task, Item) else kin.sources.get(task) or Item("Task", task)


def wish_of(kinds: Any, source: Any, task: Any, provider: Any) -> Wish:
    """What a caller asks for; `InvalidInput` for what is no kind of event or no address."""
    return Wish(
        _kinds(kinds),
        _addresses(source, "source"),
        _addresses(task, "task"),
        _addresses(provider, "provider"),
    )


def check_span(first: Any, last: Any) -> None:
    """The first and the last block, each a whole number or None."""
    for name, value in (("from_block", first), ("to_block", last)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise InvalidInput(
                f"{name} is {shown(value)}; it must be the number of a block.",
                hint="from_block=None begins with what happens from now on.",
                facts={"field": name},
            )
    if last is not None and first is not None and last < first:
        raise InvalidInput(f"to_block={last} is before from_block={first}.", facts={"field": "to_block"})


def _kinds(kinds: Any) -> frozenset[type[ProtocolEvent]]:
    if kinds is None:
        return all_kinds()
    several = [kinds] if isinstance(kinds, type) else kinds
    if isinstance(several, str | bytes) or not isinstance(several, Collection):
        raise InvalidInput(f"kinds is {shown(kinds)}; it must be classes of ogpu.events.", hint=_EXAMPLE)
    for kind in several:
        if not isinstance(kind, type) or not issubclass(kind, ProtocolEvent) or not expanded([kind]):
            raise InvalidInput(f"{_name(kind)} is no kind of event.", hint=_EXAMPLE, facts={"field": "kinds"})
    return expanded(several)


_EXAMPLE = "Name classes of ogpu.events: events(TaskPublished), or events((TaskPublished, Attempted))."


def _name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else shown(kind)


def _addresses(given: Any, what: str) -> frozenset[str] | None:
    if given is None:
        return None
    if isinstance(given, str):
        return frozenset({checked_address(given, what)})
    if isinstance(given, bytes | Mapping) or not isinstance(given, Iterable):
        raise InvalidInput(
            f"{what} is {shown(given)}; it must be an address or several.", facts={"field": what}
        )
    return frozenset(checked_address(each, what) for each in given)
