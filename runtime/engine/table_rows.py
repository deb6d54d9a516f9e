"""Gens that follow token tables: one gen's walk, and the rows of a batch all at once.

A gen's state is its walk's while it is in no batch, and the batch's while it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.codegen.automata.constraint import TokenTable
from sglc.codegen.automata.longest import longest_text
from sglc.codegen.automata.walk import value_end, walk
from sglc.runtime.engine.mask_rows import MaskRows
from sglc.runtime.engine.walk import Ended, Forced

Indices = NDArray[np.int64]


class TableWalk:
    """`written` is the part of lead + value that stands before the gen."""

    def __init__(self, table: TokenTable, written: bytes) -> None:
        self.table = table
        self.state = walk(table, written)
        self._written = written

    @property
    def fewest_tokens(self) -> int:
        return int(self.table.distance[self.state])

    @property
    def most_tokens(self) -> int | None:
        longest = longest_text(self.table.dfa)
        # a token for each byte, one that ends the value, and one that `look` leaves to be sampled
        return None if longest is None else longest - len(self._written) + 2

    def look(self, generated: bytes, left: int) -> Forced | Ended | None:
        table = self.table
        if table.follow and self.state == table.num_states - 1:
            end = value_end(table, self._written + generated)
            return Ended(end - len(self._written))
        completion = table.completion[self.state]
        if completion is not None:
            return Ended(completion=completion)
        ids, state = table.forced[self.state], self.state
        for id in ids:
            state = int(table.next[state, table.token_class[id]])
        # other tokens may spell the same text and leave more room; one is left to be sampled, since
        # a gen ends by a token or by a completion
        if not ids or len(ids) + max(table.distance[state], 1) > left:
            return None
        self.state = state
        return Forced(ids)


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows that follow one table; `asks` [S] marks the states at which a walk has to look."""

    table: TokenTable
    rows: Indices
    asks: NDArray[np.bool_]


class TableRows:
    """The rows `rows` of a batch, whose gens are at `walks`; made anew when the batch changes."""

    def __init__(
        self, rows: Sequence[int], walks: Sequence[TableWalk], masks: MaskRows, asking: AskingStates
    ) -> None:
        self._rows = np.array(rows, dtype=np.int64)
        self._walks = walks
        self._masks = masks
        self._states = np.array([at.state for at in walks], dtype=np.int64)
        places: dict[TokenTable, list[int]] = {}
        for place, at in enumerate(walks):
            places.setdefault(at.table, []).append(place)
        self._groups = [
            _Group(table, np.array(found), asking.of(table)) for table, found in places.items()
        ]

    def __len__(self) -> int:
        return len(self._rows)

    def mask(self, logits: Tensor, remaining: Indices) -> Indices:
        """Block, in place, what the tables do not allow; `remaining[r]` tokens may still be written
        in row r of the batch. Returns the rows that allow nothing but the end."""
        limits = remaining[self._rows] - 1
        for group in self._groups:
            reach = group.table.reach[self._states[group.rows]]
            limits[group.rows] = np.where(limits[group.rows] >= reach, -1, limits[group.rows])
        tables = (at.table for at in self._walks)
        keys = list(zip(tables, self._states.tolist(), limits.tolist(), strict=True))
        places = self._masks.places(keys, logits.shape[1])
        is_end = self._masks.only_end[places]
        if len(places) < len(logits):
            every = np.zeros(len(logits), dtype=np.int64)
            every[self._rows] = places
            places = every
        index = torch.from_numpy(places).to(logits.device)
        logits.masked_fill_(self._masks.blocked[index], -torch.inf)
        return self._rows[is_end]

    def take(self, tokens: Indices) -> Indices:
        """Go on by one token a row of the batch; returns the rows whose walks have to look. EOS
        changes no state."""
        asks = np.zeros(len(self._rows), dtype=np.bool_)
        for group in self._groups:
            states = self._states[group.rows]
            classes = group.table.token_class[tokens[self._rows[group.rows]]]
            after = group.table.next[states, classes]
            states = np.where(after >= 0, after, states)
            self._states[group.rows] = states
            asks[group.rows] = group.asks[states]
        return self._rows[asks]

    def settle(self) -> None:
        """Tell the walks where they are."""
        for settled, state in zip(self._walks, self._states.tolist(), strict=True):
            settled.state = state


class AskingStates:
    """For each table, which states force text, complete a value or lie in the follow text."""

    MAX_CACHED = 1024

    def __init__(self) -> None:
        self._cached: dict[TokenTable, NDArray[np.bool_]] = {}

    def of(self, table: TokenTable) -> NDArray[np.bool_]:
        asks = self._cached.get(table)
        if asks is None:
            if len(self._cached) >= self.MAX_CACHED:
                self._cached.clear()
            asks = self._cached[table] = np.array(
                [
                    bool(ids) or completion is not None
                    for ids, completion in zip(table.forced, table.completion, strict=True)
                ]
            )
            asks[-1] |= bool(table.follow)
        return asks
