"""The least deterministic automaton of a language.

Partition refinement by rounds (Moore 1956): states are apart when their classes lead to states that
are apart. A round looks only at states whose successors got a new number in the round before, and
what is left of a split block keeps its number, so a long chain costs little a round.
Edward F. Moore, Gedanken-experiments on Sequential Machines, Automata Studies, 1956.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sglc.codegen.automata.class_dfa import ClassDfa, predecessors


def minimize(dfa: ClassDfa) -> ClassDfa:
    """`dfa` must be trimmed. States are numbered in the order of a breadth-first walk."""
    block = _blocks(dfa)
    _, members = np.unique(block, return_index=True)  # a state of each block
    step = np.append(block, -1)[dfa.next[members]]
    number = _breadth_first(step, block[0])
    order = np.argsort(number)
    return ClassDfa(
        np.append(number, -1).astype(np.int32)[step[order]], dfa.is_final[members[order]]
    )


def _blocks(dfa: ClassDfa) -> NDArray[np.int64]:
    """The block of each state, numbered from 0 without gaps."""
    before = predecessors(dfa.next)
    block = np.append(dfa.is_final.astype(np.int64), -1)  # the last stands for "no state"
    sizes = np.bincount(block[:-1], minlength=2).tolist()
    affected = np.arange(len(dfa.is_final))
    while affected.size:
        # by block and by the blocks that its classes lead to
        parts: dict[int, dict[bytes, list[int]]] = {}
        successors = block[dfa.next[affected]]
        for state, old, row in zip(
            affected.tolist(), block[affected].tolist(), successors, strict=True
        ):
            parts.setdefault(old, {}).setdefault(row.tobytes(), []).append(state)
        renamed: list[int] = []
        for old, by_row in parts.items():
            leaving = sorted(by_row.values(), key=len)
            if sum(map(len, leaving)) == sizes[old]:
                leaving.pop()  # all are affected: the largest part stays
            for part in leaving:
                block[part] = len(sizes)
                sizes[old] -= len(part)
                sizes.append(len(part))
                renamed.extend(part)
        sources, _ = before.rows(np.array(renamed, np.int64))
        affected = np.unique(sources)
    return np.unique(block[:-1], return_inverse=True)[1]


def _breadth_first(step: NDArray[np.int64], start: np.int64) -> NDArray[np.int64]:
    number = np.full(len(step), -1)
    front, found = np.array([start]), 0
    while front.size:
        number[front] = found + np.arange(len(front))
        found += len(front)
        targets = step[front].ravel()
        targets = targets[targets >= 0]
        targets = targets[number[targets] < 0]
        _, first = np.unique(targets, return_index=True)
        front = targets[np.sort(first)]
    return number
