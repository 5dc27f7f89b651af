"""The HTTP requests of this process, as far as this library sends them."""

from __future__ import annotations

from typing import Any

import aiohttp


class Requests:
    """Counts the HTTP requests of this process; `count` may be set back."""

    def __init__(self) -> None:
        self.count = self.total = 0
        session: Any = aiohttp.ClientSession
        send = session._request

        async def counted(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            self.total += 1
            return await send(*arguments, **options)

        session._request = counted
