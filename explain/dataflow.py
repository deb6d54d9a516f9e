"""The dataflow of a program as people read it: what it appends, generates and computes, and what
needs what.

Law: nodes are numbered in program order, and an edge leads from a smaller number to a larger one;
what a group holds comes right after it.
Knows nothing about how the graph is found (`build.py`), shortened (`repeats.py`), placed or drawn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

OUTSIDE = -1  # the group of what stands in none

# kinds of nodes that hold others
GROUPS = frozenset(("fork", "for", "while", "if", "run", "try", "arm", "repeat"))

CONTEXT, VALUE = "context", "value"  # kinds of edges


@dataclass(frozen=True, slots=True)
class Node:
    """`kind` is "input", "text" (of a context, markup included), "gen", "select", "extern",
    "value", "join", "require", "result", or one of GROUPS. `detail` is its whole text or
    expression, `options` what it was given, as `max_tokens=8`. `stage` is when it is known: const,
    input or gen. `place` is `file:line:column`, "" where the plan does not say. `inside` is the
    group that it stands in; `times` how often it runs, None where rows decide."""

    id: int
    kind: str
    title: str
    detail: str = ""
    options: tuple[str, ...] = ()
    stage: str = "const"
    place: str = ""
    inside: int = OUTSIDE
    times: int | None = 1


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """`target` continues the context of `source`, or uses its value."""

    source: int
    target: int
    kind: str


@dataclass(frozen=True)
class Dataflow:
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @cached_property
    def by_id(self) -> dict[int, Node]:
        return {node.id: node for node in self.nodes}

    @cached_property
    def children(self) -> dict[int, list[Node]]:
        """The nodes that stand in each group, in program order."""
        found: dict[int, list[Node]] = defaultdict(list)
        for node in self.nodes:
            found[node.inside].append(node)
        return found

    @cached_property
    def into(self) -> dict[int, list[Edge]]:
        """The edges that lead to each node."""
        found: dict[int, list[Edge]] = defaultdict(list)
        for edge in self.edges:
            found[edge.target].append(edge)
        return found

    def under(self, node: Node) -> Iterator[Node]:
        """The node and all that stands in it."""
        yield node
        for child in self.children.get(node.id, ()):
            yield from self.under(child)


def last_needs(flow: Dataflow) -> dict[int, int]:
    """For each node that makes KV, the last node in program order that attends to it: its KV is
    freed when that one is done. In a branch or loop this holds for each round."""
    needed: dict[int, int] = {}
    for edge in sorted(flow.edges, key=lambda edge: edge.source, reverse=True):
        if edge.kind == CONTEXT:
            last = max(edge.target, needed.get(edge.target, edge.target))
            needed[edge.source] = max(last, needed.get(edge.source, last))
    made = ("text", "gen", "select", "join")
    return {n.id: needed.get(n.id, n.id) for n in flow.nodes if n.kind in made}
