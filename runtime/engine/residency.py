"""Which KV is in memory: requests are admitted with all they can need, the rest may be evicted.

An admitted request's nodes are locked and its growth is promised, so it never runs out of memory
and none waits for another: no deadlock. What is not locked stays as long as there is room; then the
node of the farthest next use goes first (Belady), as the order of the waiting requests tells it (or
what was used longest ago, `way.py`). It is computed again from its tokens when a request needs it.
Law: slots of locked nodes + promised growth <= all slots.
"""

from __future__ import annotations

import itertools
from array import array

from sglc.kernels.tree_attention import BLOCK
from sglc.runtime.engine.admission import Admission
from sglc.runtime.engine.job import GenJob, Job
from sglc.runtime.engine.memory import Extent, SlotAllocator, cut
from sglc.runtime.engine.tree import Handle, Node, Tree
from sglc.runtime.engine.waiting import first_waiting
from sglc.runtime.engine.way import Way


class Residency:
    """With `whole_tails` a gen gets all the slots of its growth when it is admitted. `num_promised`
    are the slots of locked nodes and those that running gens may still fill; `num_evicted` counts
    the tokens whose KV had to make room."""

    def __init__(self, tree: Tree, admission: Admission, *, whole_tails: bool = False) -> None:
        self._tree = tree
        self._admission = admission
        self._slots: SlotAllocator = tree.slots
        self._whole_tails = whole_tails
        self._clock = itertools.count()
        self.num_evicted = 0
        self.num_promised = 0

    def admit(self, job: Job) -> bool:
        """Lock what `job` needs, if all of it fits beside what is promised already."""
        nodes = job.nodes()
        missing = sum(len(node.tokens) for node in nodes if not node.locks)
        if self.num_promised + missing + job.growth > self._slots.num_slots:
            return False
        self.num_promised += missing + job.growth
        job.is_admitted = True
        for node in nodes:
            self._tree.lock(node)
        self._place(job, nodes)
        return True

    def resume(self, job: GenJob, num_computed: int) -> None:
        """`job` left the batch to have the end of its `tokens` run, of which the first
        `num_computed` have KV."""
        tail = job.tail
        assert tail is not None
        tail.tokens = array("i", job.tokens)
        tail.num_computed = tail.num_seen = num_computed
        missing = len(job.tokens) - sum(count for _, count in tail.extents)
        if missing > 0:
            tail.extents += self.grow(missing, tail)

    def settle(self, job: GenJob, tokens: list[int], num_computed: int) -> Handle:
        """The gen is over: its tail keeps `tokens`, of which `num_computed` have KV, or dies."""
        tail = job.tail
        assert tail is not None
        job.tail = None
        tail.tokens = array("i", tokens)
        tail.num_computed = tail.num_seen = num_computed
        if len(tokens) > sum(count for _, count in tail.extents):
            # the last token was not run and has no slot yet; a node is in memory whole or not at
            # all
            tail.extents += self.grow(1, tail)
        kept = cut(tail.extents, len(tokens))
        self._slots.free(tail.extents)
        tail.extents = kept
        if job.is_copy:
            # whoever goes on from here makes a copy of its own
            prefix = self._tree.extend(self._tree.root, [*job.node.tokens, *tokens])
        else:
            prefix = Handle(self._tree, tail) if tokens else job.handle
        if kept:
            self._tree.idle[tail] = None
        tail.last_use = next(self._clock)
        tail.pins -= 1
        self._tree.prune(tail)
        self.release(job)
        return prefix

    def drop(self, job: Job) -> None:
        """The job was cancelled while admitted."""
        if isinstance(job, GenJob):
            self.settle(job, [], 0)
        else:
            self.release(job)

    def release(self, job: Job) -> None:
        """`job` is over: what it alone needed may be evicted."""
        job.is_admitted = False
        now = next(self._clock)
        for node in job.nodes():
            node.last_use = now
            self._tree.unlock(node)
            if not node.locks:
                self.num_promised -= len(node.tokens)
        self.num_promised -= job.growth

    def grow(self, count: int, tail: Node) -> list[Extent]:
        """`count` slots of the growth promised to the running gen of `tail`."""
        self._make_room(count)
        return self._slots.allocate(count, _end(tail))

    def _place(self, job: Job, nodes: list[Node]) -> None:
        """Slots for the absent nodes, in one extent if possible; a gen fills up the last block."""
        absent = [node for node in nodes if not node.extents]
        count = sum(len(node.tokens) for node in absent)
        # what follows goes where that left off: one run of slots, or fewer blocks, are read faster
        above = absent[0].parent if absent else job.node
        after = -1 if above is None else _end(above)
        tail_count = 0
        if isinstance(job, GenJob):
            job.tail = self._tree.add(job.node, array("i", job.tokens), is_generated=True)
            job.tail.pins += 1
            known = len(job.tokens)
            tail_count = min(job.growth, known + -(count + known) % BLOCK)
            if self._whole_tails:
                tail_count = job.growth
        if not count + tail_count:
            return
        self._make_room(count + tail_count)
        extents = self._slots.allocate(count + tail_count, after)
        for node in absent:
            node.extents = cut(extents, len(node.tokens))
        if isinstance(job, GenJob) and job.tail is not None:
            job.tail.extents = extents

    def _make_room(self, count: int) -> None:
        if self._slots.num_free < count:
            self._tree.collect()
        if self._slots.num_free >= count:
            return
        in_order = self._least_needed()
        missing = count - self._slots.num_free
        chosen: list[Node] = []
        while missing > 0:
            chosen.append(in_order[len(chosen)])
            missing -= _size(chosen[-1])
        for node in reversed(chosen):
            if self._admission.way is not Way.CACHE and missing + _size(node) <= 0:
                missing += _size(node)  # there is room enough without it
                continue
            self.num_evicted += node.num_computed
            self._tree.evict(node)

    def _least_needed(self) -> list[Node]:
        """What may be evicted, beginning with what is needed last."""
        idle, admission = self._tree.idle, self._admission
        if admission.way is Way.CACHE:
            # a node was used after those above it, or in the same moment
            return sorted(idle, key=lambda node: (node.last_use, -node.start))
        here: dict[Node, int] = {}
        node: Node | None = admission.last
        while node is not None:
            here[node] = node.end
            node = node.parent
        return sorted(idle, key=lambda node: _next_use(node, here, admission), reverse=True)


def _size(node: Node) -> int:
    return sum(count for _, count in node.extents)


def _end(node: Node) -> int:
    """The slot behind the last one of `node`, or -1."""
    return node.extents[-1].end if node.extents else -1


def _next_use(
    node: Node, here: dict[Node, int], admission: Admission
) -> tuple[bool, bool, int, tuple[int, ...], int]:
    """Sorts nodes by when they are needed next: whether ever, whether by a row that was put back,
    how far up the depth-first walk has to go for it, the order of the first request, and then
    children after their parents."""
    first = first_waiting(node)
    ancestor: Node | None = node
    while ancestor is not None and ancestor not in here:
        ancestor = ancestor.parent
    shared = 0 if ancestor is None else here[ancestor]
    is_put_back = first is not None and admission.is_put_back(first[0])
    return first is None, is_put_back, -shared, first[0] if first else (), node.start
