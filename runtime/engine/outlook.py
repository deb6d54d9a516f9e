"""How much the rows that have begun will still take, so that no row begins which another would have
to make room for.

A `Course` tells how much one row holds, step by step, from its first request to its end. Each open
row is taken to follow its course from where it stands, and at its end to free what of its beginning
is its own. Knows orders of requests and numbers of tokens; what a row does is foreseen elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sglc.runtime.engine.learned import LearnedLengths
from sglc.runtime.engine.way import Limits, Way

if TYPE_CHECKING:
    from sglc.runtime.engine.tree import Node

Order = tuple[int, ...]  # of a request; its first number is the row's
Tokens = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Course:
    """`held[step]` tokens beyond the prefix of its first request are held by a row, `step` steps
    after that request; the one whose order, without the row, is a key of `places` comes at that
    step. There is at least one step."""

    held: Tokens
    places: Mapping[Order, int]


@dataclass(eq=False)
class _OpenRow:
    """`noted` are requests, and the steps in which they came, that were not looked up in the course
    yet: it is asked for only when memory may be short. `own` are the nodes that its end frees."""

    foresee: Callable[[], Course]
    own: list[Node]
    noted: list[tuple[Order, int]] = field(default_factory=list)
    _step: int = 0  # of the course, in which the row was at step `_since` of the run
    _since: int = 0

    @cached_property
    def course(self) -> Course:
        return self.foresee()

    def num_own(self) -> int:
        return sum(len(node.tokens) for node in self.own)

    def more(self, now: int, num_own: int) -> Tokens:
        """How many tokens it will hold beyond those it holds now, by step; at last, when it has
        ended and freed `num_own` of its beginning."""
        places, held = self.course.places, self.course.held
        for order, step in self.noted:
            self._step = places.get(order[1:], self._step + step - self._since)
            self._since = step
        self.noted.clear()
        at = min(self._step + now - self._since, len(held) - 1)
        ahead: Tokens = np.append(held[at:], -num_own) - held[at]
        return ahead


class Outlook:
    """`foresee` gives the course of a row by its number, `choose` the way that serves the rows best
    in an engine of such limits. `lengths` are those of the gens that are over."""

    def __init__(
        self,
        foresee: Callable[[int], Course],
        choose: Callable[[Limits], Way] | None = None,
        lengths: LearnedLengths | None = None,
    ) -> None:
        self._foresee = foresee
        self._choose = choose
        self.lengths = lengths or LearnedLengths()
        self._rows: dict[int, _OpenRow] = {}
        self._owner: dict[Node, _OpenRow] = {}

    def choose(self, limits: Limits) -> Way:
        return Way.SAVE_TOKENS if self._choose is None else self._choose(limits)

    @property
    def open_rows(self) -> Iterable[int]:
        """The rows in progress, the longest open first."""
        return self._rows

    def is_open(self, row: int) -> bool:
        return row in self._rows

    def open(self, order: Order, own: list[Node]) -> None:
        """The first request of a row is admitted; of its nodes no row wants those of `own` that is
        not open."""
        row = self._new_row(order, own)
        self._rows[order[0]] = row
        for node in own:
            # it is free when the last row ends that wants it: take that to be the one that came
            # last
            before = self._owner.get(node)
            if before is not None:
                before.own.remove(node)
            self._owner[node] = row

    def note(self, order: Order, now: int) -> None:
        """A request came, or was admitted, in step `now`."""
        row = self._rows.get(order[0])
        if row is not None:
            row.noted.append((order, now))

    def end(self, row: int) -> None:
        """The row asks nothing more."""
        over = self._rows.pop(row, None)
        for node in over.own if over else ():
            del self._owner[node]

    def most_more(self, now: int, order: Order | None = None, own: Iterable[Node] = ()) -> int:
        """The most tokens, over all steps to come, that the open rows, and one that opens now with
        the request of `order`, hold beyond what they hold now."""
        taken = set(own)
        courses = [np.zeros(1, dtype=np.int64)]
        if order is not None:
            new = self._new_row(order, list(own))
            new.noted.append((order, now))
            courses.append(new.more(now, new.num_own()))
        for row in self._rows.values():
            left = sum(len(node.tokens) for node in row.own if node not in taken)
            courses.append(row.more(now, left))
        total = np.zeros(max(map(len, courses)), dtype=np.int64)
        for more in courses:
            total[: len(more)] += more
            total[len(more) :] += more[-1]
        return int(total.max())

    def _new_row(self, order: Order, own: list[Node]) -> _OpenRow:
        return _OpenRow(lambda: self._foresee(order[0]), own)
