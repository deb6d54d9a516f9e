"""How long gens turn out to be, learned from those that are over.

A gen is admitted with room for all it may write, whatever was learned. What is learned tells how
much a row will hold later, so that more rows may begin; where one writes more after all, others
wait, or make room and are computed again.
"""

from __future__ import annotations

import math
from collections import deque

Place = tuple[int, ...]  # of a gen in its program: its request's order, without the row

FEWEST = 16  # gens of a place before anything is said of it
KEPT = 64  # the last lengths of a place
QUANTILE = 0.95
MARGIN = 1.1
MOST_PLACES = 4096


class LearnedLengths:
    """`version` changes when what is expected does."""

    def __init__(self) -> None:
        self.version = 0
        self._lengths: dict[Place, deque[int]] = {}
        self._num_noted: dict[Place, int] = {}
        self._expected: dict[Place, int] = {}

    def note(self, place: Place, num_tokens: int) -> None:
        """A gen at `place` is over."""
        if place not in self._lengths and len(self._lengths) >= MOST_PLACES:
            return
        self._lengths.setdefault(place, deque(maxlen=KEPT)).append(num_tokens)
        count = self._num_noted[place] = self._num_noted.get(place, 0) + 1
        expected = self._expected.get(place, 0)
        if count % FEWEST and not (count > FEWEST and num_tokens > expected):
            return
        lengths = sorted(self._lengths[place])
        quantile = lengths[math.ceil(QUANTILE * len(lengths)) - 1]
        found = math.ceil(MARGIN * quantile)
        if not expected / MARGIN <= found <= expected:
            self._expected[place] = found
            self.version += 1

    def expected(self, place: Place, bound: int) -> int:
        """Tokens of a gen that writes no more than `bound`; the bound where too little is known."""
        return min(bound, self._expected.get(place, bound))
