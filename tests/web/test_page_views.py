"""The page in a real browser: every view with data, empty, with an error, on a phone, dark, light, live."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browser import started_browser, visit
from tests.support.page_server import serving
from tests.support.page_world import World, lived_in


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with lived_in(tmp_path_factory.mktemp("page")) as made:
        yield made


@pytest.fixture(scope="module")
def site(world: World) -> Iterator[str]:
    """A server over the network's index."""
    with serving(world.index(), world.network.file) as base:
        yield base


@pytest.fixture(scope="module")
def browser(site: str) -> Iterator[Browser]:
    """Started last: while it runs, this thread's event loop does."""
    with started_browser() as made:
        yield made


def paths(world: World) -> dict[str, str]:
    """Every view, by a name."""
    response = world.client.task(world.tasks["picture"]).responses()[0].address
    mined = world.network.rpc("eth_getBlockByNumber", "latest", False)
    return {
        "overview": "/",
        "sources": "/sources",
        "source": f"/sources/{world.sources[0]}",
        "tasks": "/tasks",
        "tasks-filtered": "/tasks?status=finalized&sort=payment",
        **{
            f"task-{name}": f"/tasks/{world.tasks[name]}"
            for name in ("finalized", "new", "expired", "picture", "text")
        },
        "responses": "/responses",
        "response": f"/responses/{response}",
        "providers": "/providers",
        "provider": f"/providers/{world.providers[0]}",
        "account": f"/accounts/{world.network.address()}",
        "blocks": "/blocks",
        "block": f"/blocks/{int(mined['number'], 16)}",
        "search": "/search?q=0x000000",
    }


@pytest.mark.parametrize("looks", ["light", "dark", "phone"])
def test_every_view_is_whole_and_open_to_everybody(
    browser: Browser, site: str, world: World, looks: str
) -> None:
    """No script fails, nothing is stopped or sticks out, and axe finds nothing serious."""
    found = {}
    with visit(browser, site, dark=looks == "dark", phone=looks == "phone") as window:
        for name, path in paths(world).items():
            window.go(path)
            found[name] = window.trouble() + window.barriers()
            window.picture(f"{name}-{looks}")
    assert {name: trouble for name, trouble in found.items() if trouble} == {}
