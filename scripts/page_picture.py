"""Makes docs/images/page.png: a local network's page, while it works on the demonstration's sentences."""

from __future__ import annotations

import asyncio
import math
import random
import sys
import tempfile
import time
from pathlib import Path

from playwright.async_api import async_playwright

from ogpu.aio import AsyncClient
from ogpu.demo.work import FUNCTION, read_texts
from ogpu.errors import OGPUError
from ogpu.localnet.network import LocalNetwork, Options
from ogpu.types import DeliveryMethod, ImageEnvironments, SourceInfo, TaskInfo, TaskInput

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "images" / "page.png"
SECONDS = 75  # for which work is given
SIZE = {"width": 1280, "height": 900}
PRICES = (8, 10, 12, 15, 20)  # in thousandths of an OGPU
SERVICES = (
    ("Sentiment", DeliveryMethod.MANUAL_CONFIRMATION),
    ("Sentiment, first answer", DeliveryMethod.FIRST_RESPONSE),
    ("Mood of a text", DeliveryMethod.MANUAL_CONFIRMATION),
)


async def main() -> None:
    """Fill a network, and look at it."""
    sys.path.insert(0, str(ROOT))
    from tests.support.browser import FLAGS, chromium

    with tempfile.TemporaryDirectory() as folder:
        options = Options(network_file=Path(folder) / "network.json", providers=3)
        async with LocalNetwork(options, lambda line: None) as network:
            key = network.accounts["client"][0].private_key
            async with AsyncClient(network, private_key=key, journal=":memory:") as client:
                work = await give_work(client, key)
                async with async_playwright() as playwright:
                    browser = await playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
                    page = await browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
                    await page.goto(network.management_url)
                    await page.wait_for_selector("html[data-ready]")
                    await page.locator("#notice p").wait_for(state="detached", timeout=120_000)
                    PICTURE.parent.mkdir(parents=True, exist_ok=True)
                    await page.screenshot(path=PICTURE)
                    await browser.close()
                for each in work:
                    each.cancel()
                await asyncio.gather(*work, return_exceptions=True)


async def give_work(client: AsyncClient, key: str) -> list[asyncio.Task[None]]:
    """Tasks of three services, now more and now fewer of them at a time."""
    rng = random.Random(7)
    image = ImageEnvironments(cpu="https://example.org/docker-compose.yml")
    sources = [
        await client.publish_source(
            SourceInfo(name, "Tells how a text sounds.", "", image, 10**15, 0, 3600, how)
        )
        for name, how in SERVICES
    ]
    texts = read_texts(None, 500, 500)
    work: list[asyncio.Task[None]] = []
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < SECONDS:
        place = rng.randrange(len(sources))
        fate = rng.choices(("done", "kept", "canceled", "expired"), (84, 5, 6, 5))[0]
        price = rng.choice(PRICES) * 10**15
        one = through(client, key, sources[place], SERVICES[place][1], texts[len(work)], price, fate)
        work.append(asyncio.create_task(one))
        await asyncio.sleep(0.45 - 0.33 * math.sin(passed / 9))
    return work


async def through(
    client: AsyncClient, key: str, source: str, how: DeliveryMethod, text: str, price: int, fate: str
) -> None:
    """One task, as its fate is."""
    function = FUNCTION if fate in ("done", "kept") else "nobody_has_it"
    due = int(time.time()) + (6 if fate == "expired" else 900)
    task = await client.publish_task(TaskInfo(source, TaskInput(function, {"text": text}), due, price))
    try:
        if fate == "canceled":
            await client.cancel_task(task)
        elif fate == "expired":
            await asyncio.sleep(8)
            await client.vault.force_release_payment(task, private_key=key)
        else:
            response = await client.wait_for_response(task, timeout=60)
            if fate == "done" and how is DeliveryMethod.MANUAL_CONFIRMATION:
                await asyncio.sleep(1.5)
                await client.confirm_response(response.address)
    except OGPUError:
        return  # a provider was quicker than its client


if __name__ == "__main__":
    asyncio.run(main())
