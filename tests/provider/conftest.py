from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.provider.support import OTHERS, SharedPool, descendants


@pytest.fixture(autouse=True, scope="module")
def _nothing_is_left() -> Iterator[None]:
    """Every file of this folder ends with no process of ours left, whatever happened in it."""
    OTHERS.update(descendants())
    yield
    left = [process for process in descendants() if process.is_running()]
    for process in left:
        process.kill()
    assert not left


@pytest.fixture(scope="module")
def shared(_nothing_is_left: None) -> Iterator[SharedPool]:
    with asyncio.Runner() as runner:
        pool = SharedPool(runner)
        yield pool
        pool.close()
