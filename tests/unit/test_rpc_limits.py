"""What nodes say of their limits, in their own words, and what is made of it: the sizes of batches."""

from __future__ import annotations

from typing import Any

import pytest

from ogpu.rpc.limits import Limit, Told, batch_refusal, told
from ogpu.rpc.sizes import FIRST_SIZE, Sizes

GETH = "go-ethereum rpc/errors.go"
ERIGON = "erigon rpc/handler.go"
NETHERMIND = "Nethermind.JsonRpc/JsonRpcProcessor.cs"
BESU = "besu RpcErrorType.java"
JSONRPSEE = "jsonrpsee types/src/error.rs (reth)"
RSKJ = "rskj JsonRpcResponseLimitException.java, JsonRpcMethodFilter.java"
PROXYD = "optimism proxyd/rpc.go, /backend.go"
HOSTED = "a hosted service"

TEXTS: list[tuple[str, int, str, str | None, Told | None]] = [
    (GETH, -32600, "batch too large", None, Told(Limit.BATCH)),
    (GETH, -32003, "response too large", None, Told(Limit.ANSWER)),
    (GETH, -32002, "request timed out", None, Told(Limit.TIME)),
    (GETH, -32602, "invalid argument 0: hex string has length 38", None, None),
    (ERIGON, -32000, "batch limit 100 exceeded: 142 requests given", None, Told(Limit.BATCH, 100)),
    (
        ERIGON,
        -32600,
        "batch limit 100 exceeded (can increase by --rpc.batch.limit). Requested batch of size: 142",
        None,
        Told(Limit.BATCH, 100),
    ),
    (NETHERMIND, -32005, "Batch size limit exceeded", None, Told(Limit.BATCH)),
    (NETHERMIND, -32005, "MaxBatchResponseBodySize of 32768KB exceeded", None, Told(Limit.ANSWER, 32 << 20)),
    (NETHERMIND, -32005, "Too many requests", None, Told(Limit.RATE)),
    (BESU, -32005, "Number of requests exceeds max batch size", None, Told(Limit.BATCH)),
    (BESU, -32005, "Requested range exceeds maximum RPC range limit", None, None),
    (BESU, -32005, "Filter address count exceeds limit", None, None),
    (BESU, -32005, "Transaction gas limit exceeds block gas limit", None, None),
    (
        JSONRPSEE,
        -32010,
        "The batch request was too large",
        "Exceeded max limit of 20",
        Told(Limit.BATCH, 20),
    ),
    (
        JSONRPSEE,
        -32011,
        "The batch response was too large",
        "Exceeded max limit of 1000",
        Told(Limit.ANSWER, 1000),
    ),
    (JSONRPSEE, -32008, "Response is too big", "Exceeded max limit of 1000", Told(Limit.ANSWER, 1000)),
    (JSONRPSEE, -32005, "Batched requests are not supported by this server", None, Told(Limit.BATCH, 1)),
    (JSONRPSEE, -32009, "Server is busy, try again later", None, Told(Limit.RATE)),
    (
        RSKJ,
        -32011,
        "Response size limit exceeded. Max response size 1000 bytes",
        None,
        Told(Limit.ANSWER, 1000),
    ),
    (
        RSKJ,
        -32600,
        "Cannot dispatch batch requests. 5 is the max number of supported batch requests",
        None,
        Told(Limit.BATCH, 5),
    ),
    (PROXYD, -32014, "too many RPC calls in batch request", None, Told(Limit.BATCH)),
    (PROXYD, -32020, "backend response too large", None, Told(Limit.ANSWER)),
    (PROXYD, -32016, "over rate limit", None, Told(Limit.RATE)),
    (PROXYD, -32011, "no backends available for method", None, None),
    (HOSTED, 31, "Batch of more than 3 requests are not allowed on free plan", None, Told(Limit.BATCH, 3)),
    (HOSTED, -32005, "limit exceeded", None, Told(Limit.RATE)),
    (HOSTED, 429, "Your app has exceeded its compute units per second capacity.", None, Told(Limit.RATE)),
    (HOSTED, -32007, "50/second request limit reached", None, Told(Limit.RATE)),
    (HOSTED, -32005, "query returned more than 10000 results", None, Told(Limit.ANSWER)),
    ("reth", -32602, "query exceeds max results 20000, retry with the range 1-2", None, Told(Limit.ANSWER)),
    (HOSTED, -32600, "batches are not served", None, Told(Limit.BATCH, 1)),
    (HOSTED, 3, "execution reverted: batch too large", None, None),
    (HOSTED, -32000, "execution reverted: rate limit", None, None),
    (HOSTED, -32000, "response too large", "0x08c379a0", None),
]


