"""One gen that follows a grammar: xgrammar's matcher says which tokens may come, the closing
tracker how soon the text can end.

Law: at any time the shortest completion can be written in the tokens that are left, so the gen
never ends in the middle of a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sglc.codegen.automata.closing import Closing, State
from sglc.codegen.automata.cover import fewest_tokens
from sglc.codegen.automata.vocabulary import Vocabulary
from sglc.runtime.engine.walk import Ended, Forced
from sglc.runtime.model.spec import Tokenizer

Words = NDArray[np.int32]  # a bit a token, 32 to a word, the lowest first


class Follower:
    """A grammar's closing tracker that remembers its steps: text within a str leads from one state
    back to it."""

    MAX_STEPS = 100_000

    def __init__(self, closing: Closing) -> None:
        self.closing = closing
        self._steps: dict[tuple[State, int], State] = {}

    def after(self, state: State, data: bytes) -> State:
        """The state after `data`; ValueError where it cannot come."""
        for byte in data:
            step = (state, byte)
            after = self._steps.get(step)
            if after is None:
                after = self.closing.advance(state, bytes([byte]))
                if after is None:
                    raise ValueError(f"the grammar does not allow {data!r}")
                if len(self._steps) >= self.MAX_STEPS:
                    self._steps.clear()
                self._steps[step] = after
            state = after
        return state


@dataclass(frozen=True, slots=True, eq=False)
class LoadedGrammar:
    """A grammar ready to be followed. `compiled` is xgrammar's; `ids_of` gives the tokens with
    certain bytes, `not_end` [W] has the bits of all tokens but EOS."""

    compiled: Any
    follower: Follower
    tokenizer: Tokenizer
    vocabulary: Vocabulary
    ids_of: Mapping[bytes, list[int]]
    not_end: Words


class GrammarWalk:
    """`written` is the part of lead + value that stands before the gen. `words` [W] are the tokens
    that may come, once `fill` has run after the last change."""

    def __init__(self, grammar: LoadedGrammar, written: bytes) -> None:
        import xgrammar  # takes seconds, and most programs have no grammar

        self._grammar = grammar
        self._matcher = xgrammar.GrammarMatcher(grammar.compiled)
        self._closing = grammar.follower.closing
        self._state = grammar.follower.after(self._closing.start(), written)
        self._tried: tuple[int, State] | None = None  # a token that fits, and the state after it
        if written and not self._matcher.accept_string(written):
            raise ValueError(f"the grammar does not allow {written!r}")
        self.words = np.zeros((1, len(grammar.not_end)), dtype=np.int32)
        self.is_filled = False
        self.filling: Future[None] | None = None

    @property
    def fewest_tokens(self) -> int:
        return self._fewest(self._state)

    @property
    def shortest(self) -> bytes:
        """The shortest text from here to a whole value."""
        return self._grammar.closing.completion(self._state)

    @property
    def only_end(self) -> bool:
        """Nothing but the end may come."""
        if not self._matcher.is_completed():
            return False
        self.fill()
        return not (self.words[0] & self._grammar.not_end).any()

    def fill(self) -> None:
        if self.filling is not None:
            self.filling.result()
            self.filling = None
        if not self.is_filled:
            self.fill_now()

    def fill_now(self) -> None:
        self._matcher.fill_next_token_bitmask(self.words)
        self.is_filled = True

    def accept(self, token: int) -> None:
        """Go on by a token that `fits` was asked about last, or that the grammar allows."""
        if self._tried is not None and self._tried[0] == token:
            self._state = self._tried[1]
        else:
            data = self._grammar.vocabulary.tokens[token]
            self._state = self._grammar.follower.after(self._state, data)
        self._change(self._matcher.accept_token(token))

    def look(self, generated: bytes, left: int) -> Forced | Ended | None:
        if self.only_end:
            return Ended()
        try:
            text = self._matcher.find_jump_forward_string()
        except UnicodeDecodeError:  # it begins or ends within a character
            return None
        if not text:
            return None
        self._change(self._matcher.accept_string(text))
        if self.only_end:
            return Ended(completion=text)
        self._matcher.rollback(1)
        self.is_filled = False
        tokenizer = self._grammar.tokenizer
        ids = tokenizer.encode(text[: tokenizer.stable_len(text)])
        if len(ids) < 2 or not self.fits(ids, left):
            return None
        for id in ids:
            self.accept(id)
        return Forced(tuple(ids))

    def fits(self, ids: list[int], left: int) -> bool:
        """Whether a value can still be whole when `ids` come next and `left` tokens are left
        now."""
        data = b"".join(self._grammar.vocabulary.tokens[id] for id in ids)
        state = self._grammar.follower.after(self._state, data)
        left -= len(ids)
        if self._closing.distance(state) > left and self._fewest(state) > left:
            return False
        if len(ids) == 1:
            self._tried = (ids[0], state)
        return True

    def closers(self, left: int) -> list[int]:
        """Tokens that begin the shortest completion, so that `left` tokens are enough for it; none
        where the value is whole."""
        text = self._closing.completion(self._state)
        found: list[int] = []
        for size in range(1, len(text) + 1):
            ids = self._grammar.ids_of.get(text[:size], [])
            if ids and fewest_tokens(text[size:], self._grammar.vocabulary) < left:
                found += ids
        return found

    def _fewest(self, state: State) -> int:
        return fewest_tokens(self._closing.completion(state), self._grammar.vocabulary)

    def _change(self, is_accepted: bool) -> None:
        assert is_accepted, "the matcher refuses what its mask allows"
        self.is_filled = False
        self._tried = None
