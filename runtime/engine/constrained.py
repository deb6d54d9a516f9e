"""Constrained gens: where each is in its constraint, and what a batch of them may sample.

Tables are followed by all rows at once, grammars by a matcher each. Knows nothing of KV and steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.codegen.automata.constraint import TokenTable
from sglc.runtime.engine.grammar_rows import GrammarRows, Grammars
from sglc.runtime.engine.grammar_walk import GrammarWalk
from sglc.runtime.engine.job import GenJob, Job
from sglc.runtime.engine.mask_rows import MaskRows
from sglc.runtime.engine.request import GenRequest
from sglc.runtime.engine.sampling import PickAgain
from sglc.runtime.engine.table_rows import AskingStates, TableRows, TableWalk
from sglc.runtime.engine.walk import Walk
from sglc.runtime.model.spec import Tokenizer

Indices = NDArray[np.int64]


class Constrained:
    """What all constrained gens of an engine share. `notes` get what people should know."""

    def __init__(self, tokenizer: Tokenizer, device: torch.device, notes: list[str]) -> None:
        self._eos_ids = tokenizer.eos_ids
        self._masks = MaskRows(tokenizer.eos_ids, device)
        self._asking = AskingStates()
        self._grammars = Grammars(tokenizer, notes)

    def walk(self, request: GenRequest) -> Walk | None:
        """The start of a request's walk; None without a constraint."""
        if request.constraint is None:
            return None
        if isinstance(request.constraint, TokenTable):
            return TableWalk(request.constraint, request.written)
        return self._grammars.walk(request.constraint, request.written)

    def start_filling(self, jobs: Iterable[Job]) -> None:
        """Have the masks that the next draws of `jobs` need made while the model runs."""
        walks = (job.walk for job in jobs if isinstance(job, GenJob))
        self._grammars.start_filling(walk for walk in walks if isinstance(walk, GrammarWalk))

    def batch(self, jobs: Sequence[GenJob]) -> ConstrainedBatch | None:
        """The constrained ones among the rows of a batch; None if there are none."""
        tables: dict[int, TableWalk] = {}
        grammars: dict[int, GrammarWalk] = {}
        for row, job in enumerate(jobs):
            if isinstance(job.walk, TableWalk):
                tables[row] = job.walk
            elif isinstance(job.walk, GrammarWalk):
                grammars[row] = job.walk
        if not (tables or grammars):
            return None
        return ConstrainedBatch(
            np.array([job.growth for job in jobs], dtype=np.int64),
            self._masks,
            TableRows(list(tables), list(tables.values()), self._masks, self._asking),
            GrammarRows(list(grammars), list(grammars.values()), self._eos_ids),
        )


class ConstrainedBatch:
    """One set of rows; made anew when it changes. `seconds` is the time spent in the last step."""

    def __init__(
        self, max_tokens: Indices, masks: MaskRows, tables: TableRows, grammars: GrammarRows
    ) -> None:
        self._max_tokens = max_tokens
        self._masks = masks
        self._tables = tables
        self._grammars = grammars
        self.seconds = 0.0

    def mask(self, logits: Tensor, counts: Indices) -> None:
        begin = perf_counter()
        only_end = []
        if len(self._tables):
            only_end.append(self._tables.mask(logits, self._max_tokens - counts))
        if len(self._grammars):
            only_end.append(self._grammars.mask(logits))
        self._masks.leave_end(logits, np.concatenate(only_end))
        self.seconds = perf_counter() - begin

    def mend(self, logits: Tensor, counts: Indices, tokens: Tensor, pick_again: PickAgain) -> None:
        if len(self._grammars):
            begin = perf_counter()
            remaining = self._max_tokens - counts
            self._grammars.mend(logits, counts, tokens, remaining, pick_again)
            self.seconds += perf_counter() - begin

    def take(self, tokens: Indices) -> Indices:
        """Go on by one token a row; returns the rows whose walks have to look."""
        begin = perf_counter()
        rows = np.concatenate([self._tables.take(tokens), self._grammars.take(tokens)])
        self.seconds += perf_counter() - begin
        return rows

    def settle(self) -> None:
        """Tell the walks where they are."""
        self._tables.settle()
