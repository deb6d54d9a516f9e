"""The longest text that an automaton accepts."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sglc.codegen.automata.constraint import ByteDfa

MAX_CACHED = 1024


@lru_cache(maxsize=MAX_CACHED)
def longest_text(dfa: ByteDfa) -> int | None:
    """The most bytes of a text of `dfa`; None where there is no bound: states lead back to
    themselves. Every state lies on the way to a text's end, so the longest path is one."""
    sources, classes = np.nonzero(dfa.next >= 0)
    edges = np.unique(np.stack([sources, dfa.next[sources, classes]]), axis=1)
    num_left = np.bincount(edges[1], minlength=len(dfa.next))  # of the edges to each state
    ready = np.flatnonzero(num_left == 0)
    num_seen, length = 0, -1
    while len(ready):
        # the states whose longest way from the start is one byte longer than those before
        num_seen += len(ready)
        length += 1
        is_ready = np.zeros(len(dfa.next), dtype=np.bool_)
        is_ready[ready] = True
        targets = edges[1, is_ready[edges[0]]]
        num_left -= np.bincount(targets, minlength=len(num_left))
        reached = np.unique(targets)
        ready = reached[num_left[reached] == 0]
    return length if num_seen == len(dfa.next) else None
