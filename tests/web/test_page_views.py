"""The page in a real browser: every view with data, empty, with an error, on a phone, dark, light, live."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import insert, update

from ogpu.indexer import tables
from ogpu.web import show
from tests.support import rows
from tests.support.browser import started_browser, visit
from tests.support.page_server import serving
from tests.support.page_world import PICTURE, World, lived_in


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with lived_in(tmp_path_factory.mktemp("page")) as made:
        yield made


@pytest.fixture(scope="module")
def site(world: World) -> str:
    """The page that `ogpu up` itself serves, once it shows all."""
    world.shown(*paths(world).values())
    return world.site


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
        "search": "/search?q=0x0000",
    }


# What depends on a scheme and a width; all else is the same in each of them.
AXE = {"light": (), "dark": ("color-contrast",), "phone": ("target-size", "scrollable-region-focusable")}


@pytest.mark.parametrize("looks", ["light", "dark", "phone"])
def test_every_view_is_whole_and_open_to_everybody(
    browser: Browser, site: str, world: World, looks: str
) -> None:
    """No script fails, nothing is stopped or sticks out, and axe finds nothing serious."""
    found = {}
    with visit(browser, site, dark=looks == "dark", phone=looks == "phone") as window:
        for name, path in paths(world).items():
            window.go(path)
            found[name] = window.trouble() + window.barriers(*AXE[looks])
            window.picture(f"{name}-{looks}")
    assert {name: trouble for name, trouble in found.items() if trouble} == {}


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server over an index in which nothing has happened."""
    path = tmp_path_factory.mktemp("empty") / "index.sqlite3"
    with rows.writing(path) as connection:
        connection.execute(insert(tables.cursor), [rows.cursor_row(3, 1)])
    with serving(path) as base:
        yield base


EMPTY = {
    "/": "ogpu demo",
    "/sources": "ogpu source publish",
    "/tasks": "ogpu task publish",
    "/responses": "ogpu up",
    "/providers": "ogpu up --providers 3",
    "/blocks": "No block",
    "/search?q=0x1234": "Nothing is known",
}


def test_an_empty_view_says_what_to_type(browser: Browser, nothing: str) -> None:
    with visit(browser, nothing) as window:
        for path, says in EMPTY.items():
            assert says in window.go(path).inner_text("main"), path
            assert window.trouble() + window.barriers() == []
            window.picture(f"empty{path.partition('?')[0].replace('/', '-')}")


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/tasks/0x52908400098527886E0F7030069857D2E4169EE7", 404, "There is no such task"),
        ("/tasks/0x12", 404, "There is no such task"),
        ("/blocks/999999", 404, "There is no such block"),
        ("/transactions/0x" + "ab" * 32, 404, "There is no such transaction"),
        ("/nowhere/at/all", 404, "There is no such page"),
        ("/tasks?after=nonsense", 400, "This cannot be shown"),
        ("/<script>alert(1)</script>", 404, "There is no such page"),
    ],
)
def test_what_is_not_there_is_said(browser: Browser, site: str, path: str, status: int, says: str) -> None:
    with visit(browser, site, phone=True) as window:
        assert says in window.go(path, status).inner_text("h1")
        assert [each for each in window.trouble() if "the server responded with a status" not in each] == []
        assert window.barriers() == []
        window.picture(f"error-{status}")


def test_a_phone_shows_which_view_it_is_at(browser: Browser, site: str) -> None:
    with visit(browser, site, phone=True) as window:
        page = window.go("/blocks")
        tab = page.locator("nav [aria-current]").bounding_box()
        row = page.locator("nav.views").bounding_box()
        assert tab is not None
        assert row is not None
        assert row["x"] <= tab["x"]
        assert tab["x"] + tab["width"] <= row["x"] + row["width"] + 1


def test_an_index_that_is_not_there_is_said(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path / "none.sqlite3") as base, visit(browser, base) as window:
        assert "The index does not answer" in window.go("/", 503).inner_text("main")
        window.picture("error-503")


