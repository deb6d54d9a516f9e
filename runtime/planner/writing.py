"""What gens are taken to write when there is no model: as many words as they may, or a value.

A text is made of tokens that are words with a space before them, drawn anew for each gen: so that
it has as many tokens wherever a program inserts it, and two gens hardly ever share a beginning.
Knows nothing of when or how tokens are run.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sglc.codegen.automata.constraint import TokenTable
from sglc.codegen.automata.vocabulary import vocabulary_of
from sglc.runtime.engine.grammar_walk import GrammarWalk
from sglc.runtime.engine.job import GenJob
from sglc.runtime.engine.request import GenRequest
from sglc.runtime.engine.stop import Kept, keep
from sglc.runtime.engine.table_rows import AskingStates, TableWalk
from sglc.runtime.engine.walk import Ended, Forced
from sglc.runtime.model.spec import Tokenizer

# what is taken for a word, the best first: for vocabularies that have no whole words too
_WORDS = (rb" [a-z]{2,12}", rb" ?[A-Za-z]+", rb"[!-~]", rb".+")


@dataclass(frozen=True, slots=True)
class Written:
    """All tokens of a gen. After each of `breaks` it leaves the batch, to have what is forced up to
    the next number run, or because it is over; `num_forced` are forced in all, at `forced`."""

    tokens: list[int]
    breaks: list[tuple[int, int]]  # after so many tokens, so many forced ones follow; the last: 0
    kept: Kept
    finish_reason: str


class Writer:
    """Decides what each gen writes; a free text ends at max_tokens, or after `length_of` the gen
    and its bound."""

    def __init__(
        self, tokenizer: Tokenizer, length_of: Callable[[GenRequest, int], int] | None = None
    ) -> None:
        self._tokenizer = tokenizer
        self._length_of = length_of
        self._tokens = vocabulary_of(tokenizer).tokens
        self._words = _words(self._tokens, tokenizer.control_ids)
        self._eos = min(tokenizer.eos_ids, default=None)
        self._random = random.Random(0)
        self._asking = AskingStates()
        self._allowed: dict[tuple[TokenTable, int, int], NDArray[np.int64]] = {}

    def write(self, job: GenJob) -> Written:
        """All that `job`, about to run for the first time, writes."""
        if isinstance(job.walk, TableWalk):
            return self._value(job, job.walk)
        if isinstance(job.walk, GrammarWalk):
            text = job.walk.shortest.decode("utf-8", "replace")
            tokens = [*job.tokens, *self._tokenizer.encode(text)][: job.growth]
            return self._over(tokens or self._end(), [], Ended(), "stop")
        count = max(1, min(job.gen.sampling.max_tokens, job.growth))
        if self._length_of is not None:
            count = max(1, self._length_of(job.gen, count))
        tokens = self._random.choices(self._words, k=count)
        return self._over(tokens, [], None, "length" if count == job.growth else "stop")

    def _value(self, job: GenJob, walk: TableWalk) -> Written:
        """A random value that the table allows and that fits."""
        table, asks = walk.table, self._asking.of(walk.table)
        tokens = list(job.tokens)
        breaks: list[tuple[int, int]] = []
        while len(tokens) < job.growth:
            allowed = self._next(table, walk.state, job.growth - len(tokens) - 1)
            if not len(allowed):
                tokens += self._end()
                break
            token = int(allowed[self._random.randrange(len(allowed))])
            tokens.append(token)
            walk.state = int(table.next[walk.state, table.token_class[token]])
            if not asks[walk.state]:
                continue
            generated = b"".join(self._tokens[id] for id in tokens)
            step = walk.look(generated, job.growth - len(tokens))
            if isinstance(step, Ended):
                return self._over(tokens, breaks, step, "stop")
            if isinstance(step, Forced):
                breaks.append((len(tokens), len(step.ids)))
                tokens += step.ids
        return self._over(tokens, breaks, Ended(), "stop")

    def _next(self, table: TokenTable, state: int, left: int) -> NDArray[np.int64]:
        """The tokens that may come at `state`, if `left` are left after them."""
        left = min(left, int(table.reach[state]))
        key = (table, state, left)
        found = self._allowed.get(key)
        if found is None:
            after = table.next[state][table.token_class[: len(self._tokens)]]
            fits = (after >= 0) & (table.distance[after] <= left)
            found = self._allowed[key] = np.flatnonzero(fits)
        return found

    def _end(self) -> list[int]:
        return [] if self._eos is None else [self._eos]

    def _over(
        self, tokens: list[int], breaks: list[tuple[int, int]], end: Ended | None, reason: str
    ) -> Written:
        pieces = [self._tokens[id] for id in tokens]
        if tokens and tokens[-1] == self._eos:
            pieces.pop()
        kept = keep(pieces, end.end, end.completion) if end else _whole(pieces)
        return Written(tokens, [*breaks, (len(tokens), 0)], kept, reason)


def _whole(words: list[bytes]) -> Kept:
    return Kept(len(words), b"".join(words).decode("utf-8", "replace"), "")


def _words(tokens: tuple[bytes, ...], control_ids: frozenset[int]) -> list[int]:
    """Ids of the tokens that gens write."""
    texts = [(id, data) for id, data in enumerate(tokens) if data and id not in control_ids]
    for pattern in _WORDS:
        is_word = re.compile(pattern).fullmatch
        found = [id for id, data in texts if is_word(data)]
        if len(found) >= 16:
            break
    return found
