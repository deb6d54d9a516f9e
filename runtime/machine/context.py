"""A context at run time: an immutable value, of which every append makes another.

It is a settled engine prefix (tokens that no later text can change), the open stretch after it
(text and control tokens, encoded when a gen or select ends it), the state of its roles, and a
transcript of what was said, from which join, capture and traces are made.
Law: no method changes a context; equal operations on equal contexts give equal tokens.
Knows nothing about tasks, registers or requests.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Generic, TypeVar

from sglc.codegen.plan import Markup
from sglc.runtime.engine.request import Prefix
from sglc.runtime.machine.stretch import Piece
from sglc.runtime.row import RowFailure

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Link(Generic[T]):
    """A list that shares its beginning with others: the last item, and the list before it."""

    before: Link[T] | None
    item: T


def items_since(end: Link[T] | None, start: Link[T] | None) -> list[T]:
    """The items of `end` that `start`, a beginning of it, has not."""
    items: list[T] = []
    while end is not start:
        assert end is not None, "the lists have no common beginning"
        items.append(end.item)
        end = end.before
    items.reverse()
    return items


# ---------------------------------------------------------------- the transcript


@dataclass(frozen=True, slots=True)
class Said:
    text: str


@dataclass(frozen=True, slots=True)
class Marked:
    """A control token of `special()`."""

    token_id: int


@dataclass(frozen=True, slots=True)
class Opened:
    role: str


@dataclass(frozen=True, slots=True)
class Closed:
    pass


Step = Said | Marked | Opened | Closed


# ---------------------------------------------------------------- tokens that are settled


@dataclass(frozen=True, slots=True)
class Settled:
    """Tokens in the engine. `digest` is a running hash of all of them, however they were cut.
    `is_text`: no gen wrote any of them."""

    prefix: Prefix
    digest: blake2b
    is_text: bool = True

    def then(self, prefix: Prefix, ids: Sequence[int], *, is_text: bool = True) -> Settled:
        """`prefix` is this one's, extended by `ids`, which are text or a gen wrote them."""
        digest = self.digest.copy()
        digest.update(array("I", ids))
        return Settled(prefix, digest, self.is_text and is_text)

    @property
    def key(self) -> bytes:
        """Equal for equal tokens."""
        return self.digest.digest()


def nothing_settled(root: Prefix) -> Settled:
    """The start: no tokens yet."""
    return Settled(root, blake2b(digest_size=16))


# ---------------------------------------------------------------- the context


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Context:
    """`role` is the open role; `last_role` the last one closed ("" at the start). `has_begun` is
    false until the template's or the start's own pieces are written."""

    settled: Settled
    stretch: Link[Piece] | None = None
    transcript: Link[Step] | None = None
    role: str | None = None
    last_role: str = ""
    has_begun: bool = False

    def begun(self, markup: Markup) -> Context:
        """This context, with what stands at the start of one without roles (BOS, or nothing)."""
        if self.has_begun:
            return self
        return self._with(_linked(self.stretch, markup.start), self.transcript)

    def append(self, text: str, markup: Markup) -> Context:
        if not text:
            return self
        begun = self.begun(markup)
        return begun._with(Link(begun.stretch, text), Link(begun.transcript, Said(text)))

    def control(self, token_id: int, markup: Markup) -> Context:
        # a program that writes BOS itself does not get a second one
        is_own_start = not self.has_begun and markup.start == (token_id,)
        begun = self if is_own_start else self.begun(markup)
        return begun._with(Link(begun.stretch, token_id), Link(begun.transcript, Marked(token_id)))

    def open(self, role: str, markup: Markup) -> Context:
        pieces = markup.opening.get((self.last_role, role))
        if pieces is None:
            place = f"after `{self.last_role}`" if self.last_role else "at the start"
            raise RowFailure("role", f"the model's template has no role `{role}` {place}")
        return replace(
            self,
            stretch=_linked(self.stretch, pieces),
            transcript=Link(self.transcript, Opened(role)),
            role=role,
            has_begun=True,
        )

    def close(self, markup: Markup) -> Context:
        assert self.role is not None, "no role is open"
        return replace(
            self,
            stretch=_linked(self.stretch, markup.closing[self.role]),
            transcript=Link(self.transcript, Closed()),
            role=None,
            last_role=self.role,
        )

    def pieces(self) -> list[Piece]:
        """The open stretch."""
        return items_since(self.stretch, None)

    def with_stretch(self, settled: Settled, text: str) -> Context:
        """The same context with a longer settled part and `text` as its open stretch."""
        return self._with(_linked(None, [text]), self.transcript, settled)

    def answered(self, settled: Settled, text: str, rest: str = "") -> Context:
        """After a gen or select that appended `text`, of which `rest` is not among the tokens."""
        said = Link(self.transcript, Said(text)) if text else self.transcript
        return self._with(_linked(None, [rest]), said, settled)

    def _with(
        self, stretch: Link[Piece] | None, said: Link[Step] | None, settled: Settled | None = None
    ) -> Context:
        """This context, begun, after it changed in its own role. Every append makes one of these,
        and `replace` takes several times as long."""
        settled = self.settled if settled is None else settled
        return Context(settled, stretch, said, self.role, self.last_role, has_begun=True)

    def text_since(self, before: Context) -> str:
        """What this context says and `before`, which it grew from, does not; no markup."""
        steps = items_since(self.transcript, before.transcript)
        return "".join(step.text for step in steps if isinstance(step, Said))

    def joined(self, branch: Context, base: Context, markup: Markup) -> Context:
        """This context with what `branch` has and `base` has not, in the branch's roles."""
        context = self
        for step in items_since(branch.transcript, base.transcript):
            match step:
                case Said(text):
                    context = context.append(text, markup)
                case Marked(token_id):
                    context = context.control(token_id, markup)
                case Opened(role):
                    context = context.open(role, markup)
                case Closed():
                    context = context.close(markup)
        return context

    def segments(self) -> list[dict[str, str | None]]:
        """The transcript as {"role", "text"}, one a role block or text between blocks."""
        found: list[dict[str, str | None]] = []
        texts: list[str] = []
        role: str | None = None

        def finish() -> None:
            if texts or role is not None:
                found.append({"role": role, "text": "".join(texts)})
            texts.clear()

        for step in items_since(self.transcript, None):
            match step:
                case Said(text):
                    texts.append(text)
                case Opened(opened):
                    finish()
                    role = opened
                case Closed():
                    finish()
                    role = None
        finish()
        return found


def _linked(link: Link[Piece] | None, pieces: Sequence[Piece]) -> Link[Piece] | None:
    for piece in pieces:
        if piece != "":
            link = Link(link, piece)
    return link
