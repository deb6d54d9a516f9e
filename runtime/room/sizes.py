"""How many tokens contexts have of which some texts are not known yet: surely, or at most.

Law: whatever stands for the unknown texts, a context has at least as many tokens as `SureSizes`
says; and what `QuickSizes` says, which takes no tokenizer, is no lower than that.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, Protocol

from sglc.codegen.plan import Markup
from sglc.runtime.machine.context import Context, Settled
from sglc.runtime.machine.stretch import Piece
from sglc.runtime.model.spec import Tokenizer

HOLE = -1  # stands in a stretch, as a control token, for a text that is not known
_NO_DIGEST = blake2b(digest_size=1)  # nobody compares these contexts


class Sizes(Protocol):
    """Contexts, which are values of any kind, and their sizes. A text of None is not known."""

    @property
    def empty(self) -> Any: ...
    def append(self, context: Any, text: str | None) -> Any: ...
    def control(self, context: Any, token: str) -> Any: ...
    def open(self, context: Any, role: str) -> Any: ...
    def close(self, context: Any) -> Any: ...

    def joined(self, context: Any, branch: Any, base: Any) -> Any:
        """The context with what `branch` has and `base`, which it began as, has not."""
        ...

    def answered(self, context: Any, size: int) -> Any:
        """Behind a gen or select, whose own text may be empty: `size` tokens stay."""
        ...

    def size(self, context: Any) -> int: ...

    def is_exact(self, context: Any) -> bool:
        """Whether the context has exactly its size."""
        ...


class SureSizes:
    """By the model's tokenizer. The contexts are the machine's own, so roles and their texts are
    what they will be."""

    def __init__(self, tokenizer: Tokenizer, markup: Markup) -> None:
        self._tokenizer = tokenizer
        self._markup = markup
        ids = range(tokenizer.vocab_size)
        self._longest_token = max(1, *(len(tokenizer.token_bytes(id)) for id in ids))
        self.empty = Context(_settled(0, is_text=True))

    def append(self, context: Context, text: str | None) -> Context:
        if text is None:
            return context.control(HOLE, self._markup)
        return context.append(text, self._markup)

    def control(self, context: Context, token: str) -> Context:
        token_id = self._tokenizer.control_id(token)
        return context if token_id is None else context.control(token_id, self._markup)

    def open(self, context: Context, role: str) -> Context:
        return context.open(role, self._markup)

    def close(self, context: Context) -> Context:
        return context.close(self._markup)

    def joined(self, context: Context, branch: Context, base: Context) -> Context:
        return context.joined(branch, base, self._markup)

    def answered(self, context: Context, size: int) -> Context:
        behind = context.begun(self._markup).with_stretch(_settled(size, is_text=False), "")
        return behind.control(HOLE, self._markup)

    def size(self, context: Context) -> int:
        begun = context.begun(self._markup)
        total, run, is_behind_hole = begun.settled.prefix.num_tokens, "", False
        for piece in [*begun.pieces(), None]:
            if isinstance(piece, str):
                run += piece
                continue
            total += self._run(run, is_behind_hole, piece == HOLE) + (piece not in (HOLE, None))
            run, is_behind_hole = "", piece == HOLE
        return total

    def is_exact(self, context: Context) -> bool:
        return context.settled.is_text and HOLE not in context.pieces()

    def _run(self, text: str, is_behind_hole: bool, is_before_hole: bool) -> int:
        """A text's tokens; next to a hole it may share tokens with what will stand there."""
        if is_behind_hole:
            return self._by_bytes(text)
        if not is_before_hole:
            return self._exact(text)
        cut = self._tokenizer.stable_len(text)
        return self._exact(text[:cut]) + self._by_bytes(text[cut:])

    def _exact(self, text: str) -> int:
        # batches remember words, so that encoding the row later costs little
        return len(self._tokenizer.encode_batch([text])[0]) if text else 0

    def _by_bytes(self, text: str) -> int:
        return -(-_num_bytes(text) // self._longest_token)


class QuickSizes:
    """By bytes, of which every token has one or more. A context is the number of its bytes."""

    def __init__(self, markup: Markup) -> None:
        self.empty = _most([markup.start])
        self._closing = _most(markup.closing.values())
        self._opening = {
            role: _most(pieces for (_, opened), pieces in markup.opening.items() if opened == role)
            for _, role in markup.opening
        }

    def append(self, context: int, text: str | None) -> int:
        return context if text is None else context + _num_bytes(text)

    def control(self, context: int, token: str) -> int:
        return context + 1

    def open(self, context: int, role: str) -> int:
        return context + self._opening.get(role, 0)

    def close(self, context: int) -> int:
        return context + self._closing

    def joined(self, context: int, branch: int, base: int) -> int:
        return context + branch - base

    def answered(self, context: int, size: int) -> int:
        return size

    def size(self, context: int) -> int:
        return context

    def is_exact(self, context: int) -> bool:
        return False


class _Length:
    """A prefix of which nothing but the length is known."""

    def __init__(self, num_tokens: int) -> None:
        self.num_tokens = num_tokens

    def token_ids(self) -> list[int]:
        raise NotImplementedError("a length has no tokens")


def _settled(size: int, *, is_text: bool) -> Settled:
    return Settled(_Length(size), _NO_DIGEST, is_text)


def _most(texts: Iterable[Iterable[Piece]]) -> int:
    """The bytes of the longest text, control tokens as one each."""
    sizes = [sum(_num_bytes(p) if isinstance(p, str) else 1 for p in text) for text in texts]
    return max(sizes, default=0)


def _num_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
