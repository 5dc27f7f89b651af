"""`ogpu content`: store and fetch content, checked against its CID."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ogpu.cli.exits import Exit
from ogpu.cli.options import Reading, command
from ogpu.cli.output import show_json
from ogpu.cli.screen import say
from ogpu.cli.session import watched
from ogpu.errors import InvalidInput
from ogpu.text import printable

if TYPE_CHECKING:
    from ogpu.aio import AsyncClient

    Update = Callable[[str], None] | None

MOST_FROM_STDIN = 64 << 20  # bytes

Link = Annotated[
    str, typer.Argument(metavar="LINK", help="A CID, or a link with one in it.", show_default=False)
]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def content() -> None:
    """Store and fetch content. No service is trusted: the bytes are checked against their CID."""


@app.command("put", short_help="Store a file.")
@command
def put(
    how: Reading,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file; - is standard input.", show_default=False)
    ],
) -> None:
    """Store a file, and show the link under which it is found. It is public, and cannot be taken back."""

    async def work(client: AsyncClient, update: Update) -> str:
        if str(file) != "-":
            return await client.content.put_file(file, progress=_counting("Storing", update))
        raw = sys.stdin.buffer.read(MOST_FROM_STDIN + 1)
        if len(raw) > MOST_FROM_STDIN:
            raise InvalidInput(
                f"Standard input has more than {MOST_FROM_STDIN:,} bytes.", hint="Store a file."
            )
        return await client.content.put_bytes(raw, "stdin")

    link = watched(how, work, "Storing …")
    if how.as_json:
        show_json({"link": link, "cid": _cid_in(link)})
    else:
        say(link)


@app.command("get", short_help="Fetch what a link names.")
@command
def get(
    how: Reading,
    link: Link,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there. Default: show it.")
    ] = None,
    unverified: Annotated[
        bool,
        typer.Option("--allow-unverified", help="Fetch a link without a CID too; its bytes are unchecked."),
    ] = False,
) -> None:
    """Fetch a file, and check it against its CID before anything of it is shown."""
    if output is None:
        if how.as_json:
            raise InvalidInput("--json needs --output: the content itself is what is shown without it.")
        raw = watched(how, lambda c, _: c.content.get_bytes(link, allow_unverified=unverified), "Fetching …")
        _show(raw)
        return

    async def work(client: AsyncClient, update: Update) -> int:
        counting = _counting("Fetching", update)
        return await client.content.get_file(link, output, allow_unverified=unverified, progress=counting)

    size = watched(how, work, "Fetching …")
    if how.as_json:
        show_json({"link": link, "file": str(output), "size": size})
    else:
        say(f"{output}: {size} bytes.")


@app.command("verify", short_help="Say whether content is what a CID names.")
@command
def verify(
    how: Reading,
    link: Link,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A file that you have. Default: what the network gives."),
    ] = None,
) -> None:
    """Say whether a file, or what the network's gateways give, is what the CID names. The exit code is 0 when
    it is.
    """
    cid = _cid_in(link)
    if file is None:
        size = watched(how, lambda client, _: _size(client, link), "Fetching …")
        told = f"{size} bytes, and they are what {cid} names."
        good = True
    else:
        good, size = _is_file(cid, file), file.stat().st_size
        told = f"{file} is {'' if good else 'not '}what {cid} names."
    if how.as_json:
        show_json({"cid": cid, "file": None if file is None else str(file), "size": size, "verified": good})
    else:
        say(told)
    if not good:
        raise typer.Exit(Exit.FAILED)


def _show(raw: bytes) -> None:
    """The bytes as they are, but to a terminal only text, and nothing that commands it."""
    if not sys.stdout.isatty():
        sys.stdout.buffer.write(raw)
        sys.stdout.buffer.flush()
        return
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput("It is no text, and this is a terminal.", hint="Give --output FILE.") from error
    for line in text.splitlines():
        say(printable(line, len(line)))


async def _size(client: AsyncClient, link: str) -> int:
    return len(await client.content.get_bytes(link))


def _is_file(cid: str, file: Path) -> bool:
    from ogpu.content.cid import file_matches

    with file.open("rb") as opened:
        return file_matches(cid, opened)


def _cid_in(link: str) -> str:
    from ogpu.content.cid import cid_of_link, parse_cid

    return str(cid_of_link(link) if "/" in link else parse_cid(link))


def _counting(what: str, update: Update) -> Callable[[int, int | None], None] | None:
    """The line of a terminal, as bytes go by."""
    if update is None:
        return None

    def tell(done: int, of: int | None) -> None:
        update(f"{what}: {done:,}{'' if of is None else f' of {of:,}'} bytes …")

    return tell
