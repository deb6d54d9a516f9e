"""The tree of tokens: every distinct token prefix among the live prefixes exists once.

A node is an extent of tokens below its parent: a run that always comes together, with the slots of
its KV where that is in memory. Text shares nodes by its tokens; generated tokens form nodes of
their own, reached only through the prefix that a gen returned. A node lives while a handle ends at
it or a node hangs below it, and its KV is freed the moment it dies.
Knows nothing of when or how KV is computed.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence

from sglc.runtime.engine.memory import Extent, SlotAllocator
from sglc.runtime.engine.waiting import Entry


class Node:
    """Tokens [start, end) of each context that runs through here.

    `extents` are the slots of the tokens, in order, or empty: not in memory. The KV of the first
    `num_computed` tokens is there; `num_seen` is the most that ever was. `locks` counts admitted
    requests that need the node: a locked node stays in memory. `num_running` counts running gens
    below. `last_use` tells who was let go of later. `pins` counts handles that end here. Nobody
    comes to a node that `is_private` by its tokens: what is generated is, and copies for requests
    that share nothing.
    """

    __slots__ = (
        "children",
        "extents",
        "is_generated",
        "is_private",
        "last_use",
        "locks",
        "num_children",
        "num_computed",
        "num_running",
        "num_seen",
        "parent",
        "pins",
        "start",
        "tokens",
        "waiting",
    )

    def __init__(
        self,
        parent: Node | None,
        tokens: array[int],
        *,
        is_generated: bool,
        is_private: bool = False,
    ) -> None:
        self.parent = parent
        self.tokens = tokens
        self.start = 0 if parent is None else parent.end
        self.is_generated = is_generated
        self.is_private = is_private or is_generated
        self.children: dict[int, Node] = {}  # by first token; private nodes are not in here
        self.num_children = 0
        self.pins = 0
        self.locks = 0
        self.extents: list[Extent] = []
        self.num_computed = 0
        self.num_seen = 0
        self.num_running = 0
        self.last_use = -1
        self.waiting: list[Entry] = []

    @property
    def end(self) -> int:
        return self.start + len(self.tokens)

    def path(self) -> list[Node]:
        """The nodes from below the root to here."""
        nodes = []
        node = self
        while node.parent is not None:
            nodes.append(node)
            node = node.parent
        nodes.reverse()
        return nodes

    def slots(self, begin: int, end: int) -> Iterator[Extent]:
        """The slots of tokens [begin, end), counted from the node's first."""
        for slot, count in self.extents:
            low, high = max(begin, 0), min(end, count)
            if low < high:
                yield Extent(slot + low, high - low)
            begin, end = begin - count, end - count


class Handle:
    """A prefix: a node that it keeps alive. Implements `request.Prefix`."""

    __slots__ = ("__weakref__", "node", "tree")

    def __init__(self, tree: Tree, node: Node) -> None:
        self.tree = tree
        self.node = node
        node.pins += 1

    def __del__(self) -> None:
        # any thread may drop the last reference; the engine's thread collects
        self.tree.dropped.append(self.node)

    @property
    def num_tokens(self) -> int:
        return self.node.end

    def token_ids(self) -> list[int]:
        return [token for node in self.node.path() for token in node.tokens]


class Tree:
    """All nodes, from the root. `slots` gets back what dying nodes held."""

    def __init__(self, slots: SlotAllocator) -> None:
        self.slots = slots
        self.root = Node(None, array("i"), is_generated=False)
        self.root.pins = 1  # the root never dies
        self.dropped: deque[Node] = deque()
        # in memory and not locked: what may be evicted; a dict keeps its order, so that runs repeat
        self.idle: dict[Node, None] = {}

    def extend(self, node: Node, tokens: Sequence[int]) -> Handle:
        """The prefix at `node` + `tokens`, along nodes that exist as far as they agree."""
        rest = array("i", tokens)
        while rest:
            child = node.children.get(rest[0])
            if child is None:
                node = self.add(node, rest, is_generated=False)
                break
            common = _common_len(child.tokens, rest)
            if common < len(child.tokens):
                child = self._split(child, common)
            node, rest = child, rest[common:]
        return Handle(self, node)

    def copy(self, node: Node) -> Handle:
        """The prefix at `node` once more, with all its tokens for itself."""
        tokens = array("i")
        for above in node.path():
            tokens += above.tokens
        copy = Node(self.root, tokens, is_generated=False, is_private=True)
        self.root.num_children += 1
        return Handle(self, copy)

    def add(self, parent: Node, tokens: array[int], *, is_generated: bool) -> Node:
        node = Node(parent, tokens, is_generated=is_generated)
        parent.num_children += 1
        if not node.is_private:
            parent.children[tokens[0]] = node
        return node

    def collect(self) -> None:
        """Free what dropped handles alone kept."""
        while self.dropped:
            node = self.dropped.popleft()
            node.pins -= 1
            self.prune(node)

    def prune(self, node: Node) -> None:
        """Remove `node` and its ancestors as far as nothing needs them."""
        while node.parent is not None and not (node.pins or node.num_children or node.locks):
            self.evict(node)
            parent = node.parent
            parent.num_children -= 1
            if not node.is_private:
                del parent.children[node.tokens[0]]
            node = parent

    def lock(self, node: Node) -> None:
        """One more admitted request needs `node` (alone, not its path)."""
        node.locks += 1
        self.idle.pop(node, None)

    def unlock(self, node: Node) -> None:
        node.locks -= 1
        if not node.locks and node.extents:
            self.idle[node] = None

    def evict(self, node: Node) -> None:
        """Give back the slots of `node`, which is not locked; its tokens stay known."""
        self.slots.free(node.extents)
        node.extents = []
        node.num_computed = 0
        self.idle.pop(node, None)

    def _split(self, node: Node, at: int) -> Node:
        """Cut `node`, which is text, after `at` tokens; returns the new upper part."""
        assert node.parent is not None and not node.is_generated
        upper = Node(node.parent, node.tokens[:at], is_generated=False)
        upper.extents = list(node.slots(0, at))
        upper.num_computed = min(node.num_computed, at)
        upper.num_seen = min(node.num_seen, at)
        upper.locks = node.locks
        upper.num_running = node.num_running
        upper.last_use = node.last_use
        upper.num_children = 1
        upper.waiting = list(node.waiting)
        node.parent.children[node.tokens[0]] = upper
        node.extents = list(node.slots(at, len(node.tokens)))
        node.num_computed -= upper.num_computed
        node.num_seen -= upper.num_seen
        node.tokens = node.tokens[at:]
        node.parent, node.start = upper, node.start + at
        upper.children[node.tokens[0]] = node
        if node in self.idle:
            self.idle[upper] = None
        return upper


def _common_len(a: array[int], b: array[int]) -> int:
    """The number of tokens that `a` and `b` start with in common."""
    n = min(len(a), len(b))
    if a[:n] == b[:n]:
        return n
    return bisect_left(range(n), True, key=lambda i: a[: i + 1] != b[: i + 1])
