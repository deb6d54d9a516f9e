"""Rows on their way through a run: bound, then done or failed."""

from __future__ import annotations

from dataclasses import dataclass, field

from sglc.ir.host.expr import Value
from sglc.ir.span import Span


@dataclass(frozen=True, slots=True)
class BoundRow:
    """A checked input row. `key` decides its seeds (--row-id, or a hash of its inputs and how many
    equal rows came before) and so does not depend on its place. `index` counts from 0 in the file."""

    index: int
    key: bytes
    values: dict[str, Value]


@dataclass(slots=True)
class Usage:
    """Tokens of one row. `prompt` counts every context's text as if nothing were shared; `decoded` what was
    sampled; `scored` what select ran."""

    prompt_tokens: int = 0
    decoded_tokens: int = 0
    scored_tokens: int = 0
    gens: int = 0


@dataclass(frozen=True, slots=True)
class Trace:
    """`names` are (name, value) in the order bound; `contexts` the final texts, each a list of
    {"role": str | None, "text": str}, the main one first."""

    names: tuple[tuple[str, Value], ...]
    contexts: tuple[list[dict[str, str | None]], ...]


@dataclass(frozen=True, slots=True)
class RowDone:
    index: int
    output: Value
    usage: Usage = field(default_factory=Usage)
    trace: Trace | None = None


@dataclass(frozen=True, slots=True)
class RowFailed:
    """`code` is stable (language reference); `place` says where in words when there is no span
    (`field "score"`)."""

    index: int
    code: str
    message: str
    span: Span | None = None
    place: str | None = None
    usage: Usage = field(default_factory=Usage)


Outcome = RowDone | RowFailed
