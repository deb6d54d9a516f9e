"""Seeds: fixed for ever, and apart wherever draws must be apart."""

from __future__ import annotations

import struct
from hashlib import blake2b

from sglc.runtime.machine.seeds import explicit_seed, own_seed, uniform


def test_golden_values():
    """These numbers are part of every published result: they may never change."""
    assert own_seed(0, b"", []) == GOLDEN_EMPTY
    assert own_seed(42, b"row-7", [3, 1, 4], 2) == GOLDEN_OWN
    assert own_seed(-1, "ключ".encode(), [-5, 1 << 40]) == GOLDEN_ODD
    assert explicit_seed(42, [3, 1, 4], 2) == GOLDEN_EXPLICIT


GOLDEN_EMPTY = 0x414C6C5A05A01E84
GOLDEN_OWN = 0x04976681213F94D7
GOLDEN_ODD = 0xF32B88CA89EBB617
GOLDEN_EXPLICIT = 0x713FF1C748371913


def test_the_layout_is_the_documented_one():
    key = blake2b(b"42", digest_size=32).digest()
    message = b"\x00" + struct.pack("<q", 3) + b"row" + struct.pack("<4q", 2, 9, -8, 5)
    digest = blake2b(message, key=key, digest_size=8).digest()
    assert own_seed(42, b"row", [9, -8], 5) == struct.unpack("<Q", digest)[0]


def test_different_draws_have_different_seeds():
    seeds = [
        own_seed(seed, row, path, sample)
        for seed in (0, 1, 2**70)
        for row in (b"", b"a", b"b", b"ab")
        for path in ([], [0], [0, 0], [1], [1, 0], [0, 1])
        for sample in (0, 1)
    ]
    seeds += [explicit_seed(s, path, n) for s in (0, 1) for path in ([], [0], [1]) for n in (0, 1)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**64 for seed in seeds)


def test_uniform_covers_the_unit_interval():
    draws = [uniform(own_seed(0, b"", [i])) for i in range(2000)]
    assert 0 <= min(draws) < 0.01 and 0.99 < max(draws) < 1
    assert abs(sum(draws) / len(draws) - 0.5) < 0.02
    assert uniform(2**64 - 1) < 1
