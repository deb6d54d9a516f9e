"""What a running gen alone sees: the end of its path that no other running gen is below, and its
tail.

The tail grows by cache blocks. Extents that touch count as one; the last of them, which grows by a
token a step, is known by its start only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sglc.kernels.tree_attention import BLOCK
from sglc.runtime.engine.job import GenJob
from sglc.runtime.engine.memory import Extent, cut
from sglc.runtime.engine.tree import Node

Grow = Callable[[int, Node], list[Extent]]


class Tail:
    """`above` is the node whose path the gen shares with others. The gen alone sees `extents`, and
    the slots from `view_start` up to its last token."""

    def __init__(self, job: GenJob, grow: Grow) -> None:
        assert job.tail is not None
        self._job = job
        self._node = job.tail
        self._grow = grow
        self._ahead = list(job.tail.extents)  # not begun
        self._filled: list[Extent] = []
        join(self._filled, cut(self._ahead, len(job.tokens)))
        self._start = -1  # of the extent being filled
        self._top: Node | None = None  # the highest node that is the gen's alone
        self.above = job.node
        self.extents: list[Extent] = []
        self.view_start = -1

    def next_extent(self, end: int) -> Extent:
        """Where the tail goes on, now that it is filled up to slot `end`."""
        if not self._ahead:
            held = sum(extent.num_tokens for extent in self._node.extents)
            self._ahead = self._grow(min(BLOCK, self._job.growth - held), self._node)
            self._node.extents.extend(self._ahead)
        extent = self._ahead.pop(0)
        if extent.slot != end:
            if self._start >= 0:
                self._filled.append(Extent(self._start, end - self._start))
                self.extents.append(Extent(self.view_start, end - self.view_start))
            self._start = self.view_start = extent.slot
        return extent

    def look_up(self) -> None:
        """Find out anew what is the gen's alone: others have come or gone."""
        top, above = None, self._job.node
        while above.parent is not None and above.num_running == 1:
            top, above = above, above.parent
        if top is self._top and above is self.above and self.extents:
            return
        self._top, self.above = top, above
        self.extents = []
        for node in _between(above, self._job.node):
            join(self.extents, node.slots(0, len(node.tokens)))
        join(self.extents, self._filled)
        self.view_start = self._start
        if self.extents and self.extents[-1].end == self._start:
            self.view_start = self.extents.pop().slot


def _between(above: Node, node: Node) -> list[Node]:
    """The path from below `above` down to `node`."""
    nodes = []
    at: Node | None = node
    while at is not None and at is not above:
        nodes.append(at)
        at = at.parent
    return nodes[::-1]


def join(extents: list[Extent], more: Iterable[Extent]) -> None:
    """Append `more`, lengthening the last extent where they touch."""
    for extent in more:
        if extents and extents[-1].end == extent.slot:
            last = extents[-1]
            extents[-1] = Extent(last.slot, last.num_tokens + extent.num_tokens)
        else:
            extents.append(extent)
