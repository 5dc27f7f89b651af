"""Programs that publish and are killed on the way, and what each is to do: drawn from a seed, by name."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from ogpu import AsyncClient, Client
from ogpu.errors import IntentUnknown, OGPUError
from ogpu.networks import Network
from ogpu.tx.boundaries import Boundary
from ogpu.tx.journal import Journal
from ogpu.types import TaskInfo, TaskInput
from tests.support.crash import Talk, die
from tests.support.market import PRICE
from tests.support.proxy import Fault

LOOK = 0.01  # seconds between two looks into the journal
LOST = (Fault.DROP_BEFORE, Fault.DROP_AFTER, Fault.BAD_GATEWAY_AFTER, Fault.TRUNCATED, Fault.ALREADY_KNOWN)


class Style(StrEnum):
    """How a program publishes its tasks."""

    IN_TURN = "in turn"
    TOGETHER = "publish_tasks"
    BESIDE = "side by side"
    THREADS = "threads"


class Story(StrEnum):
    """What happens to the transactions of a program."""

    PLAIN = "plain"  # at most a reply is lost
    UNDERPRICED = "underpriced"  # the node wants more at first
    REFUSED = "refused"  # the node refuses one, and nothing follows it
    FOLLOWED = "followed"  # the node refuses the first one, and others follow it
    BUMPED = "bumped"  # nothing is mined, and the program offers more for one
    CANCELED = "canceled"  # nothing is mined, and the program cancels one


BY_HAND = (Story.BUMPED, Story.CANCELED)  # on a network that mines when it is told
FAULTS = {
    Story.UNDERPRICED: Fault.UNDERPRICED,
    Story.REFUSED: Fault.REFUSED,
    Story.FOLLOWED: Fault.REFUSED,
}
AT_ONCE = (Style.TOGETHER, Style.BESIDE)
STYLES: dict[Story, tuple[Style, ...]] = {
    Story.PLAIN: tuple(Style),
    Story.UNDERPRICED: (Style.IN_TURN,),
    Story.REFUSED: (Style.IN_TURN,),
    Story.FOLLOWED: AT_ONCE,
    Story.BUMPED: AT_ONCE,
    Story.CANCELED: AT_ONCE,
}


@dataclass(frozen=True)
class Plan:
    """One run, from its seed: what the program does, and at which boundary it is killed."""

    boundary: Boundary
    nth: int  # of the times that it comes there
    story: Story
    style: Style
    tasks: int
    chosen: int = 0  # the task that something happens to
    fault: Fault | None = None  # at a send
    times: int = 1  # how often the fault comes
    mined: bool = False  # meanwhile, before the next process
    recovering: bool = False  # the next process asks for that first

    @property
    def cancels(self) -> bool:
        """Whether the chosen task may end as canceled."""
        return self.story in (Story.CANCELED, Story.FOLLOWED)


@dataclass(frozen=True)
class Program:
    """What a process is to do. It is killed where `end` says, at its n-th time there."""

    network: Network
    private_key: str
    source: str
    journal: str
    keys: tuple[str, ...]
    style: Style = Style.IN_TURN
    story: Story = Story.PLAIN
    chosen: int = 0
    named: bool = True  # the calls have idempotency keys
    same: bool = False  # all tasks are the same one
    recovering: bool = False
    end: Boundary | None = None
    nth: int = 1
    telling: bool = False  # of each send

    def task(self, key: str) -> TaskInfo:
        """The task of a key. Its expiry is another one in each process, as in real programs."""
        data = {"key": "same" if self.same else key}
        return TaskInfo(self.source, TaskInput("echo", data), int(time.time()) + 3600, PRICE)

    def until(self, end: Boundary, nth: int = 1) -> Program:
        """The same program, which is killed at that boundary."""
        return replace(self, end=end, nth=nth)


def drawn(boundary: Boundary, seed: str, stories: Sequence[Story] = tuple(Story)) -> Plan:
    """The plan of a seed; its program surely comes to that boundary."""
    dice = random.Random(f"{boundary.value} {seed}")
    most = 0
    while not most:
        story = dice.choice(stories)
        style = dice.choice(STYLES[story])
        tasks = dice.randint(2 if story is Story.FOLLOWED else 1, 4)
        times = dice.randint(1, 2) if story is Story.UNDERPRICED else 1
        most = visits(boundary, story, style, tasks, times)
    lost = dice.choice(LOST) if dice.random() < 0.4 else None
    return Plan(
        boundary=boundary,
        nth=dice.randint(1, most),
        story=story,
        style=style,
        tasks=tasks,
        chosen=0 if story is Story.FOLLOWED else dice.randrange(tasks),
        fault=FAULTS.get(story, lost if story is Story.PLAIN else None),
        times=times,
        mined=story in BY_HAND and dice.random() < 0.5,
        recovering=story not in BY_HAND and dice.random() < 0.3,
    )


def drawn_before(second: Boundary, seed: str) -> tuple[Plan, Story]:
    """A plan, and a story in which the next process surely comes to `second`, whatever the first one left."""
    dice = random.Random(f"before {second.value} {seed}")
    firsts, stories, then = list(Boundary), [s for s in Story if s not in BY_HAND], Story.PLAIN
    match second:
        case Boundary.BUMP_SIGNED | Boundary.BUMP_STORED:
            then = dice.choice((Story.BUMPED, Story.UNDERPRICED))
        case Boundary.CANCEL_STORED:
            then = Story.CANCELED
        case Boundary.GIVEN_BACK:  # only what was never stored is sent for the first time
            firsts, stories, then = [Boundary.LEASED, Boundary.SIGNED], [Story.PLAIN], Story.REFUSED
    if then in BY_HAND:
        stories = [then]
    firsts = [b for b in firsts if any(visits(b, story, STYLES[story][0], 2, 1) for story in stories)]
    plan = replace(drawn(dice.choice(firsts), seed, stories), mined=False)
    return (replace(plan, nth=1, style=Style.IN_TURN) if then is Story.REFUSED else plan), then


def visits(boundary: Boundary, story: Story, style: Style, tasks: int, times: int) -> int:
    """How often a program surely comes to a boundary."""
    # Concurrent calls may be signed, stored, sent and mined as one.
    groups = 2 if story is Story.FOLLOWED else tasks if style is Style.IN_TURN else 1
    given_back = 1 if story is Story.REFUSED else 0
    mended = 0 if story in (Story.PLAIN, Story.REFUSED) else times
    mined = 0 if story in BY_HAND else 1 if story is Story.FOLLOWED else groups - given_back
    canceling = story in (Story.CANCELED, Story.FOLLOWED)
    leases = groups + mended + given_back
    writes = 2 * leases + mined
    return {
        Boundary.LEASED: leases,
        Boundary.SIGNED: groups,
        Boundary.JOURNAL_BEGUN: writes,
        Boundary.JOURNAL_WRITTEN: writes,
        Boundary.JOURNAL_COMMITTED: writes,
        Boundary.STORED: groups,
        Boundary.SENDING: groups + mended,
        Boundary.SENT: groups + mended,
        Boundary.UPLOADED: tasks,
        Boundary.RECEIPT_SEEN: mined,
        Boundary.OUTCOME_STORED: mined,
        Boundary.BUMP_SIGNED: mended,
        Boundary.BUMP_STORED: 0 if canceling else mended,
        Boundary.CANCEL_STORED: mended if canceling else 0,
        Boundary.GIVEN_BACK: given_back,
    }[boundary]


# --- in the child


def runs(talk: Talk, program: Program) -> dict[str, str]:
    """Run a program; by key the address of its task, or the name of the error."""
    times = itertools.count(1)

    def at(boundary: Boundary) -> None:
        if program.telling and boundary is Boundary.SENT:
            talk.say("sent")
        if boundary is program.end and next(times) == program.nth:
            die()

    journal = Journal(program.journal, at=at)
    if program.style is Style.THREADS:
        return _in_threads(program, journal)
    return asyncio.run(_on_a_loop(program, journal))


async def _on_a_loop(program: Program, journal: Journal) -> dict[str, str]:
    async with AsyncClient(program.network, private_key=program.private_key, journal=journal) as client:
        if program.recovering:
            await client.recover()
        if program.story is Story.FOLLOWED:
            first = asyncio.create_task(_published(client, program, program.keys[:1]))
            await _stored(client, program.keys[0])
            return await _published(client, program, program.keys[1:]) | await first
        work = asyncio.create_task(_published(client, program, program.keys))
        if program.story in BY_HAND:
            key = program.keys[program.chosen]
            await _stored(client, key)
            await (client.bump(key) if program.story is Story.BUMPED else client.cancel(key))
        return await work


async def _published(client: AsyncClient, program: Program, keys: Sequence[str]) -> dict[str, str]:
    infos, named = [program.task(key) for key in keys], [key if program.named else None for key in keys]
    if program.style is Style.TOGETHER:
        results = await client.publish_tasks(infos, idempotency_keys=named, return_exceptions=True)
        return {
            key: result if isinstance(result, str) else _name(result)
            for key, result in zip(keys, results, strict=True)
        }
    calls = [client.publish_task(info, idempotency_key=key) for info, key in zip(infos, named, strict=True)]
    if program.style is Style.IN_TURN:
        return {key: await _told(call) for key, call in zip(keys, calls, strict=True)}
    told = await asyncio.gather(*map(_told, calls))
    return dict(zip(keys, told, strict=True))


async def _told(call: Coroutine[Any, Any, str]) -> str:
    try:
        return await call
    except OGPUError as error:
        return _name(error)


async def _stored(client: AsyncClient, key: str) -> None:
    """Wait until a key is in the journal."""
    while True:
        try:
            await client.intent(key)
        except IntentUnknown:
            await asyncio.sleep(LOOK)
        else:
            return


def _in_threads(program: Program, journal: Journal) -> dict[str, str]:
    def publish(key: str) -> str:
        try:
            return client.publish_task(program.task(key), idempotency_key=key)
        except OGPUError as error:
            return _name(error)

    with (
        Client(program.network, private_key=program.private_key, journal=journal) as client,
        ThreadPoolExecutor(len(program.keys)) as pool,
    ):
        if program.recovering:
            client.recover()
        return dict(zip(program.keys, pool.map(publish, program.keys), strict=True))


def _name(error: BaseException) -> str:
    return type(error).__name__
