"""A real Chromium for the page's tests, and what must never happen in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 812}
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip

# Told by the page itself, so that nothing is missed that happens before the test looks.
WATCH = """
window.__stopped = [];
document.addEventListener("securitypolicyviolation", (event) => window.__stopped.push(
  `${event.violatedDirective} stopped ${event.blockedURI || event.sample}`));
"""
# What is wider than the window, or sticks out of it and cannot be scrolled to within an element of its own.
STICKING_OUT = """
() => {
  const width = document.documentElement.clientWidth;
  const whole = document.documentElement.scrollWidth;
  if (whole <= width) return [];
  const held = (element) => {
    for (let at = element.parentElement; at; at = at.parentElement)
      if (["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(at).overflowX)) return true;
    return false;
  };
  const found = [...document.body.querySelectorAll("*")].filter((element) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.right > width + 1 && !held(element) && getComputedStyle(element).position !== "absolute";
  }).slice(0, 3).map((element) => `${element.tagName} ${element.className} ${element.textContent.slice(0, 40)}`);
  return [`the page is ${whole} wide`, ...found];
}
"""  # noqa: E501


def chromium() -> str:
    """The system's Chromium."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert found, "These tests need a Chromium: apt-get install -y chromium"
    return found


@contextmanager
def started_browser() -> Iterator[Browser]:
    """A browser without a window. While it runs, this thread has a running event loop."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """A page in a browser, with all that it complained of."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str, status: int = 200) -> Page:
        """Open a view, and wait until its scripts have run."""
        answer = self.page.goto(self.base + path, wait_until="commit")
        assert answer is not None
        self.page.wait_for_selector("html[data-ready]")
        assert answer.status == status, f"{path}: {answer.status}"
        return self.page

    def trouble(self) -> list[str]:
        """Dialogs, script errors, what the policy stopped, and what breaks the layout."""
        stopped: list[str] = self.page.evaluate("window.__stopped")
        broken: list[str] = self.page.evaluate(STICKING_OUT)
        return [*self.complaints, *stopped, *broken]

    def barriers(self, *rules: str) -> list[str]:
        """What keeps people from using it: axe's serious and critical findings, by some rules or all."""
        only = {"type": "rule", "values": list(rules)} if rules else {"type": "tag", "values": LEVELS}
        options = {"resultTypes": ["violations"], "runOnly": only}
        found = Axe().run(self.page, options=options).response["violations"]
        return [
            f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:160]}"
            for each in found
            if each["impact"] in ("serious", "critical")
        ]

    def picture(self, name: str) -> None:
        """Keep how it looks."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


@contextmanager
def visit(
    browser: Browser, base: str, *, dark: bool = False, phone: bool = False, **options: Any
) -> Iterator[Visit]:
    """A new window, with nothing of another one in it."""
    context = browser.new_context(
        viewport=PHONE if phone else WIDE,  # type: ignore[arg-type]
        color_scheme="dark" if dark else "light",
        **options,
    )
    context.add_init_script(WATCH)
    page = context.new_page()
    made = Visit(page, base)

    def complain(what: str) -> None:
        made.complaints.append(what)

    def asked(dialog: Any) -> None:
        complain(f"a dialog: {dialog.message}")
        dialog.dismiss()

    page.on("dialog", asked)
    page.on("pageerror", lambda error: complain(f"a script failed: {error}"))
    page.on("console", lambda said: complain(f"the console: {said.text}") if said.type == "error" else None)
    try:
        yield made
    finally:
        context.close()
