"""The longest text of an automaton against Python's own enumeration of short ones."""

from __future__ import annotations

import numpy as np
import pytest

from sglc.codegen.automata.constraint import ByteDfa
from sglc.codegen.automata.longest import longest_text


def dfa_of(texts: list[bytes]) -> ByteDfa:
    """The trie of `texts`."""
    states: dict[bytes, int] = {b"": 0}
    for text in texts:
        for end in range(1, len(text) + 1):
            states.setdefault(text[:end], len(states))
    next_ = np.full((len(states), 256), -1, dtype=np.int32)
    for begin, state in states.items():
        if begin:
            next_[states[begin[:-1]], begin[-1]] = state
    is_final = np.array([begin in texts for begin in states])
    return ByteDfa(np.arange(256, dtype=np.uint8), next_, is_final)


@pytest.mark.parametrize("seed", range(20))
def test_of_random_texts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 12, size=rng.integers(1, 30))
    texts = [bytes(rng.integers(97, 100, size=size).tolist()) for size in sizes]
    assert longest_text(dfa_of(texts)) == max(map(len, texts))


def test_ways_that_meet_count_by_the_longest() -> None:
    # a b, and a c d b: both end in one state
    next_ = np.full((5, 4), -1, dtype=np.int32)
    next_[0, 0], next_[1, 1], next_[1, 2], next_[2, 3], next_[3, 1] = 1, 4, 2, 3, 4
    classes = np.zeros(256, dtype=np.uint8)
    is_final = np.array([False, False, False, False, True])
    assert longest_text(ByteDfa(classes, next_, is_final)) == 4


def test_a_way_back_has_no_bound() -> None:
    next_ = np.array([[1, -1], [1, 2], [-1, -1]], dtype=np.int32)
    is_final = np.array([False, False, True])
    assert longest_text(ByteDfa(np.zeros(256, dtype=np.uint8), next_, is_final)) is None
