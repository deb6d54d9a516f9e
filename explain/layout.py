"""Places for the nodes of a dataflow, group in group, in pixels.

Each level is layered from top to bottom (`layers.py`); one that is much taller than wide is cut
into columns, which are read from left to right.
Law: boxes of one level do not overlap, and a group's box holds those of all in it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sglc.explain.dataflow import CONTEXT, OUTSIDE, Dataflow, Edge, Node
from sglc.explain.layers import GAP, Item, Layered, Pair, layered

WIDTH, LINE, PAD = 236.0, 17.0, 12.0  # of a node: its width, a line of text, what is around it
CHARACTERS = 29  # of a line
MOST_LINES = 3  # of a node's detail
HEADER = 30.0  # of a group: its title
LAYER_GAP = 34.0
COLUMN_GAP = 70.0
TALL = 1700.0  # a level higher than this is cut into columns
SHAPE = 1.7  # width by height of a level in columns

MOST_ACROSS = 12  # items side by side

Point = tuple[float, float]
Size = tuple[float, float]  # width, height
Row = Sequence[Item]


@dataclass(frozen=True, slots=True)
class Box:
    x: float
    y: float
    width: float
    height: float

    def moved(self, x: float, y: float) -> Box:
        return Box(self.x + x, self.y + y, self.width, self.height)


@dataclass(frozen=True, slots=True)
class Layout:
    """`boxes` by node. `lines` are the points that each edge passes, from its source's foot to its
    target's head."""

    boxes: Mapping[int, Box]
    lines: Mapping[Edge, tuple[Point, ...]]
    width: float
    height: float


def layout(flow: Dataflow) -> Layout:
    """The places of all nodes and edges, from (0, 0)."""
    between = _between(flow)
    boxes: dict[int, Box] = {}
    bends: dict[Edge, list[Point]] = {}
    top = _level(OUTSIDE, flow, between)
    top.settle(0.0, 0.0, boxes, bends)
    lines = {edge: _line(edge, boxes, bends.get(edge, [])) for edge in flow.edges}
    return Layout(boxes, lines, top.width, top.height)


def _line(edge: Edge, boxes: Mapping[int, Box], bends: Sequence[Point]) -> tuple[Point, ...]:
    source, target = boxes[edge.source], boxes[edge.target]
    # contexts come in at the middle, values beside it
    shift = 0.0 if edge.kind == CONTEXT else WIDTH / 5
    start = (source.x + source.width / 2 + shift, source.y + source.height)
    return (start, *bends, (target.x + target.width / 2 + shift, target.y))


def _between(flow: Dataflow) -> dict[int, dict[Pair, list[Edge]]]:
    """For each group, the edges between things that stand right in it: for each pair of those, the
    edges that lead from one, or what it holds, to the other."""
    found: dict[int, dict[Pair, list[Edge]]] = defaultdict(lambda: defaultdict(list))
    for edge in flow.edges:
        sources = dict(_memberships(flow, edge.source))
        for group, target in _memberships(flow, edge.target):
            if group in sources:
                if sources[group] != target:
                    found[group][sources[group], target].append(edge)
                break
    return found


def _memberships(flow: Dataflow, node: int) -> Iterator[tuple[int, int]]:
    """(group, what stands right in it) for each group around the node, innermost first."""
    while node != OUTSIDE:
        inside = flow.by_id[node].inside
        yield inside, node
        node = inside


@dataclass(frozen=True, slots=True)
class _Level:
    """What stands right in a group: boxes and bends from the level's own corner. `inner` are the
    levels of the groups among it."""

    boxes: Mapping[int, Box]
    bends: Mapping[Edge, Sequence[Point]]
    inner: Mapping[int, _Level]
    width: float
    height: float

    def settle(
        self, x: float, y: float, boxes: dict[int, Box], bends: dict[Edge, list[Point]]
    ) -> None:
        """Add all places, the level's corner being at (x, y)."""
        for id, box in self.boxes.items():
            boxes[id] = box.moved(x, y)
            if id in self.inner:
                self.inner[id].settle(x + box.x + PAD, y + box.y + HEADER, boxes, bends)
        for edge, points in self.bends.items():
            bends[edge] = [(x + px, y + py) for px, py in points]


