"""The page: views of the index as HTML, made on the server. `page_views` says what each one shows."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import resources
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from ogpu.errors import InvalidInput, OGPUError
from ogpu.text import printable
from ogpu.web import charts, page_views, queries, show
from ogpu.web.bodies import SAFE_NAMES, body_of
from ogpu.web.kept import Kept, asked
from ogpu.web.page_queries import shown_body
from ogpu.web.page_views import Look, Missing, Shown
from ogpu.web.timeline import grow
from ogpu.web.values import Position

T = TypeVar("T")

KEPT_SECONDS = 2  # of a page: documents that come meanwhile are no change of the index
BEHIND = 2  # blocks: as many may be on their way
STATIC_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"  # our own search and filters are forms
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
CONTENT_POLICY = "default-src 'none'; sandbox"
NOT_OURS = ("api", "healthz", "readyz", "metrics")  # programs ask there, and want no HTML


class Asked(Protocol):
    """Where questions to the index are answered, each at one state of it."""

    async def ask(self, question: Callable[[Connection], T]) -> T: ...


@dataclass(frozen=True)
class Site:
    """What the page is of: the network's name, and its index.

    `trouble` is why the index does not go on, or "".
    """

    network: str
    index: Asked
    kept: Kept = field(repr=False)
    trouble: Callable[[], str] = str
    clock: Callable[[], float] = time.time
    environment: Environment = field(default_factory=lambda: _environment(), repr=False)


def add_page(app: FastAPI, site: Site) -> None:
    """Serve the page's views, what they need, and an HTML answer for every other path but the API's."""
    for path, view in page_views.VIEWS.items():
        _route(app, path, partial(_answer, site, view))
    _route(app, "/content/{key}", partial(_content, site))
    _route(app, "/static/{version}/{key}", _static)
    _route(app, "/{key:path}", partial(_answer, site, page_views.nowhere))


def _route(app: FastAPI, path: str, answer: Callable[[Request, str], Awaitable[Response]]) -> None:
    async def endpoint(request: Request) -> Response:
        return await answer(request, request.path_params.get("key", ""))

    app.add_route(path, endpoint, methods=["GET", "HEAD"], include_in_schema=False)


# --- Views


async def _answer(site: Site, view: Callable[[Look, str], Shown], request: Request, key: str) -> Response:
    if view is page_views.nowhere and key.partition("/")[0] in NOT_OURS:
        raise HTTPException(404)
    now = int(site.clock())
    try:
        return await site.index.ask(lambda connection: _viewed(site, view, request, key, connection, now))
    except Missing as error:
        shown = page_views.missing(error)
    except InvalidInput as error:
        shown = page_views.refused(error)
    except OGPUError as error:
        shown = page_views.no_index(error)
    html = _render(site, shown, dict(request.query_params), now, None, request.url.path, site.trouble())
    return HTMLResponse(
        html, shown.status, {**HEADERS, "Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
    )


def _viewed(
    site: Site,
    view: Callable[[Look, str], Shown],
    request: Request,
    key: str,
    connection: Connection,
    now: int,
) -> Response:
    """A view of one state of the index; 304 for a browser that has it."""
    look = Look(connection, dict(request.query_params), now, queries.position(connection))
    trouble = site.trouble()
    tag = _tag(site, look, request, trouble)
    headers = {**HEADERS, "Content-Security-Policy": POLICY, "ETag": tag, "Cache-Control": "no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    name = f"{tag} {now // KEPT_SECONDS}"
    html = site.kept.get(name)
    if html is None:
        shown = view(look, key)
        if shown.redirect:
            return Response(status_code=303, headers={**headers, "Location": shown.redirect})
        html = _render(site, shown, look.params, now, look.position, request.url.path, trouble).encode()
        if shown.status != 200:
            return HTMLResponse(html, shown.status, headers)
        site.kept.keep(name, html)
    return HTMLResponse(html, headers=headers)


def _tag(site: Site, look: Look, request: Request, trouble: str) -> str:
    """Of all that a view depends on: what is written, whether it goes on, its address, and the minute."""
    place = look.position
    seen = (place.changes, place.hash, place.head) if place else None
    facts = (seen, trouble, site.network, asked(request), look.now // 60, static_version())
    return f'W/"{hashlib.sha256(repr(facts).encode()).hexdigest()[:32]}"'


def _render(
    site: Site,
    shown: Shown,
    params: Mapping[str, str],
    now: int,
    place: Position | None,
    path: str,
    trouble: str,
) -> str:
    return site.environment.get_template(f"{shown.template}.html").render(
        **shown.values,
        title=shown.title,
        section=shown.section,
        network=site.network,
        position=place,
        behind=max(place.head - place.number, 0) if place else 0,
        failed=shown.status >= 400,
        notice="" if shown.status >= 400 else _notice(trouble, place),
        now=now,
        params=params,
        static=f"/static/{static_version()}",
        at=partial(show.moment, now=now),
        url=partial(_url, path, params),
    )


def _notice(trouble: str, place: Position | None) -> str:
    """What a reader should know of the index itself."""
    if trouble:
        return f"The index is not running, and what is shown may be old: {printable(trouble, 200)}"
    if place is None:
        return (
            "The index is empty so far; it fills as the chain is read. ogpu index does that, and ogpu serve."
        )
    behind = place.head - place.number
    return f"The index is behind by {behind:,} blocks, and catching up." if behind > BEHIND else ""


def _url(path: str, params: Mapping[str, str], **changed: str | None) -> str:
    """This view's address with other parameters; an empty one is left out."""
    found = {name: value for name, value in {**params, **changed}.items() if value}
    return f"{path}?{urlencode(found)}" if found else path


