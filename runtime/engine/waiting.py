"""The waiting requests, taken depth-first over the tree of tokens.

Each node has a heap of the requests that wait at or below it. The next request is the one of lowest
order below the nearest ancestor (of the last one taken) that still has any: what shares the most
with what was just computed comes next, so that each shared edge is computed once and is free again
after its last use.
Law: with nothing shared, requests come in the order they were given.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sglc.runtime.engine.job import Job
    from sglc.runtime.engine.tree import Node


class Ticket:
    """A job's place in the heaps; without a job once it waits no longer."""

    __slots__ = ("job",)

    def __init__(self, job: Job) -> None:
        self.job: Job | None = job


Entry = tuple[tuple[int, ...], int, Ticket]  # order, serial number, place


class WaitingQueue:
    """`last` is where the request taken last ends."""

    def __init__(self, root: Node) -> None:
        self.last = root
        self._serial = count()
        self._tickets: dict[Job, Ticket] = {}

    def __contains__(self, job: Job) -> bool:
        return job in self._tickets

    def push(self, job: Job) -> None:
        ticket = self._tickets[job] = Ticket(job)
        entry = (job.order, next(self._serial), ticket)
        node: Node | None = job.node
        while node is not None:
            heappush(node.waiting, entry)
            node = node.parent

    def remove(self, job: Job) -> None:
        """Take a waiting job out; its entries vanish as they surface, in every heap above it: those
        of nodes that live as long as the run would grow with it otherwise."""
        self._tickets.pop(job).job = None
        node: Node | None = job.node
        while node is not None:
            first_waiting(node)
            node = node.parent

    def peek(self) -> Job | None:
        """The next request, left where it is."""
        if not self._tickets:
            return None
        node: Node | None = self.last
        while node is not None:
            entry = first_waiting(node)
            if entry is not None:
                return entry[2].job
            node = node.parent
        raise AssertionError("a waiting request is in no heap")

    def most_resident(self, *, with_gens: bool) -> Job | None:
        """The request that has most of its prefix in memory, of several the first in order; of
        those only, if `with_gens`, that go on from a gen whose tokens are in memory."""

        def key(job: Job) -> tuple[int, tuple[int, ...]]:
            return -sum(node.num_computed for node in job.node.path()), job.order

        found = (
            job
            for job in self._tickets
            if not with_gens or any(n.is_generated and n.num_computed for n in job.node.path())
        )
        return min(found, key=key, default=None)

    def take(self, job: Job) -> None:
        """`job` (from `peek`) is admitted."""
        self.remove(job)
        self.last = job.node


def first_waiting(node: Node) -> Entry | None:
    """The entry of lowest order at or below `node`; entries that no longer wait are dropped."""
    heap = node.waiting
    while heap and heap[0][2].job is None:
        heappop(heap)
    return heap[0] if heap else None
