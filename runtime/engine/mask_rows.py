"""Which tokens the states of token tables allow, as rows over the vocabulary.

A row belongs to (table, state, limit): a token is allowed if the table goes on with it and the
fewest tokens to a whole value are then `limit` at most. Away from the end of a budget the limit
changes nothing, and a state has one row. EOS is allowed where a value may end with it.
Law: the rows are a cache of what the tables say; forgetting them changes only the time.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.codegen.automata.constraint import TokenTable

CACHE_BYTES = 64 << 20
Key = tuple[TokenTable, int, int]  # the limit is -1 where it changes nothing


class MaskRows:
    """`blocked` [N, V] is true where a token is not allowed, on the device; row 0 allows all.
    `only_end` [N] marks rows that allow nothing but EOS."""

    def __init__(self, eos_ids: frozenset[int], device: torch.device) -> None:
        self._eos_ids = sorted(eos_ids)
        self._device = device
        self._places: dict[Key, int] = {}
        self.blocked = torch.zeros((1, 0), dtype=torch.bool, device=device)
        self.only_end: NDArray[np.bool_] = np.zeros(1, dtype=np.bool_)

    def places(self, keys: list[Key], vocab_size: int) -> NDArray[np.int64]:
        """The row of each key, in logits of width `vocab_size`."""
        missing = [key for key in dict.fromkeys(keys) if key not in self._places]
        if missing:
            if len(self._places) + len(missing) >= len(self.blocked):
                missing = list(dict.fromkeys(keys))
                self._start(len(missing) + 1, vocab_size)
            for key in missing:
                self._fill(key)
        return np.array([self._places[key] for key in keys], dtype=np.int64)

    def leave_end(self, logits: Tensor, rows: NDArray[np.int64]) -> None:
        """In `rows`, which allow nothing but EOS, nothing else masks it."""
        if len(rows):
            logits[torch.from_numpy(rows).to(self._device), self._eos_ids[0]] = 0.0

    def _start(self, fewest: int, vocab_size: int) -> None:
        """An empty cache of at least `fewest` rows."""
        count = max(fewest, CACHE_BYTES // vocab_size)
        self._places.clear()
        if self.blocked.shape[0] < count or self.blocked.shape[1] != vocab_size:
            shape = (count, vocab_size)
            self.blocked = torch.empty(shape, dtype=torch.bool, device=self._device)
            self.blocked[0] = False
            self.only_end = np.zeros(count, dtype=np.bool_)

    def _fill(self, key: Key) -> None:
        table, state, limit = key
        place = self._places[key] = len(self._places) + 1
        is_class_allowed = allowed_classes(table, state, limit)
        row = np.ones(self.blocked.shape[1], dtype=np.bool_)
        row[: len(table.token_class)] = ~is_class_allowed[table.token_class]
        may_end = bool(table.is_final[state]) and not table.follow
        self.only_end[place] = may_end and not is_class_allowed.any()
        if may_end:
            row[self._eos_ids] = False
        self.blocked[place] = torch.from_numpy(row).to(self._device)


def allowed_classes(table: TokenTable, state: int, limit: int) -> NDArray[np.bool_]:
    """Which classes of tokens [C] may come at `state`, so that `limit` more tokens (-1: any number)
    are enough after them."""
    after = table.next[state]
    is_allowed: NDArray[np.bool_] = after >= 0
    if limit >= 0:
        is_allowed &= table.distance[after] <= limit
    return is_allowed
