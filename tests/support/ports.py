"""Ports of loopback that a test can count on."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

HOST = "127.0.0.1"
PLACES = 100  # where neighbours are looked for


@contextlib.contextmanager
def kept(count: int = 1) -> Iterator[int]:
    """So many ports side by side, the first one's number; until the end the system gives none of them away.

    Nobody listens there. Who is told the number and binds as servers do, with SO_REUSEADDR, can have it:
    Linux refuses that only where somebody listens already.
    """
    with contextlib.ExitStack() as stack:
        for _ in range(PLACES):
            found = _neighbours(count)
            for place in found:
                stack.enter_context(place)
            if len(found) == count:
                yield int(found[0].getsockname()[1])
                return
    raise AssertionError(f"there are no {count} free ports side by side")


def _neighbours(count: int) -> list[socket.socket]:
    """Sockets bound side by side; fewer than that where somebody is in between."""
    found = [_bound(0)]
    first = found[0].getsockname()[1]
    with contextlib.suppress(OSError, OverflowError):
        found.extend(_bound(port) for port in range(first + 1, first + count))
    return found


def _bound(port: int) -> socket.socket:
    place = socket.socket()
    try:
        place.bind((HOST, port))  # without the option, so that it fails where anybody is
    except (OSError, OverflowError):
        place.close()
        raise
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return place
