"""Why a task is not picked up: all that decides it, read at one block, and the reasons in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ogpu.protocol.chain import Chain, Read, View
from ogpu.protocol.checks import coins
from ogpu.protocol.contract import BLOCKS_PER_QUERY, ITEMS_PER_READ, present
from ogpu.protocol.snapshots import responses_in, sources_in, tasks_in
from ogpu.rpc.codec import decode_logs
from ogpu.types import (
    DeliveryMethod,
    Environment,
    Response,
    SourceSnapshot,
    SourceStatus,
    TaskSnapshot,
    TaskStatus,
)

MOST_SHOWN = ITEMS_PER_READ  # registrants, and attempts, that are looked at
LOG_QUERIES = 20  # for bids, backwards from the head
SOON = 60  # seconds before the expiry that are worth a word
LISTED = 10  # registrants and bids that the text names


@dataclass(frozen=True)
class Registrant:
    """A provider that is registered to a task's source. Lockups in wei.

    `eligible` is the Vault's word; attempting needs it, and a pairing with a master. `lockup_needed` is what
    registering to the source needs now.
    """

    provider: str
    environment: Environment
    paired: bool
    eligible: bool
    lockup: int
    lockup_needed: int
    attempted: bool

    @property
    def able(self) -> bool:
        """Whether the contract would let it attempt a task of the source."""
        return self.paired and self.eligible


@dataclass(frozen=True)
class Bid:
    """An attempt: `price` (wei) is what was suggested, None when that is too far back to be looked for."""

    provider: str
    price: int | None
    time: int
    response: Response | None


@dataclass(frozen=True)
class Explanation:
    """Why a task is where it is, at one block; `time` and the task's expiry in Unix seconds, amounts in wei.

    `str()` of it is for people. `registrants` and `bids` hold at most 500 each, the oldest.
    """

    task: TaskSnapshot
    source: SourceSnapshot
    block: int
    time: int
    registrants: tuple[Registrant, ...]
    bids: tuple[Bid, ...]

    @property
    def expires_in(self) -> int:
        """Seconds that are left; negative when its time is over."""
        return self.task.expiry_time - self.time

    @property
    def reasons(self) -> tuple[str, ...]:
        """What stands in the way, or what it waits for, the most important first."""
        return tuple(_reasons(self))

    def __str__(self) -> str:
        return "\n".join(_lines(self))


async def explain(chain: Chain, task: str) -> Explanation:
    """Read what decides whether a task is picked up, in a few batches at one block."""

    async def reading(view: View) -> Explanation:
        (found,) = await tasks_in(view, [task])
        (source,) = await sources_in(view, [found.source])
        attempts = min(found.attempt_count, MOST_SHOWN)
        responses = await responses_in(view, task, attempts)
        providers = await _providers(view, source)
        return Explanation(
            task=found,
            source=source,
            block=view.block.number,
            time=await chain.time_after(view.block),
            registrants=await _registrants(view, found, source, providers),
            bids=await _bids(view, task, attempts, {each.provider: each for each in responses}),
        )

    return await chain.at_one_block(reading)


async def nobody_else_could(chain: Chain, task: TaskSnapshot, providers: set[str]) -> bool:
    """Whether all who are registered to a task's source and may attempt it are among these."""

    async def reading(view: View) -> bool:
        (source,) = await sources_in(view, [task.source])
        if source.registrant_count > MOST_SHOWN:
            return False
        registrants = await _registrants(view, task, source, await _providers(view, source))
        return all(each.provider in providers for each in registrants if each.able)

    return await chain.at_one_block(reading)


async def _providers(view: View, source: SourceSnapshot) -> list[str]:
    """Who is registered, the oldest first; the deployed getter reads from place 0 only."""
    count = min(source.registrant_count, MOST_SHOWN)
    if not count:
        return []
    (places,) = await view.read(Read("Source", source.address, "getRegistrants", (0, count - 1)))
    return present(places)


async def _registrants(
    view: View, task: TaskSnapshot, source: SourceSnapshot, providers: list[str]
) -> tuple[Registrant, ...]:
    core = view.chain.core
    (least,), *each_one = await view.read_each(
        [
            [core("Vault", "MIN_LOCKUP_PER_SOURCE")],
            *(
                [
                    Read("Source", source.address, "preferredEnvironmentOf", (provider,)),
                    core("Terminal", "isProvider", provider),
                    core("Vault", "isEligible", provider),
                    core("Vault", "getLockupOf", provider),
                    Read("Task", task.address, "getAttempterId", (provider,)),
                ]
                for provider in providers
            ),
        ]
    )
    needed = max(least, source.min_available_lockup)
    return tuple(
        Registrant(provider, Environment(environment & 7), paired, eligible, lockup, needed, bool(attempt))
        for provider, (environment, paired, eligible, lockup, attempt) in zip(
            providers, each_one, strict=True
        )
    )


