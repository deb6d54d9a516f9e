"""A dataflow with its places, as the data that the page draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sglc.explain.dataflow import GROUPS, Dataflow, last_needs
from sglc.explain.layout import Point, layout, num_lines

MOST_NODES = 4_000  # of a graph that a page holds
_MANY = 12  # edges of one node: these are drawn faintly


def drawing(flow: Dataflow) -> dict[str, Any]:
    """Boxes and curves in pixels: `{"width", "height", "nodes", "edges"}`. An edge is quiet where
    it is one of many at its source or target."""
    places, needs = layout(flow), last_needs(flow)
    outgoing: dict[int, int] = {}
    incoming: dict[int, int] = {}
    for edge in flow.edges:
        outgoing[edge.source] = outgoing.get(edge.source, 0) + 1
        incoming[edge.target] = incoming.get(edge.target, 0) + 1
    nodes = []
    for node in flow.nodes:
        box = places.boxes[node.id]
        nodes.append(
            {
                "id": node.id,
                "kind": node.kind,
                "is_group": node.kind in GROUPS and bool(flow.children.get(node.id)),
                "title": node.title,
                "detail": node.detail,
                "options": list(node.options),
                "stage": node.stage,
                "place": node.place,
                "times": node.times,
                "needed_until": needs.get(node.id),
                "lines": list(num_lines(node)),
                "box": [round(v, 1) for v in (box.x, box.y, box.width, box.height)],
            }
        )
    edges = [
        {
            "source": edge.source,
            "target": edge.target,
            "kind": edge.kind,
            "is_quiet": max(outgoing[edge.source], incoming[edge.target]) > _MANY,
            "path": _path(places.lines[edge]),
        }
        for edge in flow.edges
    ]
    return {"width": places.width, "height": places.height, "nodes": nodes, "edges": edges}


def _path(points: Sequence[Point]) -> str:
    """An SVG path through the points that leaves and enters each one vertically."""
    (x, y), *rest = points
    parts = [f"M{x:.0f} {y:.0f}"]
    for to_x, to_y in rest:
        middle = (y + to_y) / 2
        parts.append(f"C{x:.0f} {middle:.0f} {to_x:.0f} {middle:.0f} {to_x:.0f} {to_y:.0f}")
        x, y = to_x, to_y
    return "".join(parts)
