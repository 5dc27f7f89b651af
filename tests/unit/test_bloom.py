"""The bloom of a header: against real implementations' filters, and what is read from one."""

from __future__ import annotations

import random

import pytest

from ogpu.errors import RPCInvalidResponse
from ogpu.rpc.bloom import BITS, bits_of, bits_of_hex, bloom_of, chance

# go-ethereum's core/types/bloom9_test.go, TestBloomExtensively: the Keccak of 100 texts' filter
GETH_HASH = "c8d3ca65cdb4874300a9e39475508f23ed6da09fdbc487f89a2dcf50b09eb263"


def test_it_is_geth_s_filter() -> None:
    from eth_hash.auto import keccak

    bloom = 0
    for number in range(100):
        bloom |= bits_of(f"xxxxxxxxxx data {number} yyyyyyyyyyyyyy".encode())
    assert keccak(bloom.to_bytes(BITS // 8, "big")).hex() == GETH_HASH
    for number in range(100):
        its = bits_of(f"xxxxxxxxxx data {number} yyyyyyyyyyyyyy".encode())
        assert bloom & its == its


def test_what_was_put_in_is_found_and_little_else() -> None:
    draw = random.Random(7)
    inside = [draw.randbytes(20) for _ in range(50)]
    bloom = bloom_of("0x" + f"{_all(inside):0512x}")
    assert all(bits_of(one) & bloom == bits_of(one) for one in inside)
    others = [draw.randbytes(20) for _ in range(5000)]
    found = sum(bits_of(one) & bloom == bits_of(one) for one in others)
    assert 0 < found < 50
    assert chance(bloom) * 5000 == pytest.approx(found, abs=12)


def _all(values: list[bytes]) -> int:
    bloom = 0
    for value in values:
        bloom |= bits_of(value)
    return bloom


def test_hex_and_bytes_set_the_same_bits() -> None:
    assert bits_of_hex("0x" + "ab" * 20) == bits_of(b"\xab" * 20)


def test_an_empty_filter_has_nothing_and_a_full_one_everything() -> None:
    assert chance(0) == 0
    assert chance((1 << BITS) - 1) == 1


@pytest.mark.parametrize("value", [None, "", "0x", "0x00", 7, "0x" + "0" * 511, "0x" + "g" * 512, "0" * 514])
def test_what_is_no_filter_is_refused(value: object) -> None:
    with pytest.raises(RPCInvalidResponse, match="logsBloom"):
        bloom_of(value)
