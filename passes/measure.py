"""Bounds on the number of tokens of a context that is only partly known.

A context is settled tokens and an open run of text: a run is encoded as a whole once a control
token, a gen or a select ends it, so its parts cannot be counted one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from sglc.passes.extents import NOTHING, Extent

Pieces = Sequence[str | int]  # plain texts and the ids of control tokens
Part = str | Extent


@dataclass(frozen=True)
class Measure:
    """What the bounds need of a model: its tokenizer, and its chat template taken apart.

    `encode` yields a text's tokens; of `text`, the first `stable_len(text)` characters encode alike
    whatever follows; `longest_token` is in bytes. `start`, `opening[previous, role]` (previous is
    "" at first) and `closing[role]` are the template's pieces.
    """

    encode: Callable[[str], Sequence[int]]
    stable_len: Callable[[str], int]
    longest_token: int
    start: Pieces
    opening: Mapping[tuple[str, str], Pieces]
    closing: Mapping[str, Pieces]

    def most(self, parts: Sequence[Part]) -> int | None:
        """An upper bound for a run: each part on its own, and one token more where two meet."""
        total = max(len(parts) - 1, 0)
        for part in parts:
            count = self.count(part) if isinstance(part, str) else part.most
            if count is None:
                return None
            total += count
        return total

    def least(self, parts: Sequence[Part]) -> int:
        """A lower bound for a run: exact when all of it is known, else what its known beginning
        surely encodes to, and the rest by the longest token."""
        if all(isinstance(part, str) for part in parts):
            return self.count("".join(part for part in parts if isinstance(part, str)))
        first, rest = parts[0], parts[1:]
        if isinstance(first, Extent):
            return -(-self._bytes(parts) // self.longest_token)
        end = self.stable_len(first)
        loose = self._bytes([first[end:], *rest])
        return self.count(first[:end]) + -(-loose // self.longest_token)

    def count(self, text: str) -> int:
        if text not in self._counts:
            self._counts[text] = len(self.encode(text)) if text else 0
        return self._counts[text]

    @cached_property
    def _counts(self) -> dict[str, int]:
        return {}

    def _bytes(self, parts: Sequence[Part]) -> int:
        return sum(
            len(part.encode("utf-8", "surrogatepass")) if isinstance(part, str) else part.least
            for part in parts
        )


@dataclass(frozen=True, slots=True)
class Size:
    """What is known of a context: bounds of its settled tokens, its open run, the role closed last
    ("" before any, None when paths differ), and whether the start's pieces are in."""

    least: int = 0
    most: int | None = 0
    run: tuple[Part, ...] = ()
    previous: str | None = ""
    has_begun: bool = False

    def settled(self, measure: Measure) -> Size:
        """With the run ended."""
        if not self.run:
            return self
        least, most = measure.least(self.run), measure.most(self.run)
        return Size(self.least + least, plus(self.most, most), (), self.previous, self.has_begun)

    def begun(self, measure: Measure) -> Size:
        if self.has_begun:
            return self
        return replace(self, has_begun=True).with_pieces(measure.start, measure)

    def with_parts(self, parts: Sequence[Part]) -> Size:
        run = list(self.run)
        for part in parts:
            if isinstance(part, str) and run and isinstance(run[-1], str):
                run[-1] += part
            elif part != "":
                run.append(part)
        return Size(self.least, self.most, tuple(run), self.previous, self.has_begun)

    def with_pieces(self, pieces: Pieces, measure: Measure) -> Size:
        size = self
        for piece in pieces:
            if isinstance(piece, str):
                size = size.with_parts((piece,))
            else:
                size = size.settled(measure).grown(1, 1)
        return size

    def grown(self, least: int, most: int | None) -> Size:
        """With this many settled tokens more."""
        most = plus(self.most, most)
        return Size(self.least + least, most, self.run, self.previous, self.has_begun)

    def opened(self, role: str, measure: Measure) -> Size:
        ways = [
            self._opened(pieces, measure)
            for (previous, opened), pieces in measure.opening.items()
            if opened == role and self.previous in (None, previous)
        ]
        return meet(ways, measure) if ways else self

    def _opened(self, pieces: Pieces, measure: Measure) -> Size:
        return replace(self, has_begun=True).with_pieces(pieces, measure)

    def closed(self, role: str, measure: Measure) -> Size:
        size = self.begun(measure).with_pieces(measure.closing.get(role, ()), measure)
        return replace(size, previous=role)


def meet(sizes: Sequence[Size], measure: Measure) -> Size:
    """What holds of each of several contexts."""
    if len(set(sizes)) == 1:
        return sizes[0]
    ends = [size.settled(measure) for size in sizes]
    bounds = [end.most for end in ends]
    roles = {end.previous for end in ends}
    return Size(
        least=min(end.least for end in ends),
        most=None if None in bounds else max(bound for bound in bounds if bound is not None),
        # something unknown stands before what comes next
        run=(NOTHING,),
        previous=roles.pop() if len(roles) == 1 else None,
        has_begun=all(end.has_begun for end in ends),
    )


def plus(a: int | None, b: int | None) -> int | None:
    """The sum; None is no bound."""
    return None if a is None or b is None else a + b


def times(a: int | None, b: int | None) -> int | None:
    """The product; None is no bound, and nothing times no bound is nothing."""
    if a == 0 or b == 0:
        return 0
    return None if a is None or b is None else a * b
