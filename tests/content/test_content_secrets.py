"""What a content service says is quoted in one line, without the tokens of the URL that it was asked by."""

from __future__ import annotations

import pytest
from tests.support.http_servers import CID, answer, answers, client, misbehaving, run

from ogpu.errors import ContentError

TOKEN = b"TOKEN-canary"


@pytest.mark.parametrize(
    "said",
    [
        b"Cannot POST /" + TOKEN + b"\r\n\r\n",
        b"HTTP/1.1 /" + TOKEN + b" is not known\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n/" + TOKEN + b"\r\n\r\n",
        answer("200 OK", b"{}", f"Content-Type: {TOKEN.decode()}"),
        answer("200 OK", b"{}", f"Content-Encoding: {TOKEN.decode()}"),
        answer("200 OK", b'{"link": "https://h/token-CANARY"}'),
        answer("404 Not Found", b"Cannot POST /" + TOKEN),
    ],
)
def test_a_service_does_not_give_its_url_s_token_away(said: bytes) -> None:
    async def scenario() -> list[ContentError]:
        errors = []
        async with misbehaving(answers(said)) as (base, _):
            url = f"{base}/token-canary"
            async with client(url, upload_url=url) as content:
                for call in (lambda: content.put_bytes(b"x", "x"), lambda: content.get_bytes(CID)):
                    with pytest.raises(ContentError) as caught:
                        await call()
                    errors.append(caught.value)
        return errors

    for error in run(scenario()):
        chained: BaseException | None = error
        while chained is not None:
            assert "canary" not in f"{chained} {chained!r} {getattr(chained, 'facts', '')}".lower()
            chained = chained.__cause__
