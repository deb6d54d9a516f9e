"""A nondeterministic automaton over the classes of an alphabet, and how it is made deterministic by
the subset construction."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sglc.codegen.automata.class_dfa import ClassDfa
from sglc.codegen.automata.limits import MAX_STATES, MAX_STEPS, TooLarge

_MAX_NFA_STATES = 8 * MAX_STATES


@dataclass(slots=True, eq=False)
class Nfa:
    """`moves[s]` are (classes, target); `jumps[s]` are targets reached without a character."""

    start: int = 0
    final: int = 0
    moves: list[list[tuple[tuple[int, ...], int]]] = field(default_factory=list)
    jumps: list[list[int]] = field(default_factory=list)

    def new_state(self) -> int:
        if len(self.moves) >= _MAX_NFA_STATES:
            raise TooLarge(f"more than {_MAX_NFA_STATES:,} places in the constraint")
        self.moves.append([])
        self.jumps.append([])
        return len(self.moves) - 1


def determinize(nfa: Nfa, num_classes: int) -> ClassDfa:
    """The same language; raises TooLarge beyond MAX_STATES states. States in order of discovery."""
    subsets = _Subsets(nfa)
    first = subsets.closure(nfa.start)
    number = {first: 0}
    order = [first]
    rows: list[list[int]] = []
    for subset in order:  # grows while it is walked
        row = [-1] * num_classes
        for classes, reached in subsets.moves(subset):
            if reached not in number:
                if len(order) >= MAX_STATES:
                    raise TooLarge(f"more than {MAX_STATES:,} states")
                number[reached] = len(order)
                order.append(reached)
            for class_ in classes:
                row[class_] = number[reached]
        rows.append(row)
    is_final = np.array([nfa.final in subset for subset in order])
    return ClassDfa(np.array(rows, np.int32).reshape(len(rows), num_classes), is_final)


_Subset = frozenset[int]


class _Subsets:
    """Sets of states, as far as they matter: those with moves, and the final one."""

    def __init__(self, nfa: Nfa) -> None:
        self._nfa = nfa
        self._closures: dict[int, _Subset] = {}
        self._unions: dict[tuple[int, ...], _Subset] = {}
        self._steps_left = MAX_STEPS

    def closure(self, state: int) -> _Subset:
        """What jumps reach from `state`, itself included."""
        known = self._closures.get(state)
        if known is None:
            seen, todo = {state}, [state]
            while todo:
                for target in self._nfa.jumps[todo.pop()]:
                    if target not in seen:
                        seen.add(target)
                        todo.append(target)
            moves, final = self._nfa.moves, self._nfa.final
            known = frozenset(state for state in seen if moves[state] or state == final)
            self._closures[state] = known
            self._count(len(seen))
        return known

    def moves(self, subset: _Subset) -> list[tuple[tuple[int, ...], _Subset]]:
        """(classes, what they lead to), each class at most once."""
        moves = [move for state in subset for move in self._nfa.moves[state]]
        self._count(len(moves))
        if len(moves) == 1:
            return [(moves[0][0], self.closure(moves[0][1]))]
        targets: dict[int, list[int]] = {}
        for classes, target in moves:
            for class_ in classes:
                targets.setdefault(class_, []).append(target)
        together: dict[tuple[int, ...], list[int]] = {}
        for class_, reached in targets.items():
            together.setdefault(tuple(reached), []).append(class_)
        return [(tuple(classes), self._union(reached)) for reached, classes in together.items()]

    def _union(self, targets: tuple[int, ...]) -> _Subset:
        if len(targets) == 1:
            return self.closure(targets[0])
        known = self._unions.get(targets)
        if known is None:
            known = frozenset().union(*map(self.closure, targets))
            self._unions[targets] = known
            self._count(len(known))
        return known

    def _count(self, steps: int) -> None:
        self._steps_left -= steps
        if self._steps_left < 0:
            raise TooLarge("too many ways to read the same text")
