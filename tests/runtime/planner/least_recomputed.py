"""The fewest tokens that have to be computed twice to run some requests in so much memory, found by
looking at every order of them and everything that may make room.

Running requests together takes no less memory than running them one by one, so one by one is
enough. A node is in memory whole or not at all, as in the engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import combinations, count

Ids = frozenset[int]


@dataclass(frozen=True)
class Piece:
    """A node: `tokens` of it, the last of which is first computed by who comes after it, if it was
    generated."""

    tokens: int
    is_generated: bool


@dataclass(frozen=True)
class Asked:
    """A request: the pieces before it, the slots that it may fill, the piece that it leaves (None:
    it leaves nothing), and the requests that must have been answered before."""

    path: tuple[int, ...]
    growth: int
    leaves: int | None
    after: Ids


def least_recomputed(pieces: list[Piece], asked: list[Asked], num_slots: int) -> int | None:
    """By Dijkstra's algorithm over (what is answered, what is in memory); None: it does not fit."""
    start: tuple[Ids, Ids] = (frozenset(), frozenset())
    best = {start: 0}
    serial = count()
    heap = [(0, 0, next(serial), start)]
    while heap:
        cost, _, _, state = heappop(heap)
        if best[state] < cost:
            continue
        if len(state[0]) == len(asked):
            return cost
        for more, after in _steps(pieces, asked, num_slots, *state):
            if cost + more < best.get(after, 1 << 60):
                best[after] = cost + more
                # of equal costs, what has come farthest
                heappush(heap, (cost + more, -len(after[0]), next(serial), after))
    return None


def _steps(
    pieces: list[Piece], asked: list[Asked], num_slots: int, done: Ids, there: Ids
) -> Iterator[tuple[int, tuple[Ids, Ids]]]:
    left = {number: request for number, request in enumerate(asked) if number not in done}
    ran = {piece for number in done for piece in asked[number].path}
    wrote = {asked[number].leaves for number in done}
    for number, request in left.items():
        if not request.after <= done:
            continue
        again = 0
        for piece in set(request.path) - there:
            if piece in ran:
                again += pieces[piece].tokens
            elif piece in wrote:
                again += pieces[piece].tokens - 1
        now = done | {number}
        needed = {piece for other in left if other != number for piece in asked[other].path}
        held = set(request.path)
        room = num_slots - sum(pieces[piece].tokens for piece in held) - request.growth
        if room < 0:
            continue
        others = sorted(there - held)
        for kept in _fitting(others, pieces, room):
            resident = held | set(kept)
            if request.leaves is not None:
                resident.add(request.leaves)
            yield again, (now, frozenset(resident & needed))


def _fitting(others: list[int], pieces: list[Piece], room: int) -> Iterator[Iterable[int]]:
    """The largest sets of `others` that fit."""
    found: list[set[int]] = []
    for size in range(len(others), -1, -1):
        for kept in combinations(others, size):
            if sum(pieces[piece].tokens for piece in kept) > room:
                continue
            if any(set(kept) < more for more in found):
                continue
            found.append(set(kept))
            yield kept
