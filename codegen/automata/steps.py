"""Byte by byte through a value and into the text that follows it.

A token may end inside the follow text, so one automaton reads both: beside the states of the value
it has states that have left the value, or may have. Which states a token leads to is then a matter
of walking its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sglc.codegen.automata.constraint import ByteDfa
from sglc.codegen.automata.limits import MAX_BYTE_STATES, TooLarge


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """`classes` [256] and `next` [E, K] as in ByteDfa; the first D states are the value's own.
    `table_state` [E]: the state of the token table that each stands for: where bytes may belong to
    the value they do, else the state is `follow`, which is D."""

    classes: NDArray[np.uint8]
    next: NDArray[np.int32]
    table_state: NDArray[np.int32]

    def walk(self, state: int, text: bytes) -> int:
        """The state after `text`, -1 if it is not allowed."""
        for byte in text:
            state = int(self.next[state, self.classes[byte]])
            if state < 0:
                return -1
        return state


def steps_of(dfa: ByteDfa, follow: bytes) -> Steps:
    """The steps through a value, and then through as much of `follow` as may come."""
    num_states = len(dfa.is_final)
    own = np.arange(num_states, dtype=np.int32)
    if not follow:
        return Steps(dfa.classes, dfa.next, own)
    # each byte of the follow text is a class by itself
    keys = dfa.classes.astype(np.int64) * 257
    for byte in set(follow):
        keys[byte] += 1 + byte
    _, members, classes = np.unique(keys, return_index=True, return_inverse=True)
    next_ = dfa.next[:, dfa.classes[members]]
    beyond = _Beyond(next_.tolist(), dfa.is_final.tolist(), classes[list(follow)].tolist())
    first = classes[follow[0]]
    next_[dfa.is_final, first] = [
        beyond.state(int(target), 1) for target in next_[dfa.is_final, first]
    ]
    rows = np.array(beyond.rows(), np.int32).reshape(-1, next_.shape[1])
    table_state = [state if state >= 0 else num_states for state, _ in beyond.states]
    return Steps(
        classes.astype(np.uint8),
        np.concatenate([next_, rows]),
        np.concatenate([own, np.array(table_state, np.int32)]),
    )


class _Beyond:
    """The states that may have left the value: (state of the value or -1, bits), where bit i - 1
    says that i bytes of the follow text may have been written."""

    def __init__(self, next_: list[list[int]], is_final: list[bool], follow: list[int]) -> None:
        self._next, self._is_final, self._follow = next_, is_final, follow
        self._masks: dict[int, int] = {}  # class -> the bits that it moves on
        for place, class_ in enumerate(follow[1:]):
            self._masks[class_] = self._masks.get(class_, 0) | 1 << place
        self._numbers: dict[tuple[int, int], int] = {}
        self.states: list[tuple[int, int]] = []

    def state(self, inside: int, bits: int) -> int:
        """The number of a state; -1 if it is neither in the value nor in the follow text."""
        if not bits:
            return inside
        number = self._numbers.setdefault((inside, bits), len(self._next) + len(self.states))
        if number == len(self._next) + len(self.states):
            if number >= MAX_BYTE_STATES:
                raise TooLarge(f"more than {MAX_BYTE_STATES:,} states with the text that follows")
            self.states.append((inside, bits))
        return number

    def rows(self) -> list[list[int]]:
        rows = []
        for inside, bits in self.states:  # grows while it is walked
            row = []
            for class_ in range(len(self._next[0])):
                target = self._next[inside][class_] if inside >= 0 else -1
                moved = (bits & self._masks.get(class_, 0)) << 1
                if inside >= 0 and self._is_final[inside] and class_ == self._follow[0]:
                    moved |= 1
                row.append(self.state(target, moved))
            rows.append(row)
        return rows
