"""Places of nodes: nothing overlaps, groups hold what is in them, lines lead where they should."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.explain.dataflow import CONTEXT, OUTSIDE, VALUE, Dataflow, Edge, Node
from sglc.explain.layers import layered
from sglc.explain.layout import Box, layout

FlowOf = Callable[[str], Dataflow]


@st.composite
def flows(draw: st.DrawFn) -> Dataflow:
    """Random nodes and groups, numbered in program order, and edges that lead forward."""
    nodes: list[Node] = []
    open_groups = [OUTSIDE]
    for id in range(draw(st.integers(1, 40))):
        del open_groups[draw(st.integers(1, len(open_groups))) :]
        kind = draw(st.sampled_from(["gen", "text", "fork"]))
        detail = draw(st.sampled_from(["", "short", "a longer text " * 9]))
        nodes.append(Node(id, kind, f"n{id}", detail, inside=open_groups[-1]))
        if kind == "fork":
            open_groups.append(id)
    flow = Dataflow(tuple(nodes), ())
    last = len(nodes) - 1
    pairs = draw(st.lists(st.tuples(st.integers(0, last), st.integers(0, last)), max_size=60))
    within = {(g.id, n.id) for g in nodes for n in flow.under(g)}
    kinds = st.sampled_from([CONTEXT, VALUE])
    edges = {Edge(a, b, draw(kinds)) for a, b in pairs if a < b and (a, b) not in within}
    return Dataflow(tuple(nodes), tuple(sorted(edges)))


def overlap(a: Box, b: Box) -> bool:
    apart_x = a.x + a.width <= b.x + 0.01 or b.x + b.width <= a.x + 0.01
    apart_y = a.y + a.height <= b.y + 0.01 or b.y + b.height <= a.y + 0.01
    return not (apart_x or apart_y)


def check(flow: Dataflow) -> None:
    places = layout(flow)
    assert set(places.boxes) == {node.id for node in flow.nodes}
    whole = Box(0, 0, places.width, places.height)
    for group in [OUTSIDE, *(node.id for node in flow.nodes)]:
        around = whole if group == OUTSIDE else places.boxes[group]
        children = [places.boxes[child.id] for child in flow.children.get(group, [])]
        for box in children:
            assert around.x - 0.01 <= box.x and around.y - 0.01 <= box.y
            assert box.x + box.width <= around.x + around.width + 0.01
            assert box.y + box.height <= around.y + around.height + 0.01
        for a, b in combinations(children, 2):
            assert not overlap(a, b)
    for edge in flow.edges:
        source, target = places.boxes[edge.source], places.boxes[edge.target]
        points = places.lines[edge]
        assert points[0][1] == source.y + source.height and points[-1][1] == target.y
        assert source.x < points[0][0] < source.x + source.width
        assert target.x < points[-1][0] < target.x + target.width


@settings(max_examples=150, deadline=None)
@given(flows())
def test_random_graphs(flow: Dataflow) -> None:
    check(flow)


def test_a_long_chain_is_cut_into_columns() -> None:
    nodes = tuple(Node(k, "gen", f"g{k}") for k in range(200))
    flow = Dataflow(nodes, tuple(Edge(k, k + 1, CONTEXT) for k in range(199)))
    check(flow)
    places = layout(flow)
    assert 0.8 < places.width / places.height < 4


def test_very_many_side_by_side_become_rows() -> None:
    nodes = tuple(Node(k, "gen", f"g{k}") for k in range(200))
    flow = Dataflow(nodes, tuple(Edge(0, k, CONTEXT) for k in range(1, 200)))
    check(flow)
    places = layout(flow)
    assert 0.8 < places.width / places.height < 4


def test_targets_stand_below_their_sources(flow_of: FlowOf) -> None:
    flow = flow_of(
        """
        program p(a: str, b: str):
            fork x in [a, b] as g:
                "{x}"
                gen y(max_tokens=2)
            return [v.y for v in g]
        """
    )
    boxes = layout(flow).boxes
    for edge in flow.edges:
        assert boxes[edge.source].y + boxes[edge.source].height < boxes[edge.target].y


def test_a_straight_edge_pulls_more() -> None:
    found = layered([0, 1, 2], [(0, 1), (0, 2)], dict.fromkeys(range(3), 100.0), [(0, 1)])
    to_straight, to_other = (abs(found.centers[k] - found.centers[0]) for k in (1, 2))
    assert to_straight < to_other / 3
