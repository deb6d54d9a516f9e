"""Layers of an acyclic graph: which item stands in which, in what order, and how far to the right.

Sugiyama's method (1981): longest-path layers, stand-ins for edges that pass layers, order by the
mean of the neighbours, then places as near to the neighbours as the order allows: isotonic
regression by pooling adjacent violators (Ayer et al., 1955).
Knows nothing about what the items are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

LONGEST_DETOUR = 6  # layers that an edge is led through; a longer one passes below the items
STAND_IN = 10.0  # width of what stands in for an edge
GAP = 26.0  # between neighbours of a layer
SWEEPS = 4
PULL = 8  # of an edge that should be straight, where others have 1

Pair = tuple[int, int]
Item = int | tuple[Pair, int]  # an item, or what stands in for an edge in a layer


@dataclass(frozen=True, slots=True)
class Layered:
    """`layers` from top to bottom, items from left to right; `centers` are their x. `stand_ins`
    are those of each edge that has any, from its source to its target."""

    layers: tuple[tuple[Item, ...], ...]
    centers: Mapping[Item, float]
    stand_ins: Mapping[Pair, tuple[Item, ...]]


def layered(
    items: Sequence[int],
    pairs: Iterable[Pair],
    widths: Mapping[int, float],
    straight: Collection[Pair] = (),
) -> Layered:
    """Place `items`. Each of `pairs` leads from an item to one that comes later in `items`; those
    among `straight` pull their ends together more than others."""
    edges = sorted(set(pairs))
    depth = _depths(items, edges)
    layers: list[list[Item]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for item in items:
        layers[depth[item]].append(item)
    above: dict[Item, list[Item]] = defaultdict(list)
    below: dict[Item, list[Item]] = defaultdict(list)
    stand_ins: dict[Pair, tuple[Item, ...]] = {}
    for pair in edges:
        source, target = pair
        passed = range(depth[source] + 1, depth[target])
        if len(passed) > LONGEST_DETOUR:
            continue
        chain: tuple[Item, ...] = tuple((pair, layer) for layer in passed)
        if chain:
            stand_ins[pair] = chain
        for layer, each in zip(passed, chain, strict=True):
            layers[layer].append(each)
        pull = PULL if pair in straight else 1
        for upper, lower in zip((source, *chain), (*chain, target), strict=True):
            above[lower] += [upper] * pull
            below[upper] += [lower] * pull
    _order(layers, above, below)
    all_widths = {
        each: widths[each] if isinstance(each, int) else STAND_IN
        for layer in layers
        for each in layer
    }
    centers = _centers(layers, above, below, all_widths)
    return Layered(tuple(map(tuple, layers)), centers, stand_ins)


def _depths(items: Sequence[int], edges: Sequence[Pair]) -> dict[int, int]:
    """The layer of each item: below all that lead to it; what nothing leads to stands right above
    the first that it leads to."""
    after: dict[int, list[int]] = defaultdict(list)
    has_source: set[int] = set()
    for source, target in edges:
        after[source].append(target)
        has_source.add(target)
    depth = dict.fromkeys(items, 0)
    for item in items:
        for target in after[item]:
            depth[target] = max(depth[target], depth[item] + 1)
    for item in items:
        if item not in has_source and after[item]:
            depth[item] = min(depth[target] for target in after[item]) - 1
    return depth


def _order(
    layers: list[list[Item]],
    above: Mapping[Item, Sequence[Item]],
    below: Mapping[Item, Sequence[Item]],
) -> None:
    """Sort each layer by where the neighbours stand, down and up in turn."""
    place = {each: k - len(layer) / 2 for layer in layers for k, each in enumerate(layer)}
    for sweep in range(2 * SWEEPS):
        is_down = sweep % 2 == 0
        neighbours = above if is_down else below
        for layer in layers if is_down else reversed(layers):
            wanted = {
                each: _mean([place[n] for n in neighbours.get(each, ())], place[each])
                for each in layer
            }
            layer.sort(key=wanted.__getitem__)
            place.update((each, k - len(layer) / 2) for k, each in enumerate(layer))


def _centers(
    layers: Sequence[Sequence[Item]],
    above: Mapping[Item, Sequence[Item]],
    below: Mapping[Item, Sequence[Item]],
    widths: Mapping[Item, float],
) -> dict[Item, float]:
    centers: dict[Item, float] = {}
    for layer in layers:
        _place(layer, [0.0] * len(layer), widths, centers)
    for sweep in range(2 * SWEEPS):
        is_down = sweep % 2 == 0
        neighbours = above if is_down else below
        for layer in layers if is_down else reversed(layers):
            wanted = [
                _mean([centers[n] for n in neighbours.get(each, ())], centers[each])
                for each in layer
            ]
            _place(layer, wanted, widths, centers)
    return centers


def _place(
    layer: Sequence[Item],
    wanted: Sequence[float],
    widths: Mapping[Item, float],
    centers: dict[Item, float],
) -> None:
    """Centers that keep the order and the gaps, and deviate least from those wanted."""
    offsets: list[float] = []
    at = 0.0
    for k, each in enumerate(layer):
        at += (widths[layer[k - 1]] + widths[each]) / 2 + GAP if k else 0.0
        offsets.append(at)
    blocks: list[tuple[float, int]] = []  # mean, size
    for want, offset in zip(wanted, offsets, strict=True):
        mean, size = want - offset, 1
        while blocks and blocks[-1][0] > mean:
            other, others = blocks.pop()
            mean = (mean * size + other * others) / (size + others)
            size += others
        blocks.append((mean, size))
    fitted = [mean for mean, size in blocks for _ in range(size)]
    for each, mean, offset in zip(layer, fitted, offsets, strict=True):
        centers[each] = mean + offset


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
