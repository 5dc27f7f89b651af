"""Hostile texts in every field that a stranger fills, really published, do nothing in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browser import started_browser, visit
from tests.support.hostile import HOSTILE
from tests.support.page_hostile import BIDDERS, Strangers, strangers
from tests.support.page_server import serving


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Strangers]:
    with strangers(tmp_path_factory.mktemp("strangers")) as made:
        yield made


@pytest.fixture(scope="module")
def site(found: Strangers) -> Iterator[str]:
    with serving(found.index) as base:
        yield base


@pytest.fixture(scope="module")
def browser(site: str) -> Iterator[Browser]:
    with started_browser() as made:
        yield made


def test_no_text_of_strangers_harms_whoever_looks(browser: Browser, site: str, found: Strangers) -> None:
    """No dialog, nothing for the policy to stop, no error, no request to elsewhere, no broken layout."""
    texts = len(HOSTILE) + 1
    answered = texts // BIDDERS + 1
    paths = [
        *("/", "/tasks", "/responses"),
        *(f"/sources/{source}" for source in found.sources[: texts + 1] + found.sources[texts + 1 :: 3]),
        *(f"/tasks/{task}" for task in found.tasks[:answered] + found.tasks[-answered:]),
        *(f"/tasks/{task}" for task in found.tasks[answered:-answered:6]),
        *(f"/providers/{provider}" for provider in found.providers),
    ]
    trouble = {}
    asked: set[str] = set()
    with visit(browser, site, phone=True) as window:
        window.page.on("request", lambda request: asked.add(request.url.split("/")[2]))
        for path in paths:
            window.go(path)
            if complaints := window.trouble():
                trouble[path] = complaints
            window.complaints.clear()
        for name, task in (("results", found.tasks[3]), ("links", found.tasks[-9])):
            window.go(f"/tasks/{task}")
            window.picture(f"hostile-{name}")
        window.go("/sources")
        window.picture("hostile-list")
        while window.page.locator(".pages .more").count():
            with window.page.expect_navigation():
                window.page.locator(".pages .more").click()
            window.page.wait_for_selector("html[data-ready]")
            if complaints := window.trouble():
                trouble[window.page.url] = complaints
    assert trouble == {}
    assert asked == {site.removeprefix("http://")}


def test_a_search_for_it_is_harmless_too(browser: Browser, site: str) -> None:
    with visit(browser, site) as window:
        for text in HOSTILE[:60:4]:
            window.go("/search")
            window.page.fill("#q", text)
            with window.page.expect_navigation():
                window.page.press("#q", "Enter")
            window.page.wait_for_selector("html[data-ready]")
            assert window.trouble() == []
