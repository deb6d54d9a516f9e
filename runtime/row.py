"""Rows on their way through a run: bound, then done or failed."""

from __future__ import annotations

from dataclasses import dataclass, field

from sglc.ir.host.expr import Value
from sglc.ir.span import Span


@dataclass(frozen=True, slots=True)
class BoundRow:
    """A checked input row. `key` decides its seeds (--row-id, or a hash of its inputs and how many
    equal rows came before) and so does not depend on its place. `index` counts from 0 in the
    file."""

    index: int
    key: bytes
    values: dict[str, Value]


@dataclass(slots=True)
class Usage:
    """Tokens of one row, as if nothing were shared with other rows or branches: `prompt_tokens` the
    lengths of the prefixes that its requests started from, `decoded_tokens` what was sampled,
    `scored_tokens` the distinct tokens that select ran."""

    prompt_tokens: int = 0
    decoded_tokens: int = 0
    scored_tokens: int = 0
    gens: int = 0


@dataclass(frozen=True, slots=True)
class Trace:
    """`names` are (name, value) of gens and selects in program order; `contexts` the final texts,
    each a list of {"role": str | None, "text": str}, the main one first."""

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


class RowFailure(Exception):
    """Raised where a row cannot go on; the machine turns it into that row's `RowFailed`.

    Codes of the runtime, beside those of `HostError` and of the engine: "require", "extern",
    "too_long", "bad_option", "bad_constraint", "bad_choices", "budget_too_small", "type_error",
    "no_start_token", "role".
    """

    def __init__(self, code: str, message: str, span: Span | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.span = span


def too_long(
    before: int,
    more: int,
    what: str,
    context_len: int,
    span: Span | None = None,
    *,
    is_exact: bool = True,
) -> RowFailure:
    """A gen or select needs `more` tokens (of `what`) behind `before` others, or more than that
    unless `is_exact`, and the model's context holds fewer."""
    least = "" if is_exact else "at least "
    message = (
        f"needs {least}{before + more} tokens ({before} before it and {more} of {what}), "
        f"the model's context holds {context_len}; shorten the row's texts or ask for fewer tokens"
    )
    return RowFailure("too_long", message, span)
