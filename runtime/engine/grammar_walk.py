"""One gen that follows a grammar: xgrammar's matcher says which tokens may come, the closing
tracker which of them belong to the constraint, how soon it can end, and where it does.

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

from sglc.codegen.automata.closing import State
from sglc.codegen.automata.cover import fewest_tokens
from sglc.codegen.automata.vocabulary import Vocabulary
from sglc.runtime.engine.follower import Beyond, Follower
from sglc.runtime.engine.walk import Ended, Forced
from sglc.runtime.model.spec import Tokenizer

Words = NDArray[np.int32]  # a bit a token, 32 to a word, the lowest first


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
    that xgrammar allows, once `fill` has run after the last change; those that `fits` refuses may
    be among them."""

    def __init__(self, grammar: LoadedGrammar, written: bytes) -> None:
        import xgrammar  # takes seconds, and most programs have no grammar

        self._grammar = grammar
        self._follower = grammar.follower
        self._closing = grammar.follower.closing
        self._matcher = xgrammar.GrammarMatcher(grammar.compiled)
        state = self._follower.after(self._closing.start(), written)
        if not isinstance(state, State) or (written and not self._matcher.accept_string(written)):
            raise ValueError(f"the grammar does not allow {written!r}")
        self._state: State | Beyond = state
        self._tried: tuple[int, State | Beyond] | None = None  # a token that fits, and what follows
        self.words = np.zeros((1, len(grammar.not_end)), dtype=np.int32)
        self.is_filled = False
        self.filling: Future[None] | None = None

    @property
    def fewest_tokens(self) -> int:
        return self._fewest(self._state)

    @property
    def most_tokens(self) -> int | None:
        return None

    @property
    def shortest(self) -> bytes:
        """The shortest text from here to a whole value."""
        return b"" if isinstance(self._state, Beyond) else self._closing.completion(self._state)

    @property
    def is_whole(self) -> bool:
        """Lead and value stand whole; the value may go on."""
        return isinstance(self._state, Beyond) or self._state.is_whole

    @property
    def is_over(self) -> bool:
        """The value is whole and cannot go on."""
        return isinstance(self._state, Beyond) or self._state.is_over

    @property
    def only_end(self) -> bool:
        """The mask allows nothing but EOS."""
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
        """Go on by a token that may come."""
        after = self._after(token)
        is_accepted = self._matcher.accept_token(token)
        assert after is not None and is_accepted, "the token may not come"
        self._state = after
        self._tried = None
        self.is_filled = False

    def look(self, generated: bytes, left: int) -> Forced | Ended | None:
        if isinstance(self._state, Beyond):
            return Ended(len(generated) - self._state.num_bytes)
        data, after = self._follower.forced(self._state)
        try:
            text = data.decode()
        except UnicodeDecodeError:  # it begins or ends within a character
            return None
        if after.is_over:
            return Ended(completion=text)
        tokenizer = self._grammar.tokenizer
        ids = tokenizer.encode(text[: tokenizer.stable_len(text)]) if text else []
        if len(ids) < 2 or not self._leave_room(ids, left):
            return None
        for id in ids:
            self.accept(id)
        return Forced(tuple(ids))

    def fits(self, token: int, left: int) -> bool:
        """Whether `token` belongs to the constraint, or to the text that follows it, and a value
        can still be whole after it when `left` tokens are left now."""
        after = self._after(token)
        if after is None:
            return False
        self._tried = (token, after)
        return self._can_close(after, left - 1)

    def closers(self, left: int) -> list[int]:
        """Tokens that begin the shortest completion, so that `left` tokens are enough for it; none
        where the value is whole."""
        text = self.shortest
        found: list[int] = []
        for size in range(1, len(text) + 1):
            ids = self._grammar.ids_of.get(text[:size], [])
            if ids and fewest_tokens(text[size:], self._grammar.vocabulary) < left:
                found += ids
        return found

    def _after(self, token: int) -> State | Beyond | None:
        if self._tried is not None and self._tried[0] == token:
            return self._tried[1]
        assert isinstance(self._state, State), "the gen is over"
        return self._follower.after(self._state, self._grammar.vocabulary.tokens[token])

    def _leave_room(self, ids: list[int], left: int) -> bool:
        """Whether a value can be whole after `ids`, which must come, within `left` tokens, and one
        of these is left to be sampled: a gen ends by a token or by a completion."""
        assert isinstance(self._state, State), "the gen is over"
        data = b"".join(self._grammar.vocabulary.tokens[id] for id in ids)
        after = self._follower.after(self._state, data)
        left -= len(ids)
        return after is not None and left > 0 and self._can_close(after, left)

    def _can_close(self, state: State | Beyond, left: int) -> bool:
        # no text takes more tokens than it has bytes
        is_near = isinstance(state, Beyond) or self._closing.distance(state) <= left
        return is_near or self._fewest(state) <= left

    def _fewest(self, state: State | Beyond) -> int:
        if isinstance(state, Beyond):
            return 0
        return fewest_tokens(self._closing.completion(state), self._grammar.vocabulary)
