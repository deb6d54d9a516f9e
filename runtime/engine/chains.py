"""Contexts of many gens, kept short: what lies above a gen and nobody else can come to joins it.

A record of twelve fields is a chain of text and gens, and whatever a gen costs at each node of its
path would grow with every field.

    before   header -> subject -> text -> GEN -> text -> GEN -> text -> GEN
    after    header -> subject -> text -> GEN

Law: tokens, slots and what requests share stay as they are. What is one node is in memory as one:
where memory is short, more of a context is evicted at a time.
"""

from __future__ import annotations

from array import array

from sglc.runtime.engine.memory import Extent
from sglc.runtime.engine.tail import join
from sglc.runtime.engine.tree import Node, Tree


def shorten(tree: Tree, node: Node) -> None:
    """Join `node` with what is above it, up to a gen, if no handle ends there, nothing else goes on
    from there, and all of it has its KV."""
    above = _chain_above(node)
    if not above:
        return
    top = above[-1]
    assert top.parent is not None
    tokens = array("i")
    extents: list[Extent] = []
    for upper in reversed(above):
        tokens += upper.tokens
        join(extents, upper.extents)
        tree.idle.pop(upper, None)
    join(extents, node.extents)
    node.tokens = tokens + node.tokens
    node.extents = extents
    node.num_computed += len(tokens)
    node.num_seen += len(tokens)
    node.start = top.start
    node.parent = top.parent
    for upper in above:
        upper.parent = node  # for whoever walks up from where it was


def _chain_above(node: Node) -> list[Node]:
    """What joins `node`, lowest first: the highest of it is generated, so that it is not among its
    parent's `children`."""
    if not node.is_generated or node.locks or not node.num_computed:
        return []
    found = []
    upper = node.parent
    while upper is not None and upper.parent is not None and _is_passage(upper):
        found.append(upper)
        upper = upper.parent
    while found and not found[-1].is_generated:
        found.pop()
    return found


def _is_passage(node: Node) -> bool:
    """Whoever needs `node` comes from the one below it."""
    is_there = 0 < node.num_computed == len(node.tokens)
    return is_there and node.num_children == 1 and not (node.pins or node.locks)
