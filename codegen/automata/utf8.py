"""From classes of characters to bytes: UTF-8 as a trie whose leaves are classes.

A character is 1 to 4 bytes. The trie over an alphabet has a node for each beginning of a character;
nodes below which the classes lie alike are one. An automaton over characters gets a state for each
of its states and each node below a first byte, as far as these differ in where they lead.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sglc.codegen.automata.alphabet import Alphabet
from sglc.codegen.automata.class_dfa import ClassDfa
from sglc.codegen.automata.constraint import ByteDfa
from sglc.codegen.automata.limits import MAX_BYTE_STATES, TooLarge

_FANOUT = 64  # continuation bytes 0x80 to 0xBF
_FIRST_OF_LENGTH = {1: 0x80, 2: 0x800, 3: 0x10000}  # continuation bytes -> the least code point


class _Trie:
    """`nodes[depth]`, depth 1 to 3 for the continuation bytes that are still to come, are tuples of
    64: classes at depth 1, else places in `nodes[depth - 1]`; -1 where no class lies below."""

    def __init__(self, alphabet: Alphabet) -> None:
        self._bounds = [*alphabet.bounds, 0x110000]
        self._class_of = alphabet.class_of
        self.nodes: dict[int, list[tuple[int, ...]]] = {1: [], 2: [], 3: []}
        self._places: dict[tuple[int, tuple[int, ...]], int] = {}
        self.first_bytes = [self._below_first(byte) for byte in range(256)]

    def _below_first(self, byte: int) -> tuple[int, int]:
        """(depth, class or node) after a first byte; -1 where it begins no character."""
        if byte < 0x80:
            return 0, self._below(byte, 0, 0)
        depth = 1 if byte < 0xE0 else 2 if byte < 0xF0 else 3
        if not 0xC2 <= byte <= 0xF4:
            return depth, -1
        payload = byte & (0x3F >> depth)
        return depth, self._below(payload << 6 * depth, depth, _FIRST_OF_LENGTH[depth])

    def _below(self, start: int, depth: int, least: int) -> int:
        """The class or node of the 64**depth code points from `start`, without those < `least`."""
        size = _FANOUT**depth
        if start + size <= least or start >= 0x110000:
            return -1
        place = bisect_right(self._bounds, start) - 1
        if depth == 0:
            return self._class_of[place]
        if start >= least and start + size <= self._bounds[place + 1]:
            if self._class_of[place] < 0:
                return -1
            child = self._below(start, depth - 1, least)
            return self._node(depth, (child,) * _FANOUT)
        step = size // _FANOUT
        children = [self._below(start + i * step, depth - 1, least) for i in range(_FANOUT)]
        return self._node(depth, tuple(children))

    def _node(self, depth: int, children: tuple[int, ...]) -> int:
        if max(children) < 0:
            return -1
        key = depth, children
        if key not in self._places:
            self._places[key] = len(self.nodes[depth])
            self.nodes[depth].append(children)
        return self._places[key]


def to_bytes(dfa: ClassDfa, alphabet: Alphabet) -> ByteDfa:
    """The same language over bytes; minimal if `dfa` is (a state within a character is never equal
    to one between characters). States between characters keep their numbers. Raises TooLarge."""
    trie = _Trie(alphabet)
    inner = _InnerStates(len(dfa.is_final))
    # by depth, [N, nodes + 1]: where each state is after entering a node; the last column is for -1
    entered = [_with_none(dfa.next)]
    for depth in (1, 2, 3):
        columns = [inner.enter(entered[-1], np.array(node)) for node in trie.nodes[depth]]
        shape = (len(columns), len(dfa.is_final))
        entered.append(_with_none(np.array(columns, np.int32).reshape(shape).T))
    within = inner.rows()  # [M, 64]
    columns_by_byte: list[NDArray[np.int32]] = []
    for byte, (depth, place) in enumerate(trie.first_bytes):
        between = entered[depth][:, place]
        continued = within[:, byte - 0x80] if 0x80 <= byte < 0xC0 else np.full(len(within), -1)
        columns_by_byte.append(np.concatenate([between, continued]).astype(np.int32))
    classes, columns = distinct_columns(columns_by_byte)
    is_final = np.concatenate([dfa.is_final, np.zeros(len(within), bool)])
    return ByteDfa(classes.astype(np.uint8), np.stack(columns, axis=1), is_final)


def distinct_columns(
    columns: Iterable[NDArray[np.int32]],
) -> tuple[NDArray[np.int64], list[NDArray[np.int32]]]:
    """The place of each column among the distinct ones, and these in order of appearance."""
    places: dict[bytes, int] = {}
    distinct: list[NDArray[np.int32]] = []
    which = []
    for column in columns:
        place = places.setdefault(column.tobytes(), len(distinct))
        if place == len(distinct):
            distinct.append(column)
        which.append(place)
    return np.array(which), distinct


class _InnerStates:
    """The states within characters, one for each distinct row of targets."""

    def __init__(self, num_before: int) -> None:
        self._num_before = num_before
        self._rows: list[NDArray[np.int32]] = []
        self._states: dict[bytes, int] = {}

    def enter(self, entered: NDArray[np.int32], node: NDArray[np.int64]) -> NDArray[np.int32]:
        """The state after entering `node` [64], for each row of the columns that it points into;
        -1 where nothing lies below."""
        below, spread = np.unique(node, return_inverse=True)
        distinct, which = np.unique(entered[:, below], axis=0, return_inverse=True)
        states = np.array([self._state(row[spread]) for row in distinct], np.int32)
        return states[which.reshape(-1)]

    def rows(self) -> NDArray[np.int32]:
        return np.array(self._rows, np.int32).reshape(len(self._rows), _FANOUT)

    def _state(self, row: NDArray[np.int32]) -> int:
        if row.max() < 0:
            return -1
        state = self._states.setdefault(row.tobytes(), self._num_before + len(self._rows))
        if state == self._num_before + len(self._rows):
            if state >= MAX_BYTE_STATES:
                raise TooLarge(f"more than {MAX_BYTE_STATES:,} states over bytes")
            self._rows.append(row)
        return state


def _with_none(columns: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.column_stack([columns, np.full(len(columns), -1, np.int32)])
