"""Constrained gens: where each is in its constraint, and what a batch of them may sample.

Tables are followed by all rows at once; grammars by one matcher each.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.runtime.engine.job import GenJob
from sglc.runtime.engine.mask_rows import MaskRows
from sglc.runtime.engine.request import GenRequest
from sglc.runtime.engine.sampling import PickAgain
from sglc.runtime.engine.table_rows import AskingStates, TableRows, TableWalk
from sglc.runtime.engine.walk import Walk
from sglc.runtime.model.spec import Tokenizer

Indices = NDArray[np.int64]


class Constrained:
    """What all constrained gens of an engine share."""

    def __init__(self, tokenizer: Tokenizer, device: torch.device) -> None:
        self._masks = MaskRows(tokenizer.eos_ids, device)
        self._asking = AskingStates()

    def walk(self, request: GenRequest) -> Walk | None:
        """The start of a request's walk; None without a constraint."""
        if request.constraint is None:
            return None
        return TableWalk(request.constraint, request.written)

    def batch(self, jobs: Sequence[GenJob]) -> ConstrainedBatch | None:
        """The constrained ones among the rows of a batch; None if there are none."""
        tables = [row for row, job in enumerate(jobs) if isinstance(job.walk, TableWalk)]
        if not tables:
            return None
        walks = [job.walk for job in jobs if isinstance(job.walk, TableWalk)]
        max_tokens = np.array([job.growth for job in jobs], dtype=np.int64)
        return ConstrainedBatch(max_tokens, TableRows(tables, walks, self._masks, self._asking))


class ConstrainedBatch:
    """One set of rows; made anew when it changes. `seconds` is the time spent in the last step."""

    def __init__(self, max_tokens: Indices, tables: TableRows) -> None:
        self._max_tokens = max_tokens
        self._tables = tables
        self.seconds = 0.0

    def mask(self, logits: Tensor, counts: Indices) -> None:
        begin = perf_counter()
        self._tables.mask(logits, self._max_tokens - counts)
        self.seconds = perf_counter() - begin

    def mend(self, logits: Tensor, counts: Indices, tokens: Tensor, pick_again: PickAgain) -> None:
        pass

    def take(self, tokens: Indices) -> Indices:
        """Go on by one token a row; returns the rows whose walks have to look."""
        begin = perf_counter()
        rows = self._tables.take(tokens)
        self.seconds += perf_counter() - begin
        return rows

    def settle(self) -> None:
        """Tell the walks where they are."""
        self._tables.settle()
