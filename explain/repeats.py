"""Repeated structure as one: `for` loops that were unrolled, questions written one below another.

Before:  text, gen a, text, gen a, text, gen a, result
After:   repeat x 3 (text, gen a), result

Law: a run of neighbours counts as repeated if they agree in kind, title and what they hold, three
times or more; texts and numbers in titles may differ. Its first round stands for all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sglc.explain.dataflow import OUTSIDE, Dataflow, Edge, Node

FEWEST = 3  # rounds
LONGEST = 24  # nodes of a round


@dataclass(frozen=True, slots=True)
class _Run:
    """`count` rounds of `length` neighbours each, from the one at `start`."""

    start: int
    length: int
    count: int


def fold_repeats(flow: Dataflow) -> Dataflow:
    """The graph with each repeated run as a group of kind "repeat" that holds its first round."""
    folding = _Folding(flow)
    folding.level(OUTSIDE, OUTSIDE)
    edges = {
        replace(edge, source=folding.new_id[edge.source], target=folding.new_id[edge.target])
        for edge in flow.edges
    }
    # from one round to the next, and into the next's earlier nodes: the group says that they repeat
    forward = sorted(edge for edge in edges if edge.source < edge.target)
    return Dataflow(tuple(folding.nodes), tuple(_outer(forward, folding.nodes)))


def _outer(edges: Sequence[Edge], nodes: Sequence[Node]) -> Iterator[Edge]:
    """The edges but those from a group to what it holds."""
    for edge in edges:
        inside = nodes[edge.target].inside
        while inside not in (OUTSIDE, edge.source):
            inside = nodes[inside].inside
        if inside == OUTSIDE:
            yield edge


class _Folding:
    """`new_id` is the node that each old one became, or became a round of."""

    def __init__(self, flow: Dataflow) -> None:
        self.flow = flow
        self.nodes: list[Node] = []
        self.new_id: dict[int, int] = {}
        self.kinds: dict[object, int] = {}  # what a node is like -> a number for it
        self.shapes: dict[int, int] = {}
        for node in reversed(flow.nodes):
            self.shapes[node.id] = self._shape(node)

    def level(self, old: int, new: int) -> None:
        """All that stands in group `old`, which became `new`."""
        children = self.flow.children.get(old, [])
        at = 0
        for run in _runs([self.shapes[child.id] for child in children]):
            for child in children[at : run.start]:
                self.keep(child, new)
            at = run.start + run.length * run.count
            first = children[run.start : run.start + run.length]
            group = self._add(Node(0, "repeat", f"{run.count} times", inside=new, times=run.count))
            for child in first:
                self.keep(child, group)
            for k in range(run.start + run.length, at):
                self.merge(children[k], first[(k - run.start) % run.length])
        for child in children[at:]:
            self.keep(child, new)

    def keep(self, node: Node, inside: int) -> None:
        self.new_id[node.id] = self._add(replace(node, inside=inside))
        self.level(node.id, self.new_id[node.id])

    def merge(self, node: Node, into: Node) -> None:
        """All under `node` becomes what stands at its place under `into`."""
        pairs = zip(self.flow.under(node), self.flow.under(into), strict=True)
        for old, kept in pairs:
            self.new_id[old.id] = self.new_id[kept.id]

    def _add(self, node: Node) -> int:
        self.nodes.append(replace(node, id=len(self.nodes)))
        return len(self.nodes) - 1

    def _shape(self, node: Node) -> int:
        held = tuple(self.shapes[child.id] for child in self.flow.children.get(node.id, ()))
        title = re.sub(r"\d+", "0", node.title)  # answer1, answer2, ... are alike
        return self.kinds.setdefault((node.kind, title, held), len(self.kinds))


def _runs(shapes: Sequence[int]) -> Iterator[_Run]:
    """Repeated runs from left to right that do not overlap; at each place the one that covers most,
    of those the one with the shortest round."""
    at = 0
    while at < len(shapes):
        best = _Run(at, 1, 1)
        for length in range(1, min(LONGEST, (len(shapes) - at) // FEWEST) + 1):
            count = 1
            while _round(shapes, at, length, count) == _round(shapes, at, length, 0):
                count += 1
            if count >= FEWEST and count * length > best.count * best.length:
                best = _Run(at, length, count)
        if best.count > 1:
            yield best
        at += best.count * best.length


def _round(shapes: Sequence[int], start: int, length: int, index: int) -> Sequence[int]:
    return shapes[start + index * length : start + (index + 1) * length]
