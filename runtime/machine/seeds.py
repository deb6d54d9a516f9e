"""Seeds: which random numbers a gen or select draws with (rule 5 of the language).

A seed is the first 64 bits of a keyed hash of what the draw *is*: the run's seed, the row's key,
the dynamic path to the statement and the sample number. It does not depend on the row's place, on
its batch, or on what ran before.
Law: the layout below is part of the results, and never changes; the test holds golden values.

    own seed:       key      blake2b-256(str(run seed))
                    message  0x00 | len(row key) | row key | path | sample
    explicit seed:  key      blake2b-256(str(explicit seed))
                    message  0x01 | path | sample

Integers of the message are 8 bytes, little endian, two's complement; the path is its length and its
numbers. The seed is blake2b-64(message, key), read as a little-endian unsigned integer.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

_WRAP = 1 << 64


def own_seed(run_seed: int, row_key: bytes, path: Sequence[int], sample: int = 0) -> int:
    """The seed of a draw whose author gave none."""
    row = b"\x00" + struct.pack("<q", len(row_key)) + row_key
    return _seed(_key(run_seed), row + _numbers(path, sample))


def explicit_seed(seed: int, path: Sequence[int], sample: int = 0) -> int:
    """The seed of a draw with the option `seed`: equal in all rows and runs, apart by path."""
    return _seed(_key(seed), b"\x01" + _numbers(path, sample))


def uniform(seed: int) -> float:
    """A float of [0, 1) from the seed's top 53 bits."""
    return (seed >> 11) / (1 << 53)


@lru_cache(maxsize=256)
def _key(seed: int) -> bytes:
    return blake2b(str(seed).encode(), digest_size=32).digest()


def _numbers(path: Sequence[int], sample: int) -> bytes:
    numbers = [len(path), *path, sample]
    return struct.pack(f"<{len(numbers)}Q", *(number % _WRAP for number in numbers))


def _seed(key: bytes, message: bytes) -> int:
    return int.from_bytes(blake2b(message, key=key, digest_size=8).digest(), "little")
