"""What a step computes for requests that are not running yet: segments of nodes, and whose logits.

A segment is a run of tokens of one node. Segments of one step may depend on each other: a child's
tokens go through the model together with its parent's. A token whose KV is there already is run
again only for its logits, and then its KV is not written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sglc.runtime.engine.job import GenJob, Job, ScoreJob
from sglc.runtime.engine.tree import Node


@dataclass(slots=True)
class Segment:
    """Tokens [begin, end) of `node`, in rows from `first_row` of the step. Those below the node's
    `num_computed` are repeated. `is_scored` segments belong to choices."""

    node: Node
    begin: int
    end: int
    is_scored: bool = False
    first_row: int = -1

    def __len__(self) -> int:
        return self.end - self.begin

    @property
    def rows(self) -> range:
        return range(self.first_row, self.first_row + len(self))


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """The logits after token `offset` of `node` are wanted: by a gen that starts there, for the
    report of a forced token (`is_report`), or (`entry` set) by a score request for the children of
    that entry."""

    job: Job
    node: Node
    offset: int
    entry: int = -1
    is_report: bool = False


@dataclass(slots=True)
class Prefill:
    segments: dict[Node, Segment] = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)

    @property
    def num_rows(self) -> int:
        return sum(len(segment) for segment in self.segments.values())


class PrefillPlanner:
    """Fills one step with at most `budget` tokens (and a few repeated ones) for jobs in their
    order."""

    def __init__(self, budget: int) -> None:
        self._left = budget
        self.plan = Prefill()

    def add(self, jobs: Iterable[Job]) -> Prefill:
        for job in jobs:
            if self._left <= 0:
                break
            prompt = job.prompt()
            if not all(self._run(node, len(node.tokens)) for node in prompt):
                continue
            if isinstance(job, ScoreJob):
                self._add_choices(job)
            elif isinstance(job, GenJob):
                self._add_reports(job)
                self._read(Read(job, prompt[-1], len(prompt[-1].tokens) - 1))
        return self.plan

    def _add_reports(self, job: GenJob) -> None:
        """The rows from which forced tokens would have been sampled, in order."""
        first = len(job.tokens) - job.num_unreported
        for place in range(first, len(job.tokens)):
            if place == 0:
                read = Read(job, job.node, len(job.node.tokens) - 1, is_report=True)
            else:
                assert job.tail is not None
                read = Read(job, job.tail, place - 1, is_report=True)
            self._read(read)

    def _add_choices(self, job: ScoreJob) -> None:
        choices = job.choices
        if choices.needs(0):
            self._read(Read(job, job.node, len(job.node.tokens) - 1, entry=0))
        entries_at: dict[Node, list[int]] = {}
        for end, entries in zip(job.ends, choices.entries, strict=True):
            for node in end.node.path():
                low = node.start - job.node.end
                if low >= 0:
                    entries_at.setdefault(node, entries[low : low + len(node.tokens)])
        done: dict[Node, bool] = {job.node: True}
        for node, entries in entries_at.items():
            assert node.parent is not None
            wanted = [i for i, entry in enumerate(entries) if choices.children[entry]]
            # a choice's last token is not run: nothing is read after it
            is_there = done[node.parent] and (
                not wanted or self._run(node, wanted[-1] + 1, is_scored=True)
            )
            done[node] = is_there
            for offset in wanted:
                if choices.needs(entries[offset]) and offset < self._reached(node):
                    self._read(Read(job, node, offset, entry=entries[offset]))

    def _reached(self, node: Node) -> int:
        """How many tokens of `node` have KV after this step."""
        segment = self.plan.segments.get(node)
        return max(node.num_computed, segment.end if segment else 0)

    def _run(self, node: Node, end: int, *, is_scored: bool = False) -> bool:
        """Compute `node` up to token `end` as far as the budget goes; whether it got there."""
        reached = self._reached(node)
        part = min(end - reached, self._left)
        if part > 0:
            segment = self.plan.segments.setdefault(
                node, Segment(node, reached, reached, is_scored)
            )
            segment.end = reached + part
            self._left -= part
        return reached + max(part, 0) >= end

    def _read(self, read: Read) -> None:
        """Have the row of `read` in the step, by repeating tokens if need be."""
        offset = read.offset
        segment = self.plan.segments.setdefault(read.node, Segment(read.node, offset, offset + 1))
        before = len(segment)
        segment.begin = min(segment.begin, offset)
        segment.end = max(segment.end, offset + 1)
        self._left -= len(segment) - before
        self.plan.reads.append(read)
