"""Nodes and gateways with limits, in the words and the shapes of real ones. Pure.

Where each text is from is said in tests/unit/test_rpc_limits.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tests.support.faults import Answer, Call, refusal

Refusal = Callable[[Sequence[Call], int], tuple[int, Any]]  # HTTP status and document, of a limit

PAGE_413 = b"<html><head><title>413 Request Entity Too Large</title></head></html>"


def _whole(code: int, message: str, data: str | None = None) -> tuple[int, Any]:
    error = {"code": code, "message": message} | ({"data": data} if data else {})
    return 200, {"jsonrpc": "2.0", "id": None, "error": error}


def geth(calls: Sequence[Call], limit: int) -> tuple[int, Any]:
    return 200, [refusal(calls[0], "batch too large", -32600)]


def erigon(calls: Sequence[Call], limit: int) -> tuple[int, Any]:
    return _whole(-32000, f"batch limit {limit} exceeded: {len(calls)} requests given")


def nethermind(calls: Sequence[Call], limit: int) -> tuple[int, Any]:
    return _whole(-32005, "Batch size limit exceeded")


def besu(calls: Sequence[Call], limit: int) -> tuple[int, Any]:
    return _whole(-32005, "Number of requests exceeds max batch size")


def reth(calls: Sequence[Call], limit: int) -> tuple[int, Any]:
    return _whole(-32010, "The batch request was too large", f"Exceeded max limit of {limit}")


def proxyd(calls: Sequence[Call], limit: int) -> tuple[int, Any]:
    return _whole(-32014, "too many RPC calls in batch request")


def drpc(calls: Sequence[Call], limit: int) -> tuple[int, Any]:
    text = f"Batch of more than {limit} requests are not allowed on free plan"
    return 500, [refusal(call, text, 31) for call in calls]


def nginx(calls: Sequence[Call], limit: int) -> tuple[int, Any]:
    return 413, PAGE_413


def no_batches(calls: Sequence[Call], limit: int) -> tuple[int, Any]:
    return _whole(-32005, "Batched requests are not supported by this server")


def silent(calls: Sequence[Call], limit: int) -> tuple[int, Any]:
    """Of a server that has never heard of batches."""
    return _whole(-32600, "Invalid Request")


def unhealthy(calls: Sequence[Call], limit: int) -> tuple[int, Any]:
    """proxyd's, of a service in trouble."""
    return 503, _whole(-32011, "no backend is currently healthy to serve traffic")[1]


@dataclass
class Gateway:
    """What a node or a gateway does to batches besides serving them.

    `limit` is how many requests it takes in one, `answer_limit` how many bytes (geth's way: what comes after
    the answer that is over it is refused), `quota` how many requests of one batch it serves before it says
    that there were too many in this second. Of each `lost` answers it forgets one, of each `doubled` it
    gives one twice, the second time that of another request; it may shuffle them. `log_range` is how many
    blocks it looks through for logs, batch or not.
    """

    limit: int | None = None
    refuse: Refusal = geth
    answer_limit: int | None = None
    quota: int | None = None
    lost: int | None = None
    doubled: int | None = None
    shuffles: bool = False
    log_range: int | None = None

    def refused(self, calls: Sequence[Call]) -> tuple[int, Any] | None:
        """The answer to what is over a limit."""
        if self.log_range is not None and any(_blocks(call) > self.log_range for call in calls):
            return 200, refusal(calls[0], f"exceed maximum block range: {self.log_range}", -32000)
        over = self.limit is not None and len(calls) > self.limit and len(calls) > 1
        return self.refuse(calls, self.limit or 0) if over else None

    def bent(self, calls: Sequence[Call], answers: list[Answer]) -> list[Answer]:
        """The answers to a batch as they leave it."""
        if self.answer_limit is not None:
            answers = self._cut(calls, answers, self.answer_limit)
        if self.quota is not None:
            answers = answers[: self.quota] + [
                refusal(call, "rate limit exceeded", -32005) for call in calls[self.quota :]
            ]
        if self.doubled is not None:
            twice = answers[:: self.doubled]
            answers += [{**answers[-1], "id": answer["id"]} for answer in twice]
        if self.lost is not None:
            answers = [answer for position, answer in enumerate(answers) if position % self.lost]
        if self.shuffles:
            random.Random(len(answers)).shuffle(answers)
        return answers

    @staticmethod
    def _cut(calls: Sequence[Call], answers: Sequence[Answer], limit: int) -> list[Answer]:
        given: list[Answer] = []
        size = 0
        for call, answer in zip(calls, answers, strict=True):
            given.append(answer if size <= limit else refusal(call, "response too large", -32003))
            size += len(orjson.dumps(answer))
        return given


def _blocks(call: Call) -> int:
    """How many blocks a call is to look through for logs."""
    if call["method"] != "eth_getLogs":
        return 0
    query = call["params"][0]
    return int(query["toBlock"], 16) - int(query["fromBlock"], 16) + 1
