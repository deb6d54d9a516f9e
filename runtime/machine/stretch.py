"""Stretches: the text between two gens or selects, and its tokens (rules 1 and 2 of the language).

A stretch is a sequence of pieces: texts, and ids of control tokens. Control tokens cut it into runs
of text; a run's tokens are the tokenizer's encoding of the whole run, however it was pieced
together.
Law: what is reused here (the plan's constants, short runs seen before, a stable part encoded early)
never changes the ids: `encode` yields what encoding each whole run yields.
Knows nothing about roles, contexts or the engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from sglc.codegen.plan import Constant
from sglc.runtime.machine.batch_encoder import BatchEncoder
from sglc.runtime.model.spec import Tokenizer

Piece = str | int  # text, or the id of a control token

_KEY_LEN = 12  # constants are found by their first characters; shorter ones are not worth it
_CACHED_LEN = 96  # longest run, in characters, kept in the cache
_CACHED_RUNS = 8192
_SPLIT_LEN = 64  # below this many characters an early split saves nothing


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """What stretches of many rows begin with: leading control tokens and the stable part of a plan
    constant. One object for each such beginning, so that it can be a key."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Encoded:
    """The tokens of a stretch: those of `head`, if any, then `ids`."""

    head: Head | None
    ids: list[int]

    def all_ids(self) -> list[int]:
        return [*self.head.ids, *self.ids] if self.head else self.ids


def runs_of(pieces: Iterable[Piece]) -> list[Piece]:
    """The same stretch with neighbouring texts joined and empty ones dropped."""
    runs: list[Piece] = []
    texts: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            texts.append(piece)
            continue
        if texts:
            runs.append("".join(texts))
            texts.clear()
        runs.append(piece)
    if texts:
        runs.append("".join(texts))
    return [run for run in runs if run != ""]


class StretchEncoder:
    """Encodes stretches in batches, and remembers what many rows share."""

    def __init__(self, tokenizer: Tokenizer, constants: Sequence[Constant] = ()) -> None:
        self._tokenizer = tokenizer
        self._batches = BatchEncoder(tokenizer)
        self._constants: dict[str, list[Constant]] = {}
        for constant in sorted(constants, key=lambda c: -len(c.text)):
            if len(constant.text) >= _KEY_LEN:
                self._constants.setdefault(constant.text[:_KEY_LEN], []).append(constant)
        self._heads: dict[tuple[tuple[int, ...], int], Head] = {}
        self._cache: dict[str, list[int]] = {}

    def encode(self, stretches: Sequence[Sequence[Piece]]) -> list[Encoded]:
        """The ids of each stretch; whatever must be tokenized goes through one `encode_batch`."""
        todo: dict[str, list[int]] = {}  # run -> its ids, filled below
        drafts = [self._draft(runs_of(pieces), todo) for pieces in stretches]
        if todo:
            for text, ids in zip(todo, self._batches.encode(list(todo)), strict=True):
                todo[text].extend(ids)
                self._remember(text, ids)
        return [Encoded(head, _flat(parts)) for head, parts in drafts]

    def split_stable(self, pieces: Sequence[Piece]) -> tuple[list[Piece], str]:
        """Cut a stretch into a part whose tokens are fixed whatever text follows, and the text
        after it: encode(pieces + [x]) == encode(part) + encode([text + x]) for every text x."""
        runs = runs_of(pieces)
        if not runs or not isinstance(runs[-1], str):
            return runs, ""
        last = runs.pop()
        assert isinstance(last, str)
        if len(last) < _SPLIT_LEN:
            return runs, last
        cut = self._tokenizer.stable_len(last)
        if cut:
            runs.append(last[:cut])
        return runs, last[cut:]

    def _draft(
        self, runs: list[Piece], todo: dict[str, list[int]]
    ) -> tuple[Head | None, list[Sequence[int]]]:
        """The head, and the id lists that follow it; lists of runs in `todo` are still empty."""
        head: Head | None = None
        parts: list[Sequence[int]] = []
        for place, run in enumerate(runs):
            if not isinstance(run, str):
                parts.append((run,))
                continue
            constant = self._constant_of(run)
            if constant is None:
                parts.append(self._ids_of(run, todo))
                continue
            if all(isinstance(before, int) for before in runs[:place]):
                head = self._head(tuple(_flat(parts)), constant)
                parts.clear()
            else:
                parts.append(constant.ids[: constant.num_stable])
            if run == constant.text:
                parts.append(constant.ids[constant.num_stable :])
            else:
                parts.append(self._ids_of(run[constant.stable_len :], todo))
        return head, parts

    def _constant_of(self, run: str) -> Constant | None:
        """The longest constant that the run begins with and that helps."""
        for constant in self._constants.get(run[:_KEY_LEN], ()):
            if run.startswith(constant.text) and (constant.num_stable or run == constant.text):
                return constant
        return None

    def _head(self, controls: tuple[int, ...], constant: Constant) -> Head:
        key = (controls, id(constant))
        if key not in self._heads:
            self._heads[key] = Head(controls + constant.ids[: constant.num_stable])
        return self._heads[key]

    def _ids_of(self, run: str, todo: dict[str, list[int]]) -> Sequence[int]:
        if not run:
            return ()
        known = self._cache.get(run)
        return todo.setdefault(run, []) if known is None else known

    def _remember(self, run: str, ids: list[int]) -> None:
        if len(run) > _CACHED_LEN:
            return
        if len(self._cache) >= _CACHED_RUNS:
            self._cache.clear()
        self._cache[run] = ids


def _flat(parts: Iterable[Sequence[int]]) -> list[int]:
    return list(chain.from_iterable(parts))
