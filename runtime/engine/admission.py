"""Which waiting request is admitted next.

Saving tokens, rows that have begun go before rows that have not, those that began first before
others; and each waits rather than push out what another will go on from, as long as anything runs.
A row begins, depth-first over the tree, if at no step to come all rows together hold more than
there is room for. So, where rows do what was foreseen, nothing is computed twice; where they do
not, what is pushed out is computed again (`residency.py`), and nothing worse happens.

This saves tokens at the price of steps: with 10 to 50 % of the peak, over random programs, a run
recomputes 4 to 14 % of what a cache does (LRU, longest prefix first) in 1.3 times its steps. By the
cost model that is 11 % less time for 135 million parameters on a CPU, where a step costs what some
20 tokens cost, and 27 % more for 8 billion on a GPU, where it is more than a hundred. So a run
takes this way where it serves its rows best, or another (`way.py`, `planner/trial.py`).
"""

from __future__ import annotations

from collections.abc import Iterable

from sglc.runtime.engine.job import Job
from sglc.runtime.engine.outlook import Outlook
from sglc.runtime.engine.tree import Node, Tree
from sglc.runtime.engine.waiting import WaitingQueue, first_waiting
from sglc.runtime.engine.way import Way

AMPLE = 8  # below a share of 1 / AMPLE of the memory nothing is looked ahead


