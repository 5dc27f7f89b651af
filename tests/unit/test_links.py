"""Links of the index: whatever stands where one should be, it is decided without an error."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ogpu.content import cid_of
from ogpu.indexer.links import LONGEST_LINK, link_of, url_hash

CID = cid_of(b"{}")
PIECES = st.sampled_from(
    ["https://", "ipfs://", "http:", "//", "/ipfs/", CID, "[", "]", "@", ":99999", "\0", "\ud800", "%", " "]
)


@given(st.lists(st.one_of(PIECES, st.text(max_size=20)), max_size=12).map("".join))
@example("https://[::1")
@example("https://a\u2100.ipfs.example.org/")
@example("k" + "z" * 127)
def test_no_text_is_an_error(text: str) -> None:
    for role in ("config", "result"):
        link = link_of(text, role)
        assert link is not None or not text or role == "result"
        if link is not None:
            assert (link.cid is None) != (link.refused is None)
            assert len(link.url) <= LONGEST_LINK
            assert link.url_hash == url_hash(text)


@pytest.mark.parametrize(
    "url", [CID, f"ipfs://{CID}", f"https://example.org/ipfs/{CID}", f" http://10.0.0.1/ipfs/{CID}?a=b"]
)
def test_a_link_with_a_cid_is_known_by_it(url: str) -> None:
    link = link_of(url, "config")
    assert link is not None
    assert (link.cid, link.refused) == (CID, None)


@pytest.mark.parametrize("data", ["", "42", '{"text": "see https://example.org/a"}', "data:text/plain,a"])
def test_an_answer_that_is_no_link_is_none(data: str) -> None:
    assert link_of(data, "result") is None