@pytest.mark.parametrize(("source", "code", "message", "data", "meant"), TEXTS)
def test_the_words_of_real_nodes(
    source: str, code: int, message: str, data: str | None, meant: Told | None
) -> None:
    error = {"code": code, "message": message} | ({"data": data} if data else {})
    assert told(error) == meant, source


@pytest.mark.parametrize(
    "odd", [None, "batch", 5, [], {}, {"message": None}, {"code": "a", "message": ["a"]}]
)
def test_an_error_of_another_shape_tells_of_no_limit(odd: Any) -> None:
    assert told(odd) is None


def item(number: Any, message: str = "", code: int = -32600) -> dict[str, Any]:
    return {"id": number, **({"error": {"code": code, "message": message}} if message else {"result": "0x1"})}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (item(None, "batch too large"), Told(Limit.BATCH)),
        (item(None, "what?"), Told(Limit.BATCH, clear=False)),
        ([item(7, "batch too large")], Told(Limit.BATCH)),  # geth's: the id of the first request
        ([item(None, "batch too large")], Told(Limit.BATCH)),
        ([item(n, "Batch of more than 2 requests") for n in (7, 8, 9)], Told(Limit.BATCH, 2)),
        ([item(None, "response too large")], Told(Limit.ANSWER)),
        ([item(7), item(8, "batch too large"), item(9)], None),
        ([item(7), item(8), item(9)], None),
        ([item(7, "execution reverted: batch too large", 3)], None),
        ([], None),
        (None, None),
        ("batch too large", None),
        (item(None), None),
    ],
)
def test_why_a_batch_of_three_was_not_served(answer: Any, why: Told | None) -> None:
    assert batch_refusal(answer, 3) == why


def test_a_limit_that_is_named_is_kept_to() -> None:
    sizes = Sizes()
    sizes.refused(FIRST_SIZE, 100)
    sizes.served(100, 0.01)
    assert (sizes.now, sizes.most, sizes.known) == (100, 100, True)


@pytest.mark.parametrize("limit", [None, 0, FIRST_SIZE, 10_000])
def test_without_a_limit_that_can_be_true_the_half_is_tried(limit: int | None) -> None:
    sizes = Sizes()
    sizes.refused(FIRST_SIZE, limit)
    assert (sizes.now, sizes.most) == (FIRST_SIZE // 2, FIRST_SIZE // 2)


def test_what_is_refused_again_and_again_ends_at_single_requests() -> None:
    sizes = Sizes()
    for _ in range(FIRST_SIZE.bit_length()):
        sizes.refused(sizes.now)
    sizes.served(1, 0.01)
    assert (sizes.now, sizes.most) == (1, 1)


def test_a_passing_trouble_does_not_make_batches_small_for_good() -> None:
    sizes = Sizes()
    sizes.served(FIRST_SIZE, 0.01)
    for _ in range(FIRST_SIZE.bit_length()):
        sizes.refused(sizes.now, clearly=False)
    assert (sizes.now, sizes.most) == (1, FIRST_SIZE)
    for _ in range(FIRST_SIZE.bit_length()):
        sizes.served(sizes.now, 0.01)
    assert sizes.now == FIRST_SIZE


def test_words_that_nobody_knows_are_believed_when_they_are_repeated() -> None:
    sizes = Sizes()
    for _ in range(FIRST_SIZE.bit_length()):
        sizes.refused(sizes.now, clearly=False)
    assert sizes.most == 1


def test_after_answers_that_were_too_large_batches_grow_only_with_small_ones() -> None:
    sizes = Sizes()
    sizes.too_large(60)
    sizes.served(60, 0.9)
    assert sizes.now == 60
    sizes.served(60, 0.1)
    sizes.served(10, 0.1)  # no sign that more would do
    assert (sizes.now, sizes.most) == (120, FIRST_SIZE)
