"""Chains of gens become one node, where nobody else can come to them, and nothing else changes."""

from __future__ import annotations

from array import array

from sglc.runtime.engine.chains import shorten
from sglc.runtime.engine.memory import SlotAllocator
from sglc.runtime.engine.tree import Handle, Node, Tree


def new_tree() -> Tree:
    return Tree(SlotAllocator(1000))


def fill(tree: Tree, node: Node, num_computed: int | None = None) -> None:
    """KV of all tokens of `node`, or of the first `num_computed`."""
    node.extents = tree.slots.allocate(len(node.tokens))
    node.num_computed = node.num_seen = len(node.tokens) if num_computed is None else num_computed
    tree.idle[node] = None


def text(tree: Tree, above: Handle, *tokens: int) -> Handle:
    handle = tree.extend(above.node, tokens)
    if handle.node is not above.node and not handle.node.extents:
        fill(tree, handle.node)
    return handle


def gen(tree: Tree, above: Handle, *tokens: int, num_computed: int | None = None) -> Handle:
    node = tree.add(above.node, array("i", tokens), is_generated=True)
    fill(tree, node, num_computed)
    return Handle(tree, node)


def chain(tree: Tree) -> list[Handle]:
    """header, text, gen, text, gen whose last token was not run."""
    header = text(tree, Handle(tree, tree.root), 1, 2, 3)
    first = text(tree, header, 4)
    gen1 = gen(tree, first, 5, 6)
    second = text(tree, gen1, 7, 8)
    return [header, first, gen1, second, gen(tree, second, 9, 10, 11, num_computed=2)]


def path(handle: Handle) -> list[list[int]]:
    return [node.tokens.tolist() for node in handle.node.path()]


def slots(handle: Handle) -> list[int]:
    return [
        slot
        for node in handle.node.path()
        for extent in node.extents
        for slot in range(extent.slot, extent.end)
    ]


def test_what_only_a_gen_leads_to_joins_it() -> None:
    tree = new_tree()
    *above, last = chain(tree)
    where = slots(last)
    del above
    tree.collect()
    shorten(tree, last.node)
    assert path(last) == [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11]]
    assert last.token_ids() == list(range(1, 12)) and slots(last) == where
    node = last.node
    assert (node.start, node.end, node.num_computed) == (4, 11, 6)
    # texts above the first gen are found by their tokens as before
    found = tree.extend(tree.root, [1, 2, 3, 4])
    assert found.node is node.parent and found.node.extents
    del last, found
    tree.collect()
    assert tree.slots.num_used == 0 and not tree.idle


def test_where_a_handle_ends_or_another_goes_on_nothing_joins() -> None:
    tree = new_tree()
    *_, gen1, second, last = chain(tree)
    tree.collect()
    shorten(tree, last.node)
    assert len(path(last)) == 5
    # only the text between the gens is let go of: by its tokens it can still be found
    del second
    tree.collect()
    shorten(tree, last.node)
    assert len(path(last)) == 5
    other = text(tree, gen1, 7, 30)
    del gen1
    tree.collect()
    shorten(tree, last.node)
    assert last.token_ids() == list(range(1, 12))
    assert other.token_ids() == [1, 2, 3, 4, 5, 6, 7, 30]
    assert path(other)[2] == [5, 6] and path(last)[2] == [5, 6]


def test_what_is_locked_or_has_no_kv_stays_apart() -> None:
    tree = new_tree()
    *above, last = chain(tree)
    gen1 = above[2].node
    del above
    tree.collect()
    tree.lock(gen1)
    shorten(tree, last.node)
    assert len(path(last)) == 5
    tree.unlock(gen1)
    tree.evict(gen1)
    shorten(tree, last.node)
    assert len(path(last)) == 5
    assert slots(last)


def test_whoever_walks_up_from_what_was_joined_comes_to_the_gen() -> None:
    tree = new_tree()
    *above, last = chain(tree)
    gen1 = above[2].node
    del above
    tree.collect()
    shorten(tree, last.node)
    assert gen1.parent is last.node
