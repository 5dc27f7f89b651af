"""200 indexes that live through everything, and then say the same as one made afresh, byte for byte.

Each seed is an indexer that is killed by `kill -9` some times, in and between its commits, while it follows a
chain whose blocks are replaced and whose node restarts, through a proxy that spoils 5% of the requests.
`--index-seed N` repeats one of them, alone with its story.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ogpu.indexer.place import Place, place_of
from tests.support import lives
from tests.support.indexing import dumped, indexed, number_of, reorganisations_in
from tests.support.lives import Orders
from tests.support.postgres import PostgresServer
from tests.support.proxy import proxied
from tests.support.story import Story, story

STORIES = 5
SEEDS_IN_A_STORY = 40
ON_POSTGRESQL = 5  # every fifth of the seeds
BLOCKS = 70
FAULTS = 0.05
SILENCE = 0.2  # seconds
LONGEST_BLOCK = 1.0  # seconds
NEAR = 5  # blocks
PATIENCE = 240.0  # seconds until all are done


@contextmanager
def followed(told: Story, places: dict[int, str], url: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The indexers of a story, at their work."""
    orders = Orders(dict(told.network.contracts), told.network.chain_id, url, places, str(folder / "target"))
    (folder / "orders").write_text(lives.written(orders))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.lives", str(folder / "orders")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()


def let_them_follow(head: int, places: list[Place]) -> None:
    """Wait until about half of the indexes are near the newest block, but not for ever: some are down."""
    deadline = time.monotonic() + LONGEST_BLOCK
    while sum(number_of(place) >= head - NEAR for place in places) * 2 < len(places):
        if time.monotonic() > deadline:
            return
        time.sleep(0.02)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a story: all of them, or that of the seed that is named, alone."""
    only: int | None = metafunc.config.getoption("--index-seed")
    per = SEEDS_IN_A_STORY
    groups = (
        [range(n * per, n * per + per) for n in range(STORIES)] if only is None else [range(only, only + 1)]
    )
    metafunc.parametrize("seeds", groups, ids=lambda seeds: f"seeds {seeds[0]} to {seeds[-1]}")


def test_an_index_that_went_through_everything_says_what_a_fresh_one_says(
    seeds: range, tmp_path: Path, server: PostgresServer, say: Callable[[str], None]
) -> None:
    number = seeds[0] // SEEDS_IN_A_STORY
    places = {
        seed: str(tmp_path / f"{seed}.sqlite3") if seed % ON_POSTGRESQL else server.fresh_schema()
        for seed in seeds
    }
    watched = [place_of(where) for seed, where in places.items() if seed % ON_POSTGRESQL or len(places) == 1]
    with story(number, tmp_path / "node") as told, proxied(told.url) as proxy:
        proxy.silence = SILENCE
        proxy.rate(FAULTS, seed=number)
        with followed(told, places, proxy.url, tmp_path) as process:
            for _ in range(BLOCKS):
                told.live(1)
                let_them_follow(told.head()[0], watched)
            (tmp_path / "target").write_text(json.dumps(told.head()))
            said, errors = process.communicate(timeout=PATIENCE)
        counts = json.loads(said)
        fresh = dumped(indexed(told.network, tmp_path / "fresh.sqlite3"))
    assert not counts["failed"], errors
    counts["rolled back"] = sum(reorganisations_in(place_of(where)) for where in places.values())
    counts["faults"] = sum(proxy.faults.values())
    say(f"story {number}, {seeds}: {counts}, {told.replaced} reorganisations, {told.restarts} restarts")
    wrong = [seed for seed, where in places.items() if dumped(place_of(where)) != fresh]
    assert not wrong, f"these seeds of story {number} differ from a fresh index: {wrong}"
    assert counts["killed"] >= len(places)
    assert counts["rolled back"] >= len(places) // 2
    assert counts["faults"] >= len(places)