async def _bids(view: View, task: str, attempts: int, answers: dict[str, Response]) -> tuple[Bid, ...]:
    if not attempts:
        return ()
    providers, times = await view.read(
        Read("Task", task, "getAttempters", (0, attempts - 1)),
        Read("Task", task, "getAttemptTimestamps", (0, attempts - 1)),
    )
    prices = await _prices(view, task, set(providers))
    return tuple(
        Bid(provider, prices.get(provider), when, answers.get(provider))
        for provider, when in zip(providers, times, strict=True)
    )


async def _prices(view: View, task: str, providers: set[str]) -> dict[str, int]:
    """The prices that providers have suggested, from the events of the last blocks."""
    nexus, found = view.chain.network.contract("NEXUS"), dict[str, int]()
    last = view.block.number
    for _ in range(LOG_QUERIES):
        first = max(0, last - BLOCKS_PER_QUERY + 1)
        logs = await view.chain.logs("Nexus", ["Attempted"], first, last)
        for _, event in decode_logs("Nexus", logs, nexus):
            if event["task"] == task and event["provider"] in providers:
                found[event["provider"]] = event["suggestedPayment"]
        if len(found) == len(providers) or first == 0:
            break
        last = first - 1
    return found


def _reasons(seen: Explanation) -> Iterator[str]:
    task, answered = seen.task, [bid.response for bid in seen.bids if bid.response is not None]
    if task.status is TaskStatus.CANCELED:
        yield "its client canceled it"
    elif task.status is TaskStatus.FINALIZED:
        yield f"it is done: the response of {task.winning_provider} was confirmed"
    elif task.status is TaskStatus.EXPIRED:
        yield "it expired, and its payment went back to its client"
    elif seen.expires_in <= 0:
        yield (
            f"it expired {-seen.expires_in} s ago; its client may take the payment back "
            "(vault.force_release_payment)"
        )
    else:
        yield from _open(seen, len(answered))


def _open(seen: Explanation, answered: int) -> Iterator[str]:
    """Why a task that can still be answered is not done."""
    task, source = seen.task, seen.source
    if answered and task.delivery_method is DeliveryMethod.MANUAL_CONFIRMATION:
        yield f"it has {_count(answered, 'response')}, and waits for its client to confirm one"
    elif seen.bids:
        yield f"{_count(len(seen.bids), 'provider')} attempted it: at work on it, or failed"
    else:
        yield from _unattempted(seen)
    if source.status is SourceStatus.INACTIVE:
        yield "the source is inactive: providers may have left it"
    if task.payment < source.min_payment:
        yield f"it pays {coins(task.payment)}, and the source asks {coins(source.min_payment)} by now"
    if seen.expires_in <= SOON:
        yield f"it expires in {seen.expires_in} s"


def _unattempted(seen: Explanation) -> Iterator[str]:
    able = [each for each in seen.registrants if each.able]
    if not seen.registrants:
        yield "no provider is registered to the source"
    elif able:
        yield (
            f"{_count(len(able), 'provider')} could take it: busy, away, without a function of that name, or "
            "asking more than it pays"
        )
    else:
        yield "no provider that is registered to the source may take it"
    for each in seen.registrants[:LISTED]:
        if not each.paired:
            yield f"provider {each.provider} is not paired with a master"
        if not each.eligible:
            yield f"provider {each.provider} is not eligible: its lockup is {coins(each.lockup)}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _lines(seen: Explanation) -> Iterator[str]:
    task, source = seen.task, seen.source
    left = f"{seen.expires_in} s left" if seen.expires_in > 0 else f"over for {-seen.expires_in} s"
    yield f"Task {task.address} is {task.status.name}, at block {seen.block}: {left}."
    for reason in seen.reasons:
        yield f"- {reason}"
    yield (
        f"Source {source.address} is {source.status.name}, offers {_names(source.environments)}, and asks at "
        f"least {coins(source.min_payment)}; the task pays {coins(task.payment)}."
    )
    for each in seen.registrants[:LISTED]:
        can = "can attempt" if each.able else "cannot attempt"
        yield (
            f"Provider {each.provider} ({_names(each.environment)}) {can}: "
            f"{'' if each.paired else 'not '}paired, {'' if each.eligible else 'not '}eligible, "
            f"lockup {coins(each.lockup)}; registering needs {coins(each.lockup_needed)}."
        )
    for bid in seen.bids[:LISTED]:
        price = "a price that is not known" if bid.price is None else coins(bid.price)
        asks = f"answered, and asks {coins(bid.response.payment)}" if bid.response else "has not answered"
        yield f"Attempt of {bid.provider}: suggested {price}; {asks}."


def _names(environments: Environment) -> str:
    return ", ".join(each.name or "" for each in Environment if each & environments) or "nothing"
