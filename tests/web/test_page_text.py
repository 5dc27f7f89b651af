"""What a stranger wrote as the page shows it: nothing of it acts, and nothing of it hides."""

from __future__ import annotations

import json
import re
import struct
from html import unescape
from html.parser import HTMLParser
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from ogpu.web import show
from ogpu.web.bodies import MOST_PIECES, body_of, image_type
from tests.support.hostile import HOSTILE, LONG_WORD
from tests.support.page_world import PICTURE

OURS = {"bdi", "wbr", "span", "a", "pre", "svg", "path", "button", "data", "time"}


class Seen(HTMLParser):
    """The elements, attributes and text of some HTML, by the standard library's parser."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(str(html))  # of markup, parts would be escaped once more
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=300)))
def test_no_text_becomes_markup_or_hides(text: str) -> None:
    for shown in (show.text(text), show.text(text, lines=True), show.link(text), show.host(text)):
        seen = Seen(shown)
        assert set(seen.elements) <= OURS
        assert {name for name, _ in seen.attributes} <= {"class", "href", "rel", "title"}
        hidden = [c for c in seen.text if not (c.isprintable() or c in "\n\t" or category(c) == "Zs")]
        assert not hidden
        for name, value in seen.attributes:
            assert name != "href" or (value or "").startswith("https://")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("abc\u202edef", "U+202E"),
        ("\u200b" * 40, "U+200B ×40"),
        ("", "empty"),
        ("   ", "blank"),
        ("a" + "\u0301" * 100, "+97 marks"),
        (LONG_WORD, "100,000 characters"),
        ("\u3164", "U+3164"),
    ],
)
def test_what_cannot_be_seen_is_spelled_out(text: str, says: str) -> None:
    assert says in Seen(show.text(text)).text


def test_letters_of_all_languages_stay_as_they_are() -> None:
    for text in (
        "Ein ruhiges Meer",
        "Việt Nam",
        "日本語",
        "हिन्दी",
        "ไทย",
        "שלום",
        "مرحبا",
        "naïve café",
        "🙂 fine",
    ):
        assert unescape(show.text(text).striptags()) == text


@pytest.mark.parametrize(
    "link",
    [
        "http://example.org/", "//example.org/", "https://a:b@example.org/",
        "https://example.org\\@other.example/",
        "https://exаmple.org/", "https://xn--e1afmkfd.example/", "https://example.org/\u202ex",
        "javascript:alert(1)",
        "https://", "https:example.org", "https://example.org:99999/", "https://exa mple.org/",
        "data:text/html,x",
        "https://example.org/" + "a" * 2000, " https://example.org/",
    ],
)  # fmt: skip
def test_only_a_plain_https_link_can_be_followed(link: str) -> None:
    assert "<a" not in show.link(link)
    assert show.web_link(link) is None


def test_a_link_tells_nobody_where_one_came_from() -> None:
    assert 'rel="noopener noreferrer nofollow"' in show.link("https://example.org/a?b=1#c")


@pytest.mark.parametrize(
    ("wei", "coins"),
    [
        (0, "0"), (1, "< 0.000001"), (10**16, "0.01"), (1_234_567_890_123_456_789, "1.234567"), (10**18, "1"),
        (1500 * 10**18 + 10**17, "1,500.1"), (2**256 - 1, "1.15 × 10⁵⁹"), (-(10**16), "-0.01"),
    ],
)  # fmt: skip
def test_amounts_are_in_ogpu_with_their_wei(wei: int, coins: str) -> None:
    assert show.coins(wei) == coins
    assert f'title="{wei:,} wei"' in show.amount(wei)
    assert f"({wei:,} wei)" in show.amount(wei)


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (0, "just now"), (5, "5 s ago"), (-90, "in 1.5 min"), (3600, "1 h ago"), (86400 * 3, "3 d ago"),
        (86400 * 200, "7 months ago"), (86400 * 3650, "10 years ago"),
    ],
)  # fmt: skip
def test_times_are_relative_with_the_exact_one(seconds: int, says: str) -> None:
    now = 1_800_000_000
    shown = show.moment(now - seconds, now)
    assert shown.striptags() == says
    assert "UTC" in shown


def test_a_time_that_no_calendar_has_is_said_in_seconds() -> None:
    for unix in (2**256 - 1, -5, show.LAST_SECOND + 1):
        assert f"{unix} in Unix seconds" in show.moment(unix, 0)
    assert "forever" in show.lasting(2**256 - 1)


def test_json_is_shown_whole_and_within_bounds() -> None:
    value = {"a": [1, 2.5, None, True], "b<script>": {"c": "</pre>"}, "d": [], "e": {}}
    body = body_of(json.dumps(value).encode())
    assert json.loads(Seen(body.shown).text) == value
    assert "<script" not in body.shown
    long = body_of(json.dumps({"list": list(range(100_000)), "word": LONG_WORD}).encode())
    assert len(long.shown) < 200 * MOST_PIECES
    assert "it goes on" in long.shown
    deep = body_of(b"[" * 900 + b"]" * 900)
    assert "deeper" in deep.shown


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PICTURE, "image"), (b"plain\ttext\n", "text"), (b"\xff\xfe\x00\x01", "data"), (b'{"a": 1}', "json"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "text"), (b"<html><script>", "text"),
        (b"\x89PNG\r\n\x1a\n<script>alert(1)</script>", "data"),
        (b"GIF89a\x10\0\x10\0<script>", "image"), (b"", "text"),
        (b"[" * 200_000, "text"),
    ],
)  # fmt: skip
def test_bytes_are_what_they_are_and_not_what_they_claim(data: bytes, kind: str) -> None:
    assert body_of(data).kind == kind
    assert body_of(data).media in (
        "application/json",
        "text/plain; charset=utf-8",
        "application/octet-stream",
    ) or (kind == "image" and body_of(data).media.startswith("image/"))


def test_a_picture_that_would_fill_the_memory_is_none() -> None:
    def png(width: int, height: int) -> bytes:
        return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\x08\x02\0\0\0"

    assert image_type(png(800, 600)) == "image/png"
    assert image_type(png(60_000, 60_000)) is None
    assert image_type(png(0, 5)) is None
    jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x0b\x08" + struct.pack(">HH", 600, 800) + b"\x01\x01\x11\0"
    assert image_type(jpeg) == "image/jpeg"
    assert image_type(b"RIFF\0\0\0\0WEBPVP8X\n\0\0\0\0\0\0\0" + b"\xff\x03\0\xff\x03\0") == "image/webp"
    assert image_type(b"RIFF\0\0\0\0WAVEfmt ") is None


def test_an_address_is_short_with_the_whole_of_it_at_hand() -> None:
    address = "0x52908400098527886E0F7030069857D2E4169EE7"
    shown = show.address(address, "tasks", "<b>name</b>")
    assert f'href="/tasks/{address}" title="{address}"' in shown
    assert f'data-copy="{address}"' in shown
    assert "<b>" not in shown
    assert re.search(r'<svg class="emblem h\d+"', show.emblem(address))
    assert show.emblem(address) != show.emblem(address[:-1] + "8")
    assert isinstance(shown, Markup)