# --- What views need


async def _content(site: Site, request: Request, key: str) -> Response:
    """The kept bytes of a CID: a checked raster image as such, anything else to be saved as plain data."""
    headers = {**HEADERS, "Content-Security-Policy": CONTENT_POLICY, "Cache-Control": "no-store"}
    if not (key.isascii() and key.isalnum()):
        return PlainTextResponse("That is no CID.\n", 404, headers)
    data = await site.index.ask(lambda connection: shown_body(connection, key))
    if data is None:
        return PlainTextResponse("There is no such content here.\n", 404, headers)
    body = body_of(data)
    headers["Cache-Control"] = "private, max-age=31536000, immutable"  # a CID names these bytes
    if body.kind == "image":
        headers["Content-Disposition"] = f'inline; filename="{key}.{SAFE_NAMES[body.media]}"'
        return Response(data, 200, headers, body.media)
    suffix = {"json": ".json", "text": ".txt"}.get(body.kind, ".bin")
    headers["Content-Disposition"] = f'attachment; filename="{key}{suffix}"'
    return Response(data, 200, headers, "application/octet-stream")


async def _static(request: Request, key: str) -> Response:
    data = static_files().get(key)
    if data is None:
        return PlainTextResponse("There is no such file.\n", 404, HEADERS)
    current = request.path_params["version"] == static_version()
    lasting = "public, max-age=31536000, immutable" if current else "no-cache"
    headers = {**HEADERS, "Cache-Control": lasting, "Content-Security-Policy": CONTENT_POLICY}
    return Response(data, 200, headers, STATIC_TYPES[key.rpartition(".")[2]])


@cache
def static_files() -> Mapping[str, bytes]:
    """The page's own files, by name."""
    folder = resources.files("ogpu.web") / "static"
    return {
        file.name: file.read_bytes()
        for file in folder.iterdir()
        if file.name.rpartition(".")[2] in STATIC_TYPES
    }


@cache
def static_version() -> str:
    """A name for these files' very bytes, so that a browser may keep them."""
    whole = hashlib.sha256()
    for name, data in sorted(static_files().items()):
        whole.update(f"{name} {len(data)} ".encode() + data)
    return whole.hexdigest()[:12]


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("ogpu.web"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown: dict[str, Any] = {
        "address": show.address,
        "amount": show.amount,
        "coins": show.coins,
        "copier": show.copier,
        "duration": show.duration,
        "lasting": show.lasting,
        "link": show.link,
        "host": show.host,
        "happening": page_views.happening,
        "plain": show.plain,
        "short": show.short,
        "text": show.text,
        "transaction": show.transaction,
        "exact": show.exact,
        "meter": charts.meter,
        "spark": charts.spark,
        "grow": grow,
        "json": partial(json.dumps, ensure_ascii=False),
    }
    made.globals |= shown
    made.filters |= shown
    return made
