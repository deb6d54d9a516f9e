"""The trie of a batch as people want to see it: a node for what stands in one place of the program
in all rows, however many rows there are.

The shape is that of one row (each place's example): places that follow the same gen share their
texts as far as these agree. Each run of tokens is cut where what all rows have in common ends.
Law: copies times tokens, over the texts, is what stands before requests, each distinct prefix once
(but for last tokens of choices, which may be counted with the choice).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sglc.runtime.planner.facts import TrieNode
from sglc.runtime.planner.ledger import Order, Place

SHOWN_TOKENS = 24  # of a node's text


class _Item(NamedTuple):
    """One token of a place's example. Only what is constant agrees across rows."""

    token: int
    row: int  # -1 for a constant


@dataclass(slots=True, eq=False)
class _Run:
    """Tokens [begin, begin + len(items)) of the examples of `places`."""

    items: list[_Item]
    begin: int
    places: list[Place]
    below: list[_Run] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.begin + len(self.items)


def trie_nodes(
    places: dict[Order, Place], decode: Callable[[Sequence[int]], str]
) -> tuple[TrieNode, ...]:
    """The nodes, parents first, in program order."""
    below: dict[Order | None, list[Place]] = {}
    for order in sorted(places):
        above = places[order].above
        below.setdefault(above, []).append(places[order])
    nodes: list[TrieNode] = []

    def add_places(found: list[Place], parent: int) -> int:
        """Add all that follows one place; how many requests that is."""
        top = _Run([], 0, [])
        for place in found:
            _insert(top, place)
        return sum(add_run(run, parent) for run in top.below) + ends(top, parent)

    def add_run(run: _Run, parent: int) -> int:
        at = len(nodes)
        nodes.append(_text_node(run, parent, decode))
        sharers = sum(add_run(inner, at) for inner in run.below) + ends(run, at)
        nodes[at] = _with_sharers(nodes[at], sharers)
        return sharers

    def ends(run: _Run, parent: int) -> int:
        return sum(add_end(place, parent) for place in run.places if len(place.stretch) == run.end)

    def add_end(place: Place, parent: int) -> int:
        at = len(nodes)
        count = place.num_requests
        nodes.append(
            TrieNode(
                parent=parent,
                kind="gen" if place.is_gen else "choice",
                name=place.name,
                tokens=place.num_written / count,
                copies=count,
                sharers=count,
                text="",
                place=place.order,
            )
        )
        sharers = count + add_places(below.get(place.order, []), at)
        nodes[at] = _with_sharers(nodes[at], sharers)
        return sharers

    add_places(below.get(None, []), -1)
    return tuple(nodes)


def _insert(top: _Run, place: Place) -> None:
    """Put a place's example below `top`, along the runs that agree with it."""
    lead, trail = place.num_leading, len(place.stretch) - place.num_trailing
    items = [
        _Item(token, -1 if at < lead or at >= trail else place.row)
        for at, token in enumerate(place.stretch)
    ]
    run, at = top, 0
    top.places.append(place)
    while at < len(items):
        inner = next((inner for inner in run.below if inner.items[0] == items[at]), None)
        if inner is None:
            for piece in _pieces(items[at:]):
                inner = _Run(piece, at, [place])
                run.below.append(inner)
                run, at = inner, inner.end
            return
        common = 0
        for mine, other in zip(items[at:], inner.items, strict=False):
            if mine != other:
                break
            common += 1
        if common < len(inner.items):
            lower = _Run(inner.items[common:], at + common, list(inner.places), inner.below)
            inner.items, inner.below = inner.items[:common], [lower]
        inner.places.append(place)
        run, at = inner, at + common


def _pieces(items: list[_Item]) -> list[list[_Item]]:
    """Cut where constants and inputs meet."""
    pieces: list[list[_Item]] = []
    for item in items:
        if not pieces or pieces[-1][-1].row != item.row:
            pieces.append([])
        pieces[-1].append(item)
    return pieces


def _text_node(run: _Run, parent: int, decode: Callable[[Sequence[int]], str]) -> TrieNode:
    tokens = fresh = requests = 0.0
    for place in run.places:
        for (length, known), count in place.lengths.items():
            begin, end = _at(place, run.begin, length), _at(place, run.end, length)
            tokens += count * (end - begin)
            fresh += count * max(0.0, end - max(begin, known))
            requests += count
    mean = tokens / requests if requests else 0.0
    copies = max(1, round(fresh / mean)) if mean and fresh else 0
    return TrieNode(
        parent=parent,
        kind="const" if run.items[0].row == -1 else "input",
        name="",
        # so that all copies come to what is new
        tokens=round(fresh / copies if copies else mean, 4),
        copies=copies,
        sharers=0,
        text=decode([item.token for item in run.items[:SHOWN_TOKENS]]),
        place=min(place.order for place in run.places),
    )


def _at(place: Place, offset: int, length: int) -> float:
    """Where token `offset` of the example stands in a text of `length` tokens of the same place:
    what all have in common at its place, what differs stretched to fit."""
    whole, lead, trail = len(place.stretch), place.num_leading, place.num_trailing
    if offset <= lead:
        return offset
    if offset >= whole - trail:
        return length - (whole - offset)
    return lead + (offset - lead) * (length - lead - trail) / (whole - lead - trail)


def _with_sharers(node: TrieNode, sharers: int) -> TrieNode:
    return TrieNode(
        node.parent, node.kind, node.name, node.tokens, node.copies, sharers, node.text, node.place
    )
