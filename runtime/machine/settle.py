"""From encoded stretches to engine prefixes.

Law: settling text in two steps gives the same tokens as in one, so it may be done whenever it saves
work.
Knows nothing about tasks or instructions.
"""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from sglc.runtime.engine.request import Engine, Prefix
from sglc.runtime.machine.context import Context, Settled, nothing_settled
from sglc.runtime.machine.stretch import Encoded, Head
from sglc.runtime.model.spec import Tokenizer
from sglc.runtime.row import RowFailure, too_long


class Settler:
    """Extends prefixes in one engine, and keeps those alive that may be needed again where nothing
    in flight holds them: the beginnings that all rows share; and, if it `keeps_rows`, the text that
    stands before a row's first gens, until the row ends, since another of its contexts may begin in
    the same way. All that costs is memory, and where that is short it is the first to go."""

    def __init__(
        self, engine: Engine, tokenizer: Tokenizer, context_len: int, *, keeps_rows: bool
    ) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._context_len = context_len
        self._root = engine.root
        self._nothing = nothing_settled(engine.root)
        self._heads: dict[Head, Settled] = {}
        self._keeps_rows = keeps_rows
        self._of_rows: dict[int, list[Prefix]] = {}
        self._lens: WeakKeyDictionary[Context, int] = WeakKeyDictionary()

    def empty_context(self) -> Context:
        return Context(self._nothing)

    def settle(self, settled: Settled, encoded: Encoded, row: int) -> Settled:
        """`settled` and the tokens of a stretch (or of the fixed part of one) after it, in the row
        of index `row`."""
        if settled.prefix is self._root:
            longer = self._begin(encoded)
        else:
            longer = self.extend(settled, encoded.all_ids())
        if longer.is_text and self._keeps_rows:
            self._of_rows.setdefault(row, []).append(longer.prefix)
        return longer

    def _begin(self, encoded: Encoded) -> Settled:
        """A context of this stretch alone."""
        head, start = encoded.head, self._nothing
        if head is not None:
            if head not in self._heads:
                self._heads[head] = self.extend(self._nothing, head.ids)
            start = self._heads[head]
        return self.extend(start, encoded.ids)

    def end_row(self, row: int) -> None:
        """The row of this index is over."""
        self._of_rows.pop(row, None)

    def extend(self, settled: Settled, ids: Sequence[int]) -> Settled:
        return settled.then(self._engine.extend(settled.prefix, ids), ids) if ids else settled

    def started(self, settled: Settled) -> Settled:
        """A model needs a token to go on from: where there is none, its BOS, or else its EOS."""
        if settled.prefix.num_tokens:
            return settled
        start = self._tokenizer.bos_id
        if start is None:
            start = min(self._tokenizer.eos_ids, default=None)
        if start is None:
            raise RowFailure(
                "no_start_token", "nothing stands before it, and the model has no BOS or EOS"
            )
        return self.extend(settled, [start])

    def known_len(self, context: Context) -> int | None:
        """How many tokens `context` has, settled as it ends, if that was measured before."""
        return self._lens.get(context)

    def measure(self, context: Context, encoded: Encoded) -> int:
        """The same; `encoded` is its stretch. It is kept as long as the context is."""
        head = encoded.head.ids if encoded.head else ()
        length = context.settled.prefix.num_tokens + len(head) + len(encoded.ids)
        self._lens[context] = length
        return length

    def check_len(self, prefix: Prefix, num_more: int, what: str) -> None:
        """Raises `RowFailure` "too_long" where `num_more` tokens (of `what`) no longer fit."""
        if prefix.num_tokens + num_more > self._context_len:
            raise too_long(prefix.num_tokens, num_more, what, self._context_len)

    def close(self) -> None:
        self._heads.clear()
        self._of_rows.clear()
