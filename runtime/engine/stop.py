"""Where a gen ends: which tokens can end it, and what of its tokens and text is kept.

Rule 3 of the language: the text ends before the stop; the kept tokens are those that end at or
before it, back to a character boundary; the text between them and the stop is the rest. A character
cut short by the end is no text.
Law: matching is on bytes, so it does not depend on how characters are cut into tokens.
"""

from __future__ import annotations

import codecs
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from sglc.ir.host import regex
from sglc.runtime.engine.request import Sampling

Codes = NDArray[np.uint8]  # [V]
GOES_ON, ENDS, MAY_STOP = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Kept:
    """The first `num_tokens` tokens are kept; `text` is all of the bound text, `rest` its end."""

    num_tokens: int
    text: str
    rest: str


class StopTables:
    """For each way to stop, what every token of the vocabulary does: one look-up a sampled
    token."""

    MAX_CACHED = 256

    def __init__(self, token_bytes: Sequence[bytes], eos_ids: Iterable[int]) -> None:
        self._eos_ids = sorted(eos_ids)
        order = sorted(range(len(token_bytes)), key=token_bytes.__getitem__)
        self._ids = np.array(order)  # by their bytes
        self._sorted = [token_bytes[id] for id in order]
        self._blob = b"".join(token_bytes)
        self._starts = [0, *accumulate(map(len, token_bytes))]
        self._cached: dict[tuple[object, ...], Codes] = {}

    def codes(self, sampling: Sampling) -> Codes:
        """GOES_ON, ENDS (EOS or a stop id) or MAY_STOP (a stop text or regex may end with it)."""
        key = (sampling.stop, sampling.stop_token_ids, bool(sampling.stop_regex))
        codes = self._cached.get(key)
        if codes is None:
            if len(self._cached) >= self.MAX_CACHED:
                self._cached.clear()
            codes = self._cached[key] = self._new_codes(sampling)
        return codes

    def _new_codes(self, sampling: Sampling) -> Codes:
        codes = np.zeros(len(self._sorted), dtype=np.uint8)
        if sampling.stop_regex:
            codes[:] = MAY_STOP
        for stop in sampling.stop:
            codes[self._may_end(stop.encode())] = MAY_STOP
        codes[self._eos_ids] = ENDS
        codes[list(sampling.stop_token_ids)] = ENDS
        return codes

    def _may_end(self, stop: bytes) -> list[int]:
        """Ids of the tokens inside which an occurrence of `stop` can end."""
        found: list[int] = []
        at = self._blob.find(stop)
        while at >= 0:
            # the last token that starts at or before the occurrence
            id = bisect_left(self._starts, at + 1) - 1
            if at + len(stop) <= self._starts[id + 1]:
                found.append(id)
            at = self._blob.find(stop, at + 1)
        for length in range(1, len(stop)):
            end = stop[-length:]
            low = bisect_left(self._sorted, end)
            high = bisect_left(self._sorted, True, low, key=lambda token: token[:length] > end)
            found.extend(self._ids[low:high].tolist())
        return found


def find_stop(pieces: Sequence[bytes], sampling: Sampling) -> int | None:
    """Byte offset of the stop that the last token of `pieces` completes, or None.

    Of several the one that starts first. What ends within the first `min_tokens` tokens is no stop.
    Raises `regex.SearchFailed` where a stop regex takes too long.
    """
    data = b"".join(pieces)
    settled = max(
        len(data) - len(pieces[-1]), sum(map(len, pieces[: sampling.min_tokens]))
    )  # a stop ends after this
    starts = []
    for stop in sampling.stop:
        text = stop.encode()
        start = data.find(text, max(0, settled - len(text) + 1))
        if start >= 0:
            starts.append(start)
    if sampling.stop_regex:
        # one surrogate a bad byte, so that characters map back to bytes
        text_so_far = data[: len(data) - _num_pending(data)].decode("utf-8", "surrogateescape")
        protected = sum(map(len, pieces[: sampling.min_tokens]))
        for pattern in sampling.stop_regex:
            for (first, last), *_ in regex.spans("finditer", pattern, text_so_far):
                end = len(text_so_far[:last].encode("utf-8", "surrogateescape"))
                if last > first and end > protected:
                    start = len(text_so_far[:first].encode("utf-8", "surrogateescape"))
                    starts.append(start)
                    break
    return min(starts, default=None)


def keep(pieces: Sequence[bytes], stop_at: int | None, completion: str = "") -> Kept:
    """What is kept of tokens with these bytes when the text ends at byte `stop_at` (None: at the
    end), and `completion` then follows as text."""
    data = b"".join(pieces)[:stop_at]
    if stop_at is None and not _num_pending(data):
        return Kept(len(pieces), data.decode("utf-8", "replace") + completion, completion)
    while pending := _num_pending(data):
        data = data[:-pending]
    ends = [0, *accumulate(map(len, pieces))]
    count = len(pieces)
    while ends[count] > len(data) or _num_pending(data[: ends[count]]):
        count -= 1
    text = data.decode("utf-8", "replace")
    rest = data[ends[count] :].decode("utf-8", "replace")
    return Kept(count, text + completion, rest + completion)


def _num_pending(data: bytes) -> int:
    """How many bytes at the end of `data` are the beginning of a character that lacks its end."""
    for length in range(1, min(3, len(data)) + 1):
        if data[-length] & 0xC0 != 0x80:  # not a continuation: a character starts here
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            decoder.decode(data[-length:])
            return len(decoder.getstate()[0])
    return 0