def test_an_index_that_is_behind_says_so(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite3"
    with rows.writing(path) as connection:
        connection.execute(insert(tables.cursor), [rows.cursor_row(3, 1, head=1203)])
    with serving(path) as base, visit(browser, base) as window:
        assert "behind by 1,200 blocks" in window.go("/tasks").inner_text("[role=status]")


def test_what_happens_is_seen_at_once(browser: Browser, world: World) -> None:
    """A task's confirmation, while somebody reads: focus, scroll place and open details stay."""
    task = world.tasks["text"]
    with visit(browser, world.site) as window, visit(browser, world.site) as other:
        view = window.go(f"/tasks/{task}")
        listing = other.go("/")
        expect(view.locator("#status")).to_have_text("responded")
        view.focus("#steps .response .copy")
        view.evaluate("window.scrollTo(0, 300)")
        top = "document.activeElement.getBoundingClientRect().top"
        place = view.evaluate(top)
        listing.locator("#chart-tasks summary").click()
        world.client.confirm_response(world.client.task(task).responses()[0].address)
        expect(view.locator("#status")).to_have_text("finalized")
        expect(view.locator(".step.confirmed")).to_have_count(1)
        assert view.evaluate("document.activeElement.className") == "copy"
        assert view.evaluate(top) == pytest.approx(place, abs=2)
        expect(listing.locator("#now .s-finalized b")).to_have_text("11")
        assert listing.locator("#chart-tasks details[open]").count() == 1
        assert window.trouble() + other.trouble() == []


def test_what_somebody_copies_is_left_alone(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite3"
    with rows.writing(path) as connection:
        connection.execute(insert(tables.cursor), [rows.cursor_row(3, 1)])
    with serving(path) as base, visit(browser, base) as window:
        view = window.go("/blocks")
        view.evaluate("getSelection().selectAllChildren(document.querySelector('#pulse'))")
        with view.expect_response(f"{base}/blocks"), rows.writing(path) as connection:
            connection.execute(update(tables.cursor).values(number=4, head=4, changes=2))
        # Another one, so that the first was taken.
        with view.expect_response(f"{base}/blocks"), rows.writing(path) as connection:
            connection.execute(update(tables.cursor).values(number=5, head=5, changes=3))
        assert "block 3" in view.inner_text("#pulse")
        view.evaluate("getSelection().removeAllRanges()")
        expect(view.locator("#pulse")).to_contain_text("block 5")


def test_times_go_on_by_themselves(browser: Browser, site: str, world: World) -> None:
    with visit(browser, site) as window:
        window.page.clock.install()
        view = window.go(f"/tasks/{world.tasks['new']}")
        said = view.inner_text("#steps time")
        view.clock.run_for(3_700_000)
        assert said != view.inner_text("#steps time")
        assert " h ago" in view.inner_text("#steps time")


def test_the_server_and_the_browser_tell_times_alike(browser: Browser, site: str) -> None:
    now = 1_800_000_000
    spans = [
        0,
        1,
        2,
        59,
        60,
        61,
        89,
        95,
        599,
        600,
        3599,
        3600,
        5400,
        86399,
        86400,
        129600,
        5_000_000,
        10**8,
        10**9,
    ]
    with visit(browser, site) as window:
        view = window.go("/search")
        source = view.locator("script[type=module]").get_attribute("src")
        assert source is not None
        told = view.evaluate(
            "async ([path, now, spans]) => { const { ago } = await import(path);"
            " return spans.flatMap((span) => [ago(now - span, now), ago(now + span, now)]); }",
            [source.replace("page.js", "times.js"), now, spans],
        )
    assert told == [show.ago(now + way * span, now) for span in spans for way in (-1, 1)]


def test_a_keyboard_is_enough(browser: Browser, site: str, world: World) -> None:
    """The skip link comes first, focus is seen, charts are read by arrows, and a search needs no mouse."""
    with visit(browser, site) as window:
        view = window.go("/")
        view.keyboard.press("Tab")
        assert view.evaluate("document.activeElement.className") == "skip"
        view.keyboard.press("Enter")
        assert view.evaluate("document.activeElement.id") == "main"
        view.focus("#chart-tasks .plot")
        view.keyboard.press("End")
        last = view.inner_text("#chart-tasks .tip")
        view.keyboard.press("ArrowLeft")
        assert view.inner_text("#chart-tasks .tip") != last
        assert "published:" in last
        window.picture("chart-tip")
        view.keyboard.press("Escape")
        assert not view.locator("#chart-tasks .tip").is_visible()
        view.focus("#q")
        view.keyboard.type(world.tasks["finalized"].lower())
        view.keyboard.press("Enter")
        view.wait_for_url(f"**/tasks/{world.tasks['finalized']}")


def test_everything_that_takes_focus_shows_it(browser: Browser, site: str, world: World) -> None:
    with visit(browser, site) as window:
        for path in ("/", f"/tasks/{world.tasks['finalized']}"):
            view = window.go(path)
            seen = 0
            while True:
                view.keyboard.press("Tab")
                outline = view.evaluate(
                    "(() => { const at = document.activeElement; if (at === document.body) return null;"
                    " const style = getComputedStyle(at);"
                    " return style.outlineStyle === 'none' && !at.matches('.skip') ? at.outerHTML : ''; })()"
                )
                if outline is None:
                    break
                assert outline == ""
                seen += 1
            assert seen > 30, path


def test_a_column_says_what_it_is_to_the_pointer(browser: Browser, site: str) -> None:
    with visit(browser, site) as window:
        view = window.go("/")
        view.hover("#chart-spend .slot >> nth=2", force=True)
        assert "paid:" in view.inner_text("#chart-spend .tip")
        view.locator("#chart-spend summary").click()
        assert view.locator("#chart-spend tbody tr").count() > 3


def test_it_works_without_scripts(browser: Browser, site: str, world: World) -> None:
    with visit(browser, site, java_script_enabled=False) as window:
        page = window.page
        page.goto(f"{site}/tasks")
        page.click("text=finalized >> nth=0")
        assert page.locator("tbody .s-finalized").count() == page.locator("tbody tr").count() >= 10
        page.fill("#q", world.sources[0])
        page.press("#q", "Enter")
        page.wait_for_url("**/sources/**")
        assert page.locator("h1").inner_text() == "Sentiment"
        assert not page.locator(".copy >> nth=0").is_visible()


def test_an_address_is_copied(browser: Browser, site: str, world: World) -> None:
    with visit(browser, site, permissions=["clipboard-read", "clipboard-write"]) as window:
        view = window.go(f"/tasks/{world.tasks['new']}")
        view.click(".self .copy >> nth=0")
        assert view.evaluate("navigator.clipboard.readText()") == world.tasks["new"]


def test_pages_of_a_list_miss_nothing(browser: Browser, site: str, world: World) -> None:
    del browser  # only asks
    with urllib.request.urlopen(f"{site}/tasks?sort=oldest") as answer:
        html = answer.read().decode()
    assert all(task in html for task in world.tasks.values())


def get(url: str, **headers: str) -> tuple[int, Message, bytes]:
    """What the server answers, whatever the status."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def test_what_has_not_changed_is_not_sent_again(site: str) -> None:
    status, headers, _ = get(f"{site}/tasks")
    assert status == 200
    again = get(f"{site}/tasks", **{"If-None-Match": headers["ETag"]})
    other = get(f"{site}/tasks?sort=oldest", **{"If-None-Match": headers["ETag"]})
    assert (again[0], again[2]) in ((304, b""), (200, again[2]))  # the minute may have passed
    assert other[0] == 200
    assert again[0] == 304 or get(f"{site}/tasks", **{"If-None-Match": again[1]["ETag"]})[0] == 304


def test_no_answer_lets_anything_but_our_own_run(site: str) -> None:
    _, headers, body = get(f"{site}/")
    policy = headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'")
    assert b" style=" not in body
    assert re.search(rb"<[^>]* on[a-z]+=", body) is None
    assert b"//" not in re.sub(
        rb'href="https://[^"]*"', b"", body.replace(b"http://www.w3.org/2000/svg", b"")
    )


def test_a_result_is_served_as_what_it_is_and_no_more(site: str, world: World) -> None:
    links = {
        name: world.client.task(world.tasks[name]).responses()[0].data
        for name in ("picture", "text", "finalized")
    }
    for name, link in links.items():
        status, headers, body = get(f"{site}/content/{link.rpartition('/')[2]}")
        assert status == 200
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        if name == "picture":
            assert headers["Content-Type"] == "image/png"
            assert body == PICTURE
        else:
            assert headers["Content-Type"] == "application/octet-stream"
            assert headers["Content-Disposition"].startswith("attachment;")
    assert get(f"{site}/content/QmNone")[0] == 404
    assert get(f"{site}/content/..%2f..%2fetc")[0] == 404
    assert get(f"{site}/static/x/..%2fpages.py")[0] == 404


def test_a_picture_is_shown_from_here(browser: Browser, site: str, world: World) -> None:
    with visit(browser, site) as window:
        view = window.go(f"/tasks/{world.tasks['picture']}")
        assert view.evaluate("document.querySelector('.picture img').naturalWidth") == 320
        assert "Ein ruhiges Meer." in window.go(f"/tasks/{world.tasks['text']}").inner_text(".response pre")
        assert view.evaluate("document.querySelector('link[rel=icon]').href").startswith(site)
