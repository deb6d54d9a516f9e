"""All tokens that the requests of a batch stand on: each distinct prefix once, never forgotten.

So the trie's size is known, that of each row alone, and for each place of the program what stands
there in the rows: how much of it is the same in all, and how much was there before a request came.
Knows nothing of memory, steps or the order in which requests run.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sglc.runtime.engine.memory import SlotAllocator
from sglc.runtime.engine.request import GenRequest, GenResult, Request, ScoreRequest, ScoreResult
from sglc.runtime.engine.tree import Handle, Node, Tree

Order = tuple[int, ...]


class Trie(Tree):
    """A tree that forgets nothing and counts the tokens added to it."""

    def __init__(self) -> None:
        super().__init__(SlotAllocator(0))
        self.num_tokens = 0

    def add(self, parent: Node, tokens: array[int], *, is_generated: bool) -> Node:
        self.num_tokens += len(tokens)
        node = super().add(parent, tokens, is_generated=is_generated)
        node.pins += 1  # it stays, whoever lets go of it
        return node

    def put(self, tokens: array[int]) -> int:
        """How many of `tokens`, a prefix from the root, were not there."""
        before = self.num_tokens
        self.extend(self.root, tokens)
        return self.num_tokens - before


@dataclass(slots=True, eq=False)
class Place:
    """A gen or select of the program, in all rows: of one name and kind, below one other.

    `stretch` is an example of the text between them, of row `row`; of all such texts the first
    `num_leading` and the last `num_trailing` tokens are the same (all, as long as none differs).
    `lengths` counts (tokens of the text, how many of them were there before) over its requests.
    `num_written` are the tokens that its gens wrote, or the distinct ones of its choices."""

    order: Order
    above: Order | None
    name: str
    is_gen: bool
    row: int
    stretch: array[int]
    num_leading: int
    num_trailing: int
    lengths: Counter[tuple[int, int]] = field(default_factory=Counter)
    num_requests: int = 0
    num_written: int = 0

    def meet(self, stretch: array[int]) -> None:
        """Another row's text."""
        mine = self.stretch
        most = min(len(mine), len(stretch))
        self.num_leading = min(self.num_leading, most)
        while mine[: self.num_leading] != stretch[: self.num_leading]:
            self.num_leading -= 1
        self.num_trailing = min(self.num_trailing, most - self.num_leading)
        while self.num_trailing and mine[-self.num_trailing :] != stretch[-self.num_trailing :]:
            self.num_trailing -= 1


class Ledger:
    """`num_text` tokens of the trie stand before requests. `row_sizes` are those of the tries of
    rows that have ended, each by itself, and `num_unwritten` how many more tokens gens might have
    written than they did; row sizes count these too."""

    def __init__(self) -> None:
        self.places: dict[Order, Place] = {}
        self.num_text = 0
        self.num_unwritten = 0
        self.row_sizes: list[int] = []
        self._trie = Trie()
        self._rows: dict[int, Trie] = {}
        self._unwritten: Counter[int] = Counter()  # by row
        self._ends: dict[Node, Order] = {}  # where a gen or choice ended -> its place

    @property
    def num_tokens(self) -> int:
        return self._trie.num_tokens

    def ask(self, request: Request) -> None:
        """A request comes, and with it the text before it."""
        assert isinstance(request.prefix, Handle)
        ids, above, start = self._path(request.prefix.node)
        num_new = self._trie.put(ids)
        self.num_text += num_new
        row = self._row(request)
        row.put(ids)
        place = self._place(request, above, ids[start:])
        length = len(ids) - start
        place.lengths[length, max(0, length - num_new)] += 1
        place.num_requests += 1
        if isinstance(request, ScoreRequest):
            for choice in request.choices:
                # the last token of a choice is not run to score it
                self._trie.put(ids + array("i", choice[:-1]))
                row.put(ids + array("i", choice))
            place.num_written += len(
                {choice[:n] for choice in request.choices for n in range(1, len(choice) + 1)}
            )

    def answer(self, result: GenResult | ScoreResult) -> None:
        """What a gen wrote, or where a select's choices end."""
        place = _order_of(result.request)
        ends: Sequence[object] = result.prefixes if isinstance(result, ScoreResult) else ()
        if isinstance(result, GenResult) and result.token_ids:
            ids = _ids(result.request.prefix) + array("i", result.token_ids)
            self._trie.put(ids)
            self._row(result.request).put(ids)
            self.places[place].num_written += len(result.token_ids)
            ends = (result.prefix,)
        if isinstance(result, GenResult):
            left = result.request.sampling.max_tokens - len(result.token_ids)
            self.num_unwritten += left
            self._unwritten[result.request.order[0]] += left
        for end in ends:
            assert isinstance(end, Handle)
            self._ends[end.node] = place

    def end_row(self, index: int) -> None:
        row = self._rows.pop(index, None)
        self.row_sizes.append((row.num_tokens if row else 0) + self._unwritten.pop(index, 0))

    def _row(self, request: Request) -> Trie:
        return self._rows.setdefault(request.order[0], Trie())

    def _place(self, request: Request, above: Order | None, stretch: array[int]) -> Place:
        order = _order_of(request)
        place = self.places.get(order)
        if place is None:
            place = self.places[order] = Place(
                order,
                above,
                request.name,
                isinstance(request, GenRequest),
                request.order[0],
                stretch,
                len(stretch),
                len(stretch),
            )
        else:
            place.meet(stretch)
        return place

    def _path(self, node: Node) -> tuple[array[int], Order | None, int]:
        """All tokens up to `node`, the place of the last gen or select before it, and where the
        text after that begins."""
        parts: list[array[int]] = []
        above: Order | None = None
        start = 0
        at = node
        while at.parent is not None:
            if above is None and at in self._ends:
                above, start = self._ends[at], at.end
            parts.append(at.tokens)
            at = at.parent
        ids = array("i")
        for part in reversed(parts):
            ids += part
        return ids, above, start


def _order_of(request: Request) -> Order:
    return request.order[1:]


def _ids(prefix: object) -> array[int]:
    assert isinstance(prefix, Handle)
    ids = array("i")
    for node in prefix.node.path():
        ids += node.tokens
    return ids
