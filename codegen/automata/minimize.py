"""The least deterministic automaton of a language.

Partition refinement by rounds (Moore 1956): states are apart when their classes lead to states that
are apart. A round looks only at states whose successors got a new number in the round before, and
what is left of a split block keeps its number, so a long chain costs little a round.
Edward F. Moore, Gedanken-experiments on Sequential Machines, Automata Studies, 1956.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sglc.codegen.automata.class_dfa import ClassDfa, gather, predecessors


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
    sources, order, starts = predecessors(dfa.next)
    block = np.append(dfa.is_final.astype(np.int64), -1)  # the last stands for "no state"
    num_blocks = 2
    affected = np.arange(len(dfa.is_final))
    while affected.size:
        signature = np.column_stack([block[affected], block[dfa.next[affected]]])
        renamed, new = _renamed(signature, np.bincount(block[:-1], minlength=num_blocks))
        block[affected[renamed]] = num_blocks + new
        num_blocks += int(new.max(initial=-1)) + 1
        affected = np.unique(sources[gather(order, starts, affected[renamed])])
    return np.unique(block[:-1], return_inverse=True)[1]


def _renamed(
    signature: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of the affected states leave their block (`signature` [:, 0]), and the number among
    the new blocks that each gets. Equal signatures stay together; of a block whose states are all
    affected, the largest part stays."""
    groups, group, counts = np.unique(signature, axis=0, return_inverse=True, return_counts=True)
    group = group.reshape(-1)
    old = groups[:, 0]
    affected = np.bincount(signature[:, 0], minlength=len(sizes))
    largest = np.lexsort((counts, old))
    is_last_of_block = np.append(old[largest][1:] != old[largest][:-1], True)
    stays = np.zeros(len(groups), bool)
    stays[largest[is_last_of_block]] = True
    stays &= affected[old] == sizes[old]
    new = np.cumsum(~stays) - 1
    renamed = np.flatnonzero(~stays[group])
    return renamed, new[group[renamed]]


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