def _level(group: int, flow: Dataflow, between: Mapping[int, Mapping[Pair, list[Edge]]]) -> _Level:
    children = flow.children.get(group, [])
    inner = {
        child.id: _level(child.id, flow, between)
        for child in children
        if flow.children.get(child.id)
    }
    sizes = {child.id: _size(child, inner.get(child.id)) for child in children}
    pairs = between.get(group, {})
    order = layered(
        [child.id for child in children],
        pairs,
        {id: width for id, (width, _) in sizes.items()},
        {pair for pair, edges in pairs.items() if any(e.kind == CONTEXT for e in edges)},
    )
    rows, centers = _rows(order, sizes)
    columns = _columns(rows, sizes)
    boxes: dict[int, Box] = {}
    points: dict[Item, Point] = {}
    column_of: dict[int, float] = {}  # item -> the left border of its column
    left, height = 0.0, 0.0
    for column in columns:
        items = [item for layer in column for item in layer if isinstance(item, int)]
        lowest = min((centers[i] - sizes[i][0] / 2 for i in items), default=0.0)
        shift, y = left - lowest, 0.0
        for layer in column:
            tallest = max((sizes[i][1] for i in layer if isinstance(i, int)), default=0.0)
            for item in layer:
                center = centers[item] + shift
                if isinstance(item, int):
                    wide, high = sizes[item]
                    boxes[item] = Box(center - wide / 2, y, wide, high)
                    column_of[item] = left
                else:
                    points[item] = (center, y + tallest / 2)
            y += tallest + LAYER_GAP
        height = max(height, y - LAYER_GAP)
        left = max(box.x + box.width for box in boxes.values()) + COLUMN_GAP
    bends: dict[Edge, list[Point]] = {}
    for pair, edges in pairs.items():
        passed = [points[item] for item in order.stand_ins.get(pair, ())]
        if column_of[pair[0]] != column_of[pair[1]]:
            passed = _around(boxes[pair[0]], boxes[pair[1]], column_of[pair[1]])
        for edge in edges:
            bends[edge] = passed
    return _Level(boxes, bends, inner, max(left - COLUMN_GAP, 0.0), height)


def _around(source: Box, target: Box, left: float) -> list[Point]:
    """The way into another column: below the source, and up the gap before the column."""
    gutter = left - COLUMN_GAP / 2
    return [(gutter, source.y + source.height + PAD), (gutter, target.y - PAD)]


def _rows(order: Layered, sizes: Mapping[int, Size]) -> tuple[list[Row], dict[Item, float]]:
    """The layers as rows, and the x of what stands in them. A layer of very many becomes several
    rows of about the shape of a screen."""
    rows: list[Row] = []
    centers = dict(order.centers)
    for layer in order.layers:
        items = [item for item in layer if isinstance(item, int)]
        if len(items) <= MOST_ACROSS:
            rows.append(layer)
            continue
        width = max(sizes[item][0] for item in items) + GAP
        height = max(sizes[item][1] for item in items) + LAYER_GAP
        across = max(MOST_ACROSS, round(math.sqrt(SHAPE * len(items) * height / width)))
        middle = sum(centers[item] for item in items) / len(items)
        for start in range(0, len(items), across):
            row = items[start : start + across]
            rows.append(row)
            for k, item in enumerate(row):
                centers[item] = middle + (k - (len(row) - 1) / 2) * width
        rows[-1] = (*rows[-1], *(item for item in layer if not isinstance(item, int)))
    return rows, centers


def _columns(rows: Sequence[Row], sizes: Mapping[int, Size]) -> list[list[Row]]:
    """The rows from top to bottom, in columns of about the same height."""
    own = [[sizes[item] for item in row if isinstance(item, int)] for row in rows]
    heights = [max((high for _, high in each), default=0.0) + LAYER_GAP for each in own]
    width = max((sum(wide + GAP for wide, _ in each) for each in own), default=1.0)
    total = sum(heights)
    number = max(1, round(math.sqrt(SHAPE * total / width))) if total > TALL else 1
    columns: list[list[Row]] = []
    above = 0.0
    for row, high in zip(rows, heights, strict=True):
        if not columns or above >= total * len(columns) / number:
            columns.append([])
        columns[-1].append(row)
        above += high
    return columns


def _size(node: Node, inner: _Level | None) -> Size:
    if inner is not None:
        return max(inner.width, WIDTH) + 2 * PAD, inner.height + HEADER + PAD
    return WIDTH, LINE * (1 + sum(num_lines(node))) + 2 * PAD


def num_lines(node: Node) -> tuple[int, int]:
    """Lines below a node's title that its detail and its options get."""
    detail = sum(math.ceil(len(line) / CHARACTERS) for line in node.detail.splitlines())
    options = math.ceil(len(" ".join(node.options)) / CHARACTERS)
    return min(detail, MOST_LINES), min(options, MOST_LINES - 1)
