"""The demonstration's work: publish, wait, confirm, fetch, check. It shows nothing itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from ogpu.aio import AsyncClient
from ogpu.errors import InvalidInput, OGPUError
from ogpu.rpc.transport import quantity
from ogpu.types import DeliveryMethod, ImageEnvironments, Response, SourceInfo, TaskInfo, TaskInput

FUNCTION = "analyze_sentiment"
PRICE = 10**16  # wei a task
EXPIRY = 3600  # seconds
WAIT = 120.0  # seconds for a response
IN_FLIGHT = 16
MAX_INPUT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Outcome:
    """What became of one task; `seconds` from its publication to its verified result, `price` in wei."""

    text: str
    delivery: DeliveryMethod
    task: str | None = None
    response: str | None = None
    provider: str | None = None
    link: str | None = None
    result: Any = None
    price: int | None = None
    seconds: float | None = None
    error: str | None = None

    @property
    def verified(self) -> bool:
        """Whether a result came that is what its CID names."""
        return self.error is None

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {**self.__dict__, "delivery": self.delivery.name, "verified": self.verified}


@dataclass(frozen=True)
class Totals:
    """What the demonstration cost: payments and gas in wei."""

    spent: int
    gas: int
    seconds: float


def read_texts(path: Path | None, count: int | None, limit: int) -> list[str]:
    """The lines of a file, or the sample sentences; `count` of them, beginning anew where they end."""
    if path is None:
        text = resources.files("ogpu.demo").joinpath("sentences.txt").read_text(encoding="utf-8")
    else:
        text = _read_input(path)
    ended = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = [line.strip() for line in ended.split("\n") if line.strip()]
    if not lines:
        raise InvalidInput(f"{path} has no line with text.")
    if count is None and len(lines) > limit:
        raise InvalidInput(
            f"{path} has {len(lines)} lines, and a demonstration takes {limit} at most.",
            hint="Choose how many of them with --tasks.",
        )
    return list(islice(cycle(lines), count or len(lines)))


def _read_input(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_INPUT_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"Cannot read {path}: {error.strerror}.") from error
    if len(data) > MAX_INPUT_BYTES:
        raise InvalidInput(f"{path} has more than {MAX_INPUT_BYTES:,} bytes.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}.") from error


async def run_tasks(
    client: AsyncClient, texts: Sequence[str], done: Callable[[Outcome], None]
) -> tuple[list[Outcome], Totals]:
    """Send every text through the network, by both delivery methods in turn."""
    started = time.monotonic()
    payer = client.network.accounts["client"][0].address
    coins_before, balance_before = await _purse(client, payer)
    sources = {method: await client.publish_source(_source(method)) for method in DeliveryMethod}
    room = asyncio.Semaphore(IN_FLIGHT)

    async def one(text: str, method: DeliveryMethod) -> Outcome:
        async with room:
            outcome = await _through(client, sources[method], text, method)
            done(outcome)
            return outcome

    methods = islice(cycle(DeliveryMethod), len(texts))
    outcomes = await asyncio.gather(*map(one, texts, methods))
    coins, balance = await _purse(client, payer)
    totals = Totals(balance_before - balance, coins_before - coins, time.monotonic() - started)
    return outcomes, totals


async def _purse(client: AsyncClient, address: str) -> tuple[int, int]:
    """An account's coin, which pays the gas, and its Vault balance, which pays the tasks."""
    coins = quantity(await client.chain.rpc.call("eth_getBalance", address, "latest"))
    return coins, (await client.vault.account(address)).balance


def _source(method: DeliveryMethod) -> SourceInfo:
    return SourceInfo(
        name=f"Sentiment ({method.name.lower().replace('_', ' ')})",
        description="Tells whether an English text sounds positive, negative or neutral.",
        logoUrl="",
        imageEnvs=ImageEnvironments(cpu="https://example.org/sentiment/docker-compose.yml"),
        minPayment=PRICE // 10,
        minAvailableLockup=0,
        maxExpiryDuration=24 * 3600,
        deliveryMethod=method,
    )


async def _through(client: AsyncClient, source: str, text: str, method: DeliveryMethod) -> Outcome:
    started = time.monotonic()
    task: str | None = None
    try:
        work = TaskInput(FUNCTION, {"text": text})
        task = await client.publish_task(TaskInfo(source, work, int(time.time()) + EXPIRY, PRICE))
        response = await client.wait_for_response(task, timeout=WAIT)
        if method is DeliveryMethod.MANUAL_CONFIRMATION:
            await client.confirm_response(response.address)
        result = await client.fetch_result(response)
    except OGPUError as error:
        return Outcome(text, method, task=task, error=f"{type(error).__name__}: {error}")
    return _verified(text, method, response, result, time.monotonic() - started)


def _verified(text: str, method: DeliveryMethod, response: Response, result: Any, seconds: float) -> Outcome:
    return Outcome(
        text=text,
        delivery=method,
        task=response.task,
        response=response.address,
        provider=response.provider,
        link=response.data,
        result=result,
        price=response.payment,
        seconds=round(seconds, 3),
    )
