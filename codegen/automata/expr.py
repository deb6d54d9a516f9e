"""The language in which every constraint is written: regular expressions over characters, and
references to named rules.

An `Expr` is a set of texts. Characters are Unicode code points (no surrogates); bytes appear only
when an automaton is made. Without a `Ref` that reaches itself the set is regular.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """Exactly this text; "" is the empty text."""

    text: str


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of inclusive, sorted, disjoint ranges of code points."""

    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Seq:
    parts: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Alt:
    """Any of the options; no options: the empty set."""

    options: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`low` to `high` times; `high` None has no limit."""

    item: Expr
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Both:
    """Texts that are in all parts (regular parts only)."""

    parts: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Ref:
    """The rule of this name."""

    name: str


Expr = Text | Chars | Seq | Alt | Repeat | Both | Ref


@dataclass(frozen=True, slots=True)
class Rules:
    """A language: `root`, and the rules that it refers to."""

    root: Expr
    rules: tuple[tuple[str, Expr], ...] = ()
