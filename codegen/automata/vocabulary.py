"""The tokens of a model as bytes, laid out for numpy, and the way from text to tokens."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sglc.codegen.automata.trie import Level, trie_of


class Tokenizer(Protocol):
    """What a vocabulary is made from: part of the runtime's tokenizer."""

    @property
    def vocab_size(self) -> int: ...

    @property
    def eos_ids(self) -> frozenset[int]: ...

    @property
    def control_ids(self) -> frozenset[int]: ...

    def encode(self, text: str) -> list[int]: ...

    def token_bytes(self, token_id: int) -> bytes: ...


class Vocabulary:
    """`tokens[id]` are the bytes of a token, empty for one that writes no text (a control token).
    `encode` yields the canonical ids of a text, and never a control token."""

    def __init__(
        self,
        tokens: Sequence[bytes],
        encode: Callable[[str], list[int]],
        eos_ids: frozenset[int] = frozenset(),
    ) -> None:
        self.tokens = tuple(tokens)
        self.encode = encode
        self.eos_ids = eos_ids

    @property
    def size(self) -> int:
        return len(self.tokens)

    @cached_property
    def lengths(self) -> NDArray[np.int32]:
        """[V] bytes of each token."""
        return np.array([len(token) for token in self.tokens], np.int32)

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest token."""
        return int(self.lengths.max(initial=0))

    @cached_property
    def trie(self) -> tuple[Level, ...]:
        return trie_of(self.tokens)

    def beginning_with(self, prefix: bytes) -> Iterator[bytes]:
        """The distinct tokens that are longer than `prefix` and begin with it, in order."""
        place = bisect_left(self._sorted, prefix)
        for token in self._sorted[place:]:
            if not token.startswith(prefix):
                return
            if len(token) > len(prefix):
                yield token

    @cached_property
    def _sorted(self) -> list[bytes]:
        return sorted(set(self.tokens) - {b""})


# by the tokenizer's id(); the tokenizer itself is kept so that the number stays its own
_made: dict[int, tuple[Tokenizer, Vocabulary]] = {}
_MAX_MADE = 4


def vocabulary_of(tokenizer: Tokenizer) -> Vocabulary:
    """Made once for each tokenizer. Control and end tokens have no bytes, whatever the tokenizer
    says."""
    if id(tokenizer) not in _made:
        silent = tokenizer.control_ids | tokenizer.eos_ids
        ids = range(tokenizer.vocab_size)
        tokens = [b"" if token in silent else tokenizer.token_bytes(token) for token in ids]
        _made[id(tokenizer)] = tokenizer, Vocabulary(tokens, tokenizer.encode, tokenizer.eos_ids)
        if len(_made) > _MAX_MADE:
            del _made[next(iter(_made))]
    return _made[id(tokenizer)][1]
