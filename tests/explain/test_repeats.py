"""What repeats becomes one group, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sglc.explain.dataflow import CONTEXT, OUTSIDE, Dataflow, Edge, Node
from sglc.explain.repeats import fold_repeats

FlowOf = Callable[[str], Dataflow]


def chain(*titles: str) -> Dataflow:
    """Gens one after another."""
    nodes = tuple(Node(k, "gen", title) for k, title in enumerate(titles))
    edges = tuple(Edge(k, k + 1, CONTEXT) for k in range(len(titles) - 1))
    return Dataflow(nodes, edges)


def shape(flow: Dataflow, group: int = OUTSIDE) -> list[object]:
    """Titles, those of a repeat in a list behind how often."""
    found: list[object] = []
    for node in flow.children.get(group, []):
        is_repeat = node.kind == "repeat"
        found.append([node.times, *shape(flow, node.id)] if is_repeat else node.title)
    return found


@pytest.mark.parametrize(
    ("titles", "folded"),
    [
        ("a b c", ["a", "b", "c"]),
        ("a a", ["a", "a"]),
        ("a a a", [[3, "a"]]),
        ("x a b a b a b y", ["x", [3, "a", "b"], "y"]),
        ("a b a b a b a", [[3, "a", "b"], "a"]),
        ("a1 a2 a3 a4", [[4, "a1"]]),
        ("a a a b b b", [[3, "a"], [3, "b"]]),
        ("a a b a a b a a b", [[3, "a", "a", "b"]]),
    ],
)
def test_runs_of_three_or_more(titles: str, folded: list[object]) -> None:
    assert shape(fold_repeats(chain(*titles.split()))) == folded


def test_edges_are_those_of_the_first_round_and_of_what_is_around() -> None:
    flow = fold_repeats(chain("x", "a", "b", "a", "b", "a", "b", "y"))
    titles = {node.id: node.title for node in flow.nodes}
    assert sorted((titles[e.source], titles[e.target]) for e in flow.edges) == [
        ("a", "b"),
        ("b", "y"),
        ("x", "a"),
    ]
    assert all(edge.source < edge.target for edge in flow.edges)


def test_what_differs_inside_is_kept_apart() -> None:
    groups = [Node(2 * k, "fork", "d") for k in range(4)]
    inner = [Node(2 * k + 1, "gen", "a" if k < 3 else "b", inside=2 * k) for k in range(4)]
    flow = Dataflow(tuple(sorted([*groups, *inner], key=lambda node: node.id)), ())
    folded = fold_repeats(flow)
    assert [(n.kind, n.title, n.inside) for n in folded.nodes] == [
        ("repeat", "3 times", OUTSIDE),
        ("fork", "d", 0),
        ("gen", "a", 1),
        ("fork", "d", OUTSIDE),
        ("gen", "b", 3),
    ]


def test_an_unrolled_loop(flow_of: FlowOf) -> None:
    flow = flow_of(
        """
        program p(a: str):
            let all = []
            for i in range(50):
                "question {i}: {a}"
                gen answer(max_tokens=4)
                all = all + [answer]
            return all
        """
    )
    assert len(flow.nodes) > 100
    folded = fold_repeats(flow)
    assert len(folded.nodes) < 10
    (repeat,) = (node for node in folded.nodes if node.kind == "repeat")
    assert repeat.times is not None and repeat.times >= 49
    assert fold_repeats(folded) == folded
