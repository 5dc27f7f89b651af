"""What is read: tasks with responses, and many tasks; and what was put there, to compare with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ogpu.client import TaskInfo, TaskInput
from shared.answers import answered
from shared.network import MIN_PAYMENT, BenchNetwork, owner
from shared.network import rpc as ask

EXPIRY = 12 * 3600  # seconds from now
# As long as what providers submit: a link to their result.
TEXT = "https://example.org/ipfs/bafkreibenchmarkbenchmarkbenchmarkbenchmarkbenchmarkbenc/{}"

Row = tuple[str, str]  # of a response its provider and data, of a task its address and source


@dataclass(frozen=True)
class Case:
    """One read: of a task's responses, or of snapshots of tasks."""

    kind: str  # "responses" or "tasks"
    tasks: Sequence[str] = field(repr=False)
    rows: Sequence[Row] = field(repr=False)  # what there is, in order

    @property
    def size(self) -> int:
        """How many items there are to be found."""
        return len(self.rows)

    @property
    def name(self) -> str:
        """In words."""
        what = "response" if self.kind == "responses" else "task snapshot"
        return f"{self.size:,} {what}{'s' if self.size > 1 else ''}"

    def job(self, rounds: int, deadline: float) -> dict[str, Any]:
        """What a reader is told."""
        return {"kind": self.kind, "tasks": list(self.tasks), "rounds": rounds, "deadline": deadline}


def made(network: BenchNetwork, responses: Sequence[int], tasks: Sequence[int]) -> list[Case]:
    """Publish tasks, and give one of each size so many responses."""
    published = asyncio.run(_published(network, len(responses) + max(tasks)))
    cases = []
    for count, task in zip(responses, published, strict=False):
        contracts = network.document["contracts"]
        answers = answered(network.url, contracts, task, count, text=TEXT, payment=MIN_PAYMENT)
        cases.append(Case("responses", [task], [(answer.provider, answer.data) for answer in answers]))
    others = published[len(responses) :]
    return cases + [Case("tasks", others[:n], [(task, network.source) for task in others[:n]]) for n in tasks]


async def _published(network: BenchNetwork, count: int) -> list[str]:
    now = int(ask(network.url, "eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    infos = [
        TaskInfo(network.source, TaskInput("echo", {"position": position}), now + EXPIRY, MIN_PAYMENT)
        for position in range(count)
    ]
    async with owner(network) as client:
        return list(await client.publish_tasks(infos))
