"""A deterministic automaton over the classes of an alphabet: product, trimming, minimization."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sglc.codegen.automata.limits import MAX_STATES, TooLarge
from sglc.codegen.automata.spans import Spans, spans_of


@dataclass(frozen=True, slots=True, eq=False)
class ClassDfa:
    """`next` [N, K] int32 is the state after a character of a class, -1 where there is none;
    `is_final` [N]. State 0 starts."""

    next: NDArray[np.int32]
    is_final: NDArray[np.bool_]


def intersect(first: ClassDfa, second: ClassDfa) -> ClassDfa:
    """The texts of both (product construction, reachable pairs only)."""
    number = {(0, 0): 0}
    pairs = [(0, 0)]
    rows: list[list[int]] = []
    ahead, other = first.next.tolist(), second.next.tolist()
    for one, two in pairs:  # grows while it is walked
        row = []
        for pair in zip(ahead[one], other[two], strict=True):
            if min(pair) >= 0 and pair not in number:
                if len(pairs) >= MAX_STATES:
                    raise TooLarge(f"more than {MAX_STATES:,} states")
                number[pair] = len(pairs)
                pairs.append(pair)
            row.append(number.get(pair, -1))
        rows.append(row)
    is_final = np.array([bool(first.is_final[one] and second.is_final[two]) for one, two in pairs])
    return ClassDfa(np.array(rows, np.int32).reshape(len(rows), first.next.shape[1]), is_final)


def trim(dfa: ClassDfa) -> ClassDfa | None:
    """Without the states from which no final state can be reached; None if no text is accepted."""
    before = predecessors(dfa.next)
    is_alive = dfa.is_final.copy()
    front = np.flatnonzero(is_alive)
    while front.size:
        sources, _ = before.rows(front)
        front = np.unique(sources[~is_alive[sources]])
        is_alive[front] = True
    if not is_alive[0]:
        return None
    number = np.full(len(is_alive) + 1, -1, np.int32)  # the last is for -1
    number[:-1][is_alive] = np.arange(is_alive.sum())
    return ClassDfa(number[dfa.next[is_alive]], dfa.is_final[is_alive])


def predecessors(next_: NDArray[np.int32]) -> Spans:
    """For each state those that lead to it, once for each class."""
    sources, classes = np.nonzero(next_ >= 0)
    targets = next_[sources, classes]
    order = np.argsort(targets, kind="stable")
    return spans_of(targets[order], sources[order], len(next_))
