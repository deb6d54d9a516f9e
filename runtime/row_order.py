"""In which order rows start, among those that were read ahead.

Planned: rows whose first texts begin alike follow one another, so that what they share is computed
once and is free again after its last use; a row that shares with one in flight comes first, then
the oldest. What all rows begin with does not count: it stays in memory anyway.
Looking costs a twentieth of a millisecond a row, so where looks find nothing they become rare.
Law: with nothing shared, rows start as they were read. No row's text, seed or result depends on it.
"""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from sglc.runtime.beginnings import common_len
from sglc.runtime.row import BoundRow

PATIENCE = 8  # chunks without rows that begin alike, after which some are not looked at
MOST_PASSED = 16  # chunks that are not looked at between two looks
LEAST_SHARED = 32  # bytes of beginnings, in excess of what all share: about 8 tokens of text

Beginnings = Callable[[Iterable[BoundRow]], dict[int, bytes]]
Waiting = tuple[int, BoundRow]  # a row and its place among those read


class RowOrder(Protocol):
    """Rows that were read and have not started."""

    def __len__(self) -> int: ...

    @property
    def oldest(self) -> int | None:
        """The lowest place of a row in here."""
        ...

    def put(self, place: int, row: BoundRow) -> None: ...

    def take(self, *, all_start: bool) -> Waiting:
        """The row that starts next; `all_start`: no others come, and all in here start now."""
        ...

    def end(self, index: int) -> None:
        """The row of this index is over."""
        ...


class Arrival:
    """Rows as they were read."""

    def __init__(self) -> None:
        self._waiting: deque[Waiting] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def oldest(self) -> int | None:
        return self._waiting[0][0] if self._waiting else None

    def put(self, place: int, row: BoundRow) -> None:
        self._waiting.append((place, row))

    def take(self, *, all_start: bool) -> Waiting:
        return self._waiting.popleft()

    def end(self, index: int) -> None:
        pass


class Shuffled:
    """Rows at random, to measure what an order is worth."""

    def __init__(self) -> None:
        self._waiting: dict[int, BoundRow] = {}
        self._random = random.Random(0)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def oldest(self) -> int | None:
        return next(iter(self._waiting), None)

    def put(self, place: int, row: BoundRow) -> None:
        self._waiting[place] = row

    def take(self, *, all_start: bool) -> Waiting:
        place = self._random.choice(list(self._waiting))
        return place, self._waiting.pop(place)

    def end(self, index: int) -> None:
        pass


class _Group:
    """Rows that begin alike: those that wait, by place, and how many are in flight. Group 0 is any
    row that was not looked at."""

    __slots__ = ("beginning", "num_running", "number", "waiting")

    def __init__(self, beginning: bytes, number: int) -> None:
        self.beginning = beginning
        self.number = number
        self.waiting: dict[int, BoundRow] = {}
        self.num_running = 0


class _Pace:
    """Which chunks are looked at: all, until PATIENCE of them were in vain; then one after 1, 2, 4
    and at last MOST_PASSED others, until one was not."""

    def __init__(self) -> None:
        self._num_vain = 0
        self._num_to_pass = 0

    def is_due(self) -> bool:
        """Whether to look at the next chunk."""
        self._num_to_pass -= 1
        return self._num_to_pass < 0

    def note(self, *, has_found: bool) -> None:
        """A chunk was looked at."""
        self._num_vain = 0 if has_found else self._num_vain + 1
        beyond = self._num_vain - PATIENCE
        self._num_to_pass = 0 if beyond < 0 else min(MOST_PASSED, 1 << beyond)


class Planned:
    """`beginnings` finds what stands before the first request of rows; `chunk` of them at a
    time."""

    def __init__(self, beginnings: Beginnings, chunk: int) -> None:
        self._beginnings = beginnings
        self._chunk = chunk
        self._fresh: dict[int, BoundRow] = {}  # not looked at yet
        self._group_of: dict[int, _Group] = {}  # by place, of rows that wait; the oldest first
        self._running: dict[int, _Group] = {}  # by index
        self._known: list[tuple[bytes, int]] = []  # beginnings of groups, sorted, and their numbers
        self._groups: dict[int, _Group] = {}
        self._shared: dict[_Group, None] = {}  # whose rows wait, and others of which are in flight
        self._num_groups = 0
        self._pace = _Pace()
        self._lowest: bytes | None = None  # of all beginnings
        self._highest = b""
        self._num_common = 0  # bytes that all rows begin with

    def __len__(self) -> int:
        return len(self._fresh) + len(self._group_of)

    @property
    def oldest(self) -> int | None:
        waiting = next(iter(self._group_of), None)
        return next(iter(self._fresh), None) if waiting is None else waiting

    def put(self, place: int, row: BoundRow) -> None:
        self._fresh[place] = row

    def take(self, *, all_start: bool) -> Waiting:
        if len(self._fresh) >= self._chunk or not self._group_of:
            if all_start and not self._group_of:
                return self._take_fresh()  # the engine sees what they share
            self._look()
        oldest = min((next(iter(group.waiting)) for group in self._shared), default=None)
        place = next(iter(self._group_of)) if oldest is None else oldest
        group = self._group_of.pop(place)
        row = group.waiting.pop(place)
        group.num_running += 1
        self._running[row.index] = group
        self._note(group)
        return place, row

    def end(self, index: int) -> None:
        group = self._running.pop(index, None)
        if group is None:
            return
        group.num_running -= 1
        self._note(group)
        self._forget(group)

    def _note(self, group: _Group) -> None:
        """Rows of `group` have come or gone."""
        if group.num_running and group.waiting:
            self._shared[group] = None
        else:
            self._shared.pop(group, None)

    def _take_fresh(self) -> Waiting:
        place = next(iter(self._fresh))
        return place, self._fresh.pop(place)

    def _look(self) -> None:
        """Sort the fresh rows into groups."""
        found: dict[int, bytes] | None = None
        if self._pace.is_due():
            found = self._beginnings(self._fresh.values())
            self._note_common(found)
        num_groups = self._num_groups
        for place, row in self._fresh.items():
            group = _Group(b"", 0) if found is None else self._group(found.get(row.index, b""))
            group.waiting[place] = row
            self._note(group)
            self._group_of[place] = group
        if found is not None:
            self._pace.note(has_found=self._num_groups - num_groups < len(self._fresh))
        self._fresh.clear()

    def _note_common(self, found: dict[int, bytes]) -> None:
        """What all beginnings have in common, with those `found` now."""
        if found:
            lowest, highest = min(found.values()), max(found.values())
            self._lowest = lowest if self._lowest is None else min(self._lowest, lowest)
            self._highest = max(self._highest, highest)
            self._num_common = common_len(self._lowest, self._highest)

    def _group(self, beginning: bytes) -> _Group:
        """The group of a row: that of the nearest beginning, or a new one."""
        at = bisect_left(self._known, (beginning, 0))
        near = self._known[max(0, at - 1) : at + 1]
        shared = [(common_len(beginning, known), number) for known, number in near]
        most, number = max(shared, default=(0, -1))
        if most >= self._num_common + LEAST_SHARED:
            return self._groups[number]
        self._num_groups += 1
        group = self._groups[self._num_groups] = _Group(beginning, self._num_groups)
        insort(self._known, (beginning, self._num_groups))
        return group

    def _forget(self, group: _Group) -> None:
        if group.number and not (group.num_running or group.waiting):
            del self._known[bisect_left(self._known, (group.beginning, group.number))]
            del self._groups[group.number]
