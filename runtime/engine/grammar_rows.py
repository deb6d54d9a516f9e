"""The rows of a batch whose gens follow grammars.

Their masks are filled by a thread while the model runs. A drawn token may go beyond a count that
the masks know nothing of, or near the end of a budget leave too little room to close: it is masked
and the row drawn again, which is the same as masking it before. After a few such draws only the
shortest completion may be written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.codegen.automata.closing import Closing
from sglc.codegen.automata.constraint import Grammar
from sglc.codegen.automata.grammar import load_grammar
from sglc.codegen.automata.vocabulary import vocabulary_of
from sglc.runtime.engine.follower import Follower
from sglc.runtime.engine.grammar_walk import GrammarWalk, LoadedGrammar
from sglc.runtime.engine.sampling import PickAgain
from sglc.runtime.model.spec import Tokenizer

Indices = NDArray[np.int64]
MAX_REDRAWS = 16


class Grammars:
    """Grammars loaded for one tokenizer, and the thread that fills masks. `notes` get what was
    wrong with stored ones."""

    MAX_LOADED = 256

    def __init__(self, tokenizer: Tokenizer, notes: list[str]) -> None:
        self._tokenizer = tokenizer
        self._notes = notes
        self._loaded: dict[Grammar, LoadedGrammar] = {}
        self._filler: ThreadPoolExecutor | None = None

    def walk(self, grammar: Grammar, written: bytes) -> GrammarWalk:
        loaded = self._loaded.get(grammar)
        if loaded is None:
            if len(self._loaded) >= self.MAX_LOADED:
                self._loaded.clear()
            loaded = self._loaded[grammar] = self._load(grammar)
        return GrammarWalk(loaded, written)

    def start_filling(self, walks: Iterable[GrammarWalk]) -> None:
        """Have the masks that are out of date filled while something else goes on."""
        stale = [walk for walk in walks if not walk.is_filled and walk.filling is None]
        if not stale:
            return
        if self._filler is None:
            self._filler = ThreadPoolExecutor(max_workers=1, thread_name_prefix="masks")
        filling = self._filler.submit(_fill, stale)
        for walk in stale:
            walk.filling = filling

    def _load(self, grammar: Grammar) -> LoadedGrammar:
        vocabulary = vocabulary_of(self._tokenizer)
        compiled, note = load_grammar(grammar, vocabulary)
        if note is not None and note not in self._notes:
            self._notes.append(note)
        ids_of: dict[bytes, list[int]] = {}
        for id, data in enumerate(vocabulary.tokens):
            ids_of.setdefault(data, []).append(id)
        is_end = np.ones(-(-vocabulary.size // 32) * 32, dtype=np.uint8)
        is_end[sorted(vocabulary.eos_ids)] = 0
        not_end = np.packbits(is_end, bitorder="little").view(np.int32)
        follower = Follower(Closing(grammar.rules), grammar.follow.encode())
        return LoadedGrammar(compiled, follower, self._tokenizer, vocabulary, ids_of, not_end)


def _fill(walks: Sequence[GrammarWalk]) -> None:
    for walk in walks:
        walk.fill_now()


class GrammarRows:
    """The rows `rows` of a batch, whose gens are at `walks`."""

    def __init__(
        self, rows: Sequence[int], walks: Sequence[GrammarWalk], eos_ids: frozenset[int]
    ) -> None:
        self._rows = np.array(rows, dtype=np.int64)
        self._walks = walks
        self._eos_ids = eos_ids

    def __len__(self) -> int:
        return len(self._rows)

    def mask(self, logits: Tensor) -> Indices:
        """Block, in place, what the grammars do not allow; returns the rows that allow nothing but
        the end."""
        for walk in self._walks:
            walk.fill()
        words = np.concatenate([walk.words for walk in self._walks])
        bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")
        is_blocked = np.ones((len(words), logits.shape[1]), dtype=np.bool_)
        width = min(bits.shape[1], logits.shape[1])
        is_blocked[:, :width] = bits[:, :width] == 0
        blocked = torch.from_numpy(is_blocked).to(logits.device)
        if len(words) == len(logits):
            logits.masked_fill_(blocked, -torch.inf)
        else:
            index = torch.from_numpy(self._rows).to(logits.device)
            logits[index] = logits[index].masked_fill_(blocked, -torch.inf)
        is_end = [walk.only_end for walk in self._walks]
        return self._rows[is_end]

    def mend(
        self,
        logits: Tensor,
        counts: Indices,
        tokens: Tensor,
        remaining: Indices,
        pick_again: PickAgain,
    ) -> None:
        """Replace, in place, drawn tokens that no value has there, or after which none could become
        whole within `remaining[r]` tokens, that one included."""
        for row, walk in zip(self._rows.tolist(), self._walks, strict=True):
            token, left = int(tokens[row]), int(remaining[row])
            for _ in range(MAX_REDRAWS):
                if self._is_good(walk, logits, row, token, left):
                    break
                logits[row, token] = -torch.inf
                token = pick_again(logits, counts, row)
            else:
                self._leave_closers(walk, logits, row, left)
                token = pick_again(logits, counts, row)
            tokens[row] = token

    def _is_good(self, walk: GrammarWalk, logits: Tensor, row: int, token: int, left: int) -> bool:
        if logits[row, token] == -torch.inf:  # nothing is left of the row
            return False
        return walk.is_whole if token in self._eos_ids else walk.fits(token, left)

    def _leave_closers(self, walk: GrammarWalk, logits: Tensor, row: int, left: int) -> None:
        ids = walk.closers(left) or sorted(self._eos_ids)
        values = logits[row, ids]
        logits[row] = -torch.inf
        # those that were masked before (an EOS too early) are wanted now
        logits[row, ids] = values if bool((values > -torch.inf).any()) else 0.0

    def take(self, tokens: Indices) -> Indices:
        """Go on by one token a row of the batch; returns the rows whose walks have to look."""
        for row, walk in zip(self._rows.tolist(), self._walks, strict=True):
            token = int(tokens[row])
            if token not in self._eos_ids:
                walk.accept(token)
        return self._rows
