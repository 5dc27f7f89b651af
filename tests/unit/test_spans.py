"""How many blocks' logs are asked for at once, by the words of real nodes."""

from __future__ import annotations

import pytest

from ogpu.rpc.spans import ENOUGH_LOGS, MOST_BLOCKS, QUIET, Span, advice

WORDS = [
    # Infura
    ("query returned more than 10000 results. Try with this block range [0x1B3F1A4, 0x1B3F1D3].", 48),
    # Alchemy, free tier
    (
        "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. Based on "
        "your parameters, this block range should work: [0x1, 0xa].",
        10,
    ),
    # Alchemy
    (
        "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no "
        "limit on the response size",
        2000,
    ),
    # reth
    ("query exceeds max results 20000, retry with the range 22143231-22143240", 10),
    ("query exceeds max block range 100000", 100000),
    ("eth_getLogs is limited to a 10,000 range", 10000),  # QuickNode
    ("requested too many blocks from 5 to 9000, maximum is set to 2048", 2048),  # Avalanche's coreth
    ("exceed maximum block range: 5000", 5000),  # BSC's geth
    ("Requested range exceeds maximum RPC range limit", None),  # Besu
    ("block range is too wide", None),  # Ankr
    ("backend response too large", None),  # proxyd
    ("", None),
    ("x" * 1000 + " limited to a 5 range", None),
]


@pytest.mark.parametrize(("words", "blocks"), WORDS)
def test_what_a_refusal_advises(words: str, blocks: int | None) -> None:
    assert advice(words) == blocks


def test_an_advice_is_taken_when_it_is_less_than_what_was_asked_for() -> None:
    span = Span()
    span.refused(1000, "limited to a 800 range")
    assert span.now == 800
    span.refused(800, "exceed maximum block range: 5000")
    assert span.now == 400


@pytest.mark.parametrize("limit", [1, 7, 500, 999])
def test_a_node_s_limit_is_found_and_seldom_tried_again(limit: int) -> None:
    span, refused, most = Span(), 0, 0
    for _ in range(400):
        count = span.now
        if count > limit:
            span.refused(count)
            refused += 1
        else:
            span.served(count, 0)
            most = max(most, count)
    assert most * 2 > limit
    assert refused <= 10 + 400 // QUIET


def test_it_grows_again_after_a_passing_trouble() -> None:
    span = Span()
    while span.now > 1:
        span.refused(span.now)
    for _ in range(20 * QUIET):
        span.served(span.now, 0)
    assert span.now == MOST_BLOCKS


def test_many_logs_make_it_small_and_few_large_again() -> None:
    span = Span()
    span.served(1000, 10 * ENOUGH_LOGS)
    assert span.now == 100
    span.served(100, ENOUGH_LOGS)
    assert span.now == 100
    span.served(1, 100 * ENOUGH_LOGS)
    assert span.now == 1
    for _ in range(10):
        span.served(span.now, 0)
    assert span.now == MOST_BLOCKS


def test_a_part_that_was_short_does_not_make_it_grow() -> None:
    span = Span(now=100)
    span.served(3, 0)
    assert span.now == 100


def test_few_steps_lead_to_all_blocks_and_many_full_ones_are_never_asked_for() -> None:
    span, steps = Span(now=1), 0
    while span.now < MOST_BLOCKS:
        span.served(span.now, 0)
        steps += 1
    assert steps <= 10
    full, most = Span(now=1), 0
    for _ in range(100):
        most = max(most, full.now * 2000)  # events
        full.served(full.now, full.now * 2000)
    assert most <= 2 * ENOUGH_LOGS


def test_full_blocks_after_empty_ones_are_asked_for_one_by_one_until_it_is_known_how_full() -> None:
    span, most = Span(now=1), 0
    for _ in range(10):
        span.served(span.now, 0)  # all empty, by their blooms
    maybe = [False] * 100 + [True] * 200
    while maybe:
        count = span.part(maybe)
        full = sum(maybe[:count])
        most = max(most, full)
        span.served(count, 2000 * full, full)
        maybe = maybe[count:]
    assert most == 2  # of 2000 logs each
    assert span.part([False] * MOST_BLOCKS) > 1


def test_blocks_that_only_seem_to_have_logs_are_soon_asked_for_together() -> None:
    span, parts = Span(now=MOST_BLOCKS), 0
    maybe = [True] * 3 * MOST_BLOCKS
    while maybe:
        count = span.part(maybe)
        span.served(count, 0, count)
        maybe = maybe[count:]
        parts += 1
    assert parts <= 16