class Admission:
    """Over the requests of `queue`; without an `outlook` it knows no rows, and goes depth-first as
    early as requests fit, or the way of a cache."""

    def __init__(self, tree: Tree, queue: WaitingQueue) -> None:
        self._tree = tree
        self._queue = queue
        self._slots = tree.slots
        self.way = Way.SAVE_STEPS
        self.outlook: Outlook | None = None
        self._waiting: dict[int, list[Job]] = {}  # by row
        self._last: list[Node] = []  # where the first requests of the row end that opened last
        self._put_back: dict[int, None] = {}  # rows that had opened, in the order of going back

    @property
    def last(self) -> Node:
        """Where the request admitted last ends."""
        return self._queue.last

    def push(self, job: Job, now: int) -> None:
        """`job` waits from step `now` on."""
        self._queue.push(job)
        if self.outlook is not None:
            self._waiting.setdefault(job.order[0], []).append(job)
            self.outlook.note(job.order, now)

    def remove(self, job: Job) -> None:
        """`job` is cancelled."""
        self._queue.remove(job)
        self._forget(job)

    def take(self, job: Job, now: int) -> None:
        """`job`, which was next, is admitted in step `now`."""
        if self.outlook is not None:
            if not self.outlook.is_open(job.order[0]):
                self._last = [other.node for other in self._waiting[job.order[0]]]
                self.outlook.open(job.order, self._own(job))
                self._put_back.pop(job.order[0], None)
            self.outlook.note(job.order, now)
        self._queue.take(job)
        self._forget(job)

    def next_job(self, num_promised: int, now: int, *, is_running: bool) -> Job | None:
        """The request to admit next, None if all wait; `num_promised` slots are out of reach."""
        if self.way is Way.CACHE:
            return self._queue.most_resident(with_gens=False)
        job = self._queue.peek()
        if job is None or self.way is Way.SAVE_STEPS or self.outlook is None:
            return self._without_outlook(job)
        num_used = max(self._slots.num_used, num_promised)
        if num_used + self._missing(job) <= self._slots.num_slots // AMPLE:
            return job
        num_held = num_promised + _num_tokens(self.wanted())
        begun = self._begun()
        for job in begun:
            if num_held + self._missing(job) <= self._slots.num_slots:
                return job
        if begun:
            return None if is_running else self._clear_the_way(num_promised, now, self.outlook)
        job = self._next_to_open()
        if is_running and not self._may_open(job, num_held, now, self.outlook):
            return None
        return job

    def _without_outlook(self, job: Job | None) -> Job | None:
        """The first depth-first, `job`. Where something would have to make room for it, one that
        goes on from a gen comes first: what it has in memory nobody else will use, and so it loses
        most by waiting. For a batch of prompts alone, depth-first recomputes nothing."""
        if job is None or self._missing(job) <= self._slots.num_free:
            return job
        return self._queue.most_resident(with_gens=True) or job

    def _begun(self) -> list[Job]:
        """What open rows wait for, those that opened first before others."""
        assert self.outlook is not None
        return [job for row in self.outlook.open_rows for job in self._waiting.get(row, ())]

    def _clear_the_way(self, num_promised: int, now: int, outlook: Outlook) -> Job:
        """Rows took more than was foreseen, and none can go on: those that opened last go back to
        those that have not begun, until the others can end. What they hold may be evicted."""
        rows = list(outlook.open_rows)
        while len(rows) > 1:
            row = rows.pop()
            outlook.end(row)
            self._put_back[row] = None
            needed = (
                num_promised + _num_tokens(self.wanted()) + sum(map(self._missing, self._begun()))
            )
            if needed + outlook.most_more(now) <= self._slots.num_slots:
                break
        return min(self._begun() or [self._next_to_open()], key=self._missing)

    def _next_to_open(self) -> Job:
        """The first request of a row that was put back; else that of lowest order below the deepest
        node that has any waiting, of those above the first requests of the row that opened last."""
        for row in self._put_back:
            if row in self._waiting:
                return self._waiting[row][0]
        found, depth = self._queue.peek(), -1
        for end in self._last:
            node: Node | None = end
            while node is not None and node.end > depth:
                entry = first_waiting(node)
                if entry is not None:
                    found, depth = entry[2].job, node.end
                node = node.parent
        assert found is not None
        return found

    def _may_open(self, job: Job, num_held: int, now: int, outlook: Outlook) -> bool:
        """Whether the row of `job` can come to its end beside the open ones."""
        siblings = self._waiting[job.order[0]]
        needed = num_held + sum(map(self._missing, siblings))
        more = outlook.most_more(now, job.order, self._own(job))
        return needed + more <= self._slots.num_slots

    def _own(self, job: Job) -> list[Node]:
        """The nodes of the job's prefix that no row wants which is neither open nor its own."""
        own = []
        node = job.node
        while node.parent is not None and not self._is_wanted_by_others(node, job.order[0]):
            own.append(node)
            node = node.parent
        return own

    def _is_wanted_by_others(self, node: Node, row: int) -> bool:
        assert self.outlook is not None
        jobs = (ticket.job for _, _, ticket in node.waiting)
        rows = {job.order[0] for job in jobs if job is not None}
        return any(other != row and not self.outlook.is_open(other) for other in rows)

    def is_put_back(self, order: tuple[int, ...]) -> bool:
        """Whether a request of `order` is of a row that began and was put back."""
        return bool(self._put_back) and order[0] in self._put_back

    def wanted(self) -> set[Node]:
        """Nodes that nothing locks but something will be computed from: a request waits below, or
        one is about to, since they follow a gen, or lie above one that does. What rows wait for
        that were put back, in a place where only they come to, is not among them."""
        follows_gen: dict[Node | None, bool] = {None: False}
        idle, found = self._tree.idle, set()
        for node in idle:
            entry = first_waiting(node)
            if not _follows_gen(node, follows_gen):
                if entry is not None:
                    found.add(node)
            elif entry is None or not self.is_put_back(entry[0]):
                above: Node | None = node
                while above is not None and above not in found:
                    if above in idle:
                        found.add(above)
                    above = above.parent
        return found

    def _missing(self, job: Job) -> int:
        """Slots that are taken when `job` is admitted."""
        return job.growth + _num_tokens(node for node in job.nodes() if not node.extents)

    def _forget(self, job: Job) -> None:
        jobs = self._waiting.get(job.order[0]) if job.order else None
        if jobs is not None and job in jobs:
            jobs.remove(job)
            if not jobs:
                del self._waiting[job.order[0]]


def _num_tokens(nodes: Iterable[Node]) -> int:
    return sum(len(node.tokens) for node in nodes)


def _follows_gen(node: Node | None, known: dict[Node | None, bool]) -> bool:
    """Whether the node or one above it was generated; `known` has what was found before."""
    path = []
    while node not in known:
        assert node is not None
        path.append(node)
        node = node.parent
    found = known[node]
    for below in reversed(path):
        found = known[below] = found or below.is_generated
    return found
