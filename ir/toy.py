"""A model of no weights: what it writes is a hash of what stands before, so any change shows.

Typed gens yield values of their type and choices one of them; patterns, schemas and grammars are
not read: under those it writes any text or JSON.
Laws: at temperature 0 a sample depends on the context, the type and the options alone; above it, on
the path too (and on the seed, which is an option). Equal contexts are equal pieces: what one text
was put together from makes no difference, where a gen ended a stretch does.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sglc.ir import types as t
from sglc.ir.gen_options import is_constrained
from sglc.ir.host.error import HostError
from sglc.ir.host.expr import Value


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a context. `kind` is "text", "gen" (which ends a stretch), "control", "open" or
    "close"; `text` its text, token or role."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class ToyContext:
    """A context as its pieces; neighbouring texts are one."""

    pieces: tuple[Piece, ...] = ()

    def add(self, kind: str, text: str) -> ToyContext:
        if kind == "text" and self.pieces and self.pieces[-1].kind == "text":
            joined = Piece("text", self.pieces[-1].text + text)
            return ToyContext((*self.pieces[:-1], joined))
        if kind == "text" and not text:
            return self
        return ToyContext((*self.pieces, Piece(kind, text)))

    def since(self, base: ToyContext) -> tuple[Piece, ...]:
        """The pieces that this context has after those of `base`, which it began as."""
        mine, n = self.pieces, len(base.pieces)
        if mine[:n] == base.pieces:
            return mine[n:]
        last = base.pieces[-1]
        if mine[: n - 1] != base.pieces[:-1] or not mine[n - 1].text.startswith(last.text):
            raise ValueError("a context that did not begin as the one before it")
        return (Piece("text", mine[n - 1].text.removeprefix(last.text)), *mine[n:])

    def text(self) -> str:
        marks = {"open": "<{}>", "close": "</{}>", "control": "<|{}|>"}
        return "".join(marks.get(p.kind, "{}").format(p.text) for p in self.pieces)


@dataclass(frozen=True, slots=True)
class ToySample:
    value: Value
    tokens: list[str]
    logprobs: list[float]
    finish_reason: str
    reasoning: str


class ToyModel:
    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def sample(
        self,
        context: ToyContext,
        type: t.Type,
        options: Mapping[str, Value],
        path: tuple[int, ...],
    ) -> ToySample:
        temperature = options.get("temperature", 1.0)
        draw = self._draw(context, type, sorted(options.items()), path if temperature else ())
        limit = options.get("max_tokens", 128)
        assert isinstance(limit, int)
        wanted = draw.randrange(6)
        tokens = [_word(draw) for _ in range(min(wanted, limit))]
        is_bound = is_constrained(type, options)
        return ToySample(
            _constrained_value(type, options, draw) if is_bound else "".join(tokens),
            tokens,
            [-draw.random() for _ in tokens],
            "length" if wanted > limit and not is_bound else "stop",
            _word(draw),
        )

    def scores(self, context: ToyContext, choice: str, method: str) -> float:
        return -self._draw(context, choice, method).random()

    def pick(self, context: ToyContext, scores: list[float], path: tuple[int, ...]) -> int:
        """The place of a choice drawn at a temperature above 0."""
        return self._draw(context, scores, path).randrange(len(scores))

    def _draw(self, *parts: object) -> random.Random:
        digest = hashlib.blake2b(repr((self.seed, parts)).encode("utf-8", "backslashreplace"))
        return random.Random(digest.digest())


class ToyTokenizer:
    """A token a character."""

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(chr, ids))


def _word(draw: random.Random) -> str:
    return "".join(draw.choice("abc ") for _ in range(draw.randrange(1, 4)))


def _constrained_value(type: t.Type, options: Mapping[str, Value], draw: random.Random) -> Value:
    choices = options.get("choices")
    if isinstance(choices, list):
        if not choices:
            raise HostError("value_error", "a gen from no choices")
        return draw.choice(choices)
    return _value(type, draw)


def _value(type: t.Type, draw: random.Random) -> Value:
    """Some value of the type."""
    match type:
        case t.StrType(low, high):
            text = _word(draw)
            return text[:high].ljust(low or 0, "d")
        case t.IntType(low, high):
            first = low if low is not None else min(0, high or 0)
            return draw.randint(first, high if high is not None else first + 9)
        case t.FloatType(low, high):
            start = low if low is not None else min(0.0, high or 0.0)
            return draw.uniform(start, high if high is not None else start + 1.0)
        case t.BoolType():
            return draw.random() < 0.5
        case t.LiteralType(values):
            return draw.choice(values)
        case t.OptionalType(item):
            return _value(item, draw) if draw.random() < 0.5 else None
        case t.ListType(item, low, high):
            least = low or 0
            most = high if high is not None else least + 2
            return [_value(item, draw) for _ in range(draw.randint(least, most))]
        case t.RecordType(fields=fields):
            return {name: _value(field, draw) for name, field in fields}
        case t.JsonType():
            return {"toy": _word(draw)}
        case t.NullType():
            return None
        case _:
            raise ValueError(f"the toy model writes no {type}")
