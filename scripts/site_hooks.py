"""What mkdocs needs beside its configuration: pages from outside docs/, and no other host asked."""

from __future__ import annotations

import posixpath
import re
from html.parser import HTMLParser
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent

# Files of the repository that are in the site though they are not in docs/: where they are there.
ELSEWHERE = {
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "contracts/README.md": "contracts.md",
    "contracts/interface.json": "contracts/interface.json",
    **{
        path.relative_to(ROOT).as_posix(): path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "examples").iterdir())
        if path.suffix in (".py", ".sh")
    },
}
ORIGINS = {there: here for here, there in ELSEWHERE.items()}
CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?\)")
# What makes a browser fetch something by itself; a link waits for its reader.
FETCHING = {
    "audio",
    "embed",
    "form",
    "iframe",
    "img",
    "input",
    "object",
    "script",
    "source",
    "track",
    "video",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that are elsewhere."""
    for here, there in ELSEWHERE.items():
        files.append(File.generated(config, there, content=(ROOT / here).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages of the site."""
    uri = page.file.src_uri
    folder = posixpath.dirname(ORIGINS.get(uri, f"docs/{uri}"))

    def site_link(match: re.Match[str]) -> str:
        here = posixpath.normpath(posixpath.join(folder, match[1]))
        there = ELSEWHERE.get(here, here.removeprefix("docs/"))
        return f"]({posixpath.relpath(there, posixpath.dirname(uri) or '.')}{match[2] or ''})"

    parts = CODE.split(markdown)  # text and code by turns
    return "".join(part if at % 2 else LINK.sub(site_link, part) for at, part in enumerate(parts))


class _Fetched(HTMLParser):
    """Collects what a page loads from other hosts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        loads = tag in FETCHING or (tag == "link" and values.get("rel") not in ("canonical", "next", "prev"))
        for name in ("src", "srcset", "data", "action", "poster", "href") if loads else ():
            if re.match(r"(https?:)?//", values.get(name) or ""):
                self.found.append(f"<{tag} {name}={values[name]}>")


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site that loads anything from another host."""
    problems = []
    for path in sorted(Path(config.site_dir).rglob("*")):
        if path.suffix == ".html":
            page = _Fetched()
            page.feed(path.read_text(encoding="utf-8"))
            problems += [f"{path.name}: {found}" for found in page.found]
        elif path.suffix == ".css":
            loaded = re.findall(
                r"(?:url\(|@import )[\"']?(?:https?:)?//[^\"')]*", path.read_text(encoding="utf-8")
            )
            problems += [f"{path.name}: {found}" for found in loaded]
    if problems:
        raise PluginError("The site loads from other hosts:\n" + "\n".join(problems))
