"""Where each token leads from every state, all states at once.

The tokens of a vocabulary are walked together, a byte at a time. A *column* [D] holds where one
piece of text leads from each state; pieces with equal columns are one from there on, and of these
there are few (for a string of at most 24 characters: one for each number of characters, roughly).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sglc.codegen.automata.limits import MAX_TABLE_BYTES, TooLarge
from sglc.codegen.automata.steps import Steps
from sglc.codegen.automata.vocabulary import Vocabulary

_NOWHERE, _STAY = 0, 1


def token_columns(
    steps: Steps, num_states: int, vocabulary: Vocabulary
) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
    """The place [V] of each token's column, and the columns [N, D] of table states, -1 where the
    token is not allowed. Column 0 is allowed nowhere; tokens without bytes have it.

    Raises TooLarge when the columns take too much memory.
    """
    num_classes = steps.next.shape[1]
    # the last row is the state after what is not allowed: index -1 finds it
    ahead = np.concatenate([steps.next, np.full((1, num_classes), -1, np.int32)]).astype(np.int16)
    by_class = np.ascontiguousarray(ahead.T)  # [K, E + 1]
    columns = _Columns(num_states)
    place = np.full(vocabulary.size, _NOWHERE)
    nodes, node_place = np.array([0]), np.array([_STAY])
    for level in vocabulary.trie:
        nodes, counts = level.below.rows(nodes)
        keys = np.repeat(node_place, counts) * num_classes + steps.classes[level.bytes[nodes]]
        after = np.zeros(len(columns.all) * num_classes, np.int64)
        after[keys] = 1
        for key in np.flatnonzero(after):
            column, class_ = divmod(int(key), num_classes)
            after[key] = columns.place(by_class[class_][columns.all[column]])
        is_alive = after[keys] != _NOWHERE
        nodes, node_place = nodes[is_alive], after[keys[is_alive]]
        ids, counts = level.ids.rows(nodes)
        place[ids] = np.repeat(node_place, counts)
        if not nodes.size:
            break
    used, number = _used(place, len(columns.all))
    table_state = np.append(steps.table_state, -1).astype(np.int16)
    return number[place], table_state[np.stack([columns.all[column] for column in used])]


def _used(place: NDArray[np.int64], num_places: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places in use, _NOWHERE always among them, and the number of each among these."""
    is_used = np.zeros(num_places, bool)
    is_used[place] = True
    is_used[_NOWHERE] = True
    return np.flatnonzero(is_used), np.cumsum(is_used) - 1


class _Columns:
    """The distinct columns so far, of states of `Steps`."""

    def __init__(self, num_states: int) -> None:
        self.all: list[NDArray[np.int16]] = []
        self._places: dict[bytes, int] = {}
        self.place(np.full(num_states, -1, np.int16))
        self.place(np.arange(num_states, dtype=np.int16))

    def place(self, column: NDArray[np.int16]) -> int:
        place = self._places.setdefault(column.tobytes(), len(self.all))
        if place == len(self.all):
            if place * column.nbytes > 2 * MAX_TABLE_BYTES:
                raise TooLarge("too many tokens that lead to different places")
            self.all.append(column)
        return place
