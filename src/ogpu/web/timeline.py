"""A task's life in the order in which a person follows it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ogpu.types import TaskStatus
from ogpu.web.values import Attempt, Moment, Response, TaskLife

Kind = Literal[
    "published", "attempt", "response", "confirmed", "paid", "canceled", "expired", "returned", "waiting"
]


@dataclass(frozen=True)
class Step:
    """Something that happened, `after` seconds after the step before; what is to come has no moment."""

    kind: Kind
    moment: Moment | None
    attempt: Attempt | None = None
    response: Response | None = None
    amount: int | None = None
    account: str | None = None
    after: int | None = None


@dataclass(frozen=True)
class Phase:
    """What a task waited for, and for how many seconds; `open` while it still does."""

    name: str
    css: str
    seconds: int
    open: bool = False


def steps(life: TaskLife) -> list[Step]:
    """What happened to a task, in the chain's order, and at last what it waits for."""
    task = life.task
    found = [Step("published", task.published, amount=task.payment, account=task.client)]
    found += [Step("attempt", each.attempted, attempt=each) for each in life.attempts]
    for each in life.responses:
        found.append(Step("response", each.submitted, response=each))
        if each.confirmed is not None:
            found.append(Step("confirmed", each.confirmed, response=each))
    if task.settled is not None and task.status is TaskStatus.CANCELED:
        found.append(Step("canceled", task.settled))
    if task.settled is not None and task.status is TaskStatus.EXPIRED:
        found.append(Step("expired", task.settled))
    found += _money(life)
    found.sort(key=_place)
    if not task.status.final:
        found.append(Step("waiting", None))
    return [_after(step, found[place - 1] if place else None) for place, step in enumerate(found)]


def _place(step: Step) -> tuple[int, int, int]:
    """By block, then by what comes first in one."""
    assert step.moment is not None
    order = {"published": 0, "attempt": 1, "response": 2, "confirmed": 3}
    return step.moment.block, order.get(step.kind, 4), step.moment.index


def _money(life: TaskLife) -> list[Step]:
    payment = life.payment
    if payment is None or payment.settled is None:
        return []
    paid = Step("paid", payment.settled, amount=payment.paid, account=payment.provider)
    back = Step("returned", payment.settled, amount=payment.returned, account=payment.client)
    return [*([paid] if payment.paid else []), *([back] if payment.returned else [])]


def _after(step: Step, before: Step | None) -> Step:
    if before is None or before.moment is None or step.moment is None:
        return step
    return Step(
        step.kind, step.moment, step.attempt, step.response, step.amount, step.account,
        step.moment.at - before.moment.at,
    )  # fmt: skip


def phases(life: TaskLife, now: int) -> list[Phase]:
    """How a task's time divides, to its end or to now."""
    task = life.task
    marks = [
        ("waited for a provider", "s-new", task.published),
        ("at work", "s-attempted", task.attempted),
        ("answered, to be confirmed", "s-responded", task.responded),
    ]
    reached = [(name, css, moment.at) for name, css, moment in marks if moment is not None]
    end = task.settled.at if task.settled is not None else max(now, reached[-1][2])
    found = []
    for place, (name, css, begun) in enumerate(reached):
        last = place + 1 == len(reached)
        until = end if last else reached[place + 1][2]
        found.append(Phase(name, css, max(until - begun, 0), last and task.settled is None))
    return found


def grow(phase: Phase, phases: Sequence[Phase]) -> int:
    """How wide a phase is drawn, of 1 to 12: the longest is 12, and none is too narrow to be read."""
    longest = max(each.seconds for each in phases)
    return max(round(12 * phase.seconds / longest), 1) if longest else 1
