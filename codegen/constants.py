"""The constant texts that begin a run of a program's stretches, with their tokens.

A run is the text between two control tokens or gens (rule 1 of the language: it is encoded as a
whole). Going through the IR with the text that each context's current run is known to begin with
finds the beginnings that are the same for every row: a few-shot prompt is tokenized once, here.
Law: these are facts about texts alone. A missed beginning costs time at run time, never tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from sglc.codegen.plan import Constant, Markup
from sglc.ir import graph, ops
from sglc.ir.host import expr as host
from sglc.ir.host.text import to_text
from sglc.ir.module import Function
from sglc.ir.value_type import ContextType


class Tokenizer(Protocol):
    """What is needed of `runtime/model/spec.py`'s tokenizer."""

    def encode(self, text: str) -> list[int]: ...

    def stable_len(self, text: str) -> int: ...


@dataclass(frozen=True, slots=True)
class _Run:
    """What is known of a context. `text` is the beginning of its current run, all of it so far when
    `is_whole`; `last_role` is the role closed last ("" before any), None when that depends on the
    path."""

    text: str = ""
    is_whole: bool = False
    last_role: str | None = None
    has_begun: bool = True

    def after_control(self) -> _Run:
        """A new run, behind a control token or what was generated."""
        return _Run("", True, self.last_role, self.has_begun)


_START = _Run(is_whole=True, last_role="", has_begun=False)
_UNKNOWN = _Run()


def constants(program: Function, markup: Markup, tokenizer: Tokenizer) -> tuple[Constant, ...]:
    """The constants of a program without calls, sorted by text."""
    search = _Search(markup)
    search.region(program.body)
    return tuple(_tokenized(text, tokenizer) for text in sorted(search.found))


def _tokenized(text: str, tokenizer: Tokenizer) -> Constant:
    stable_len = tokenizer.stable_len(text)
    num_stable = len(tokenizer.encode(text[:stable_len]))
    return Constant(text, tuple(tokenizer.encode(text)), stable_len, num_stable)


@dataclass(slots=True)
class _Search:
    markup: Markup
    found: set[str] = field(default_factory=set)
    runs: dict[int, _Run] = field(default_factory=dict)  # by context value id
    texts: dict[int, tuple[str, bool]] = field(default_factory=dict)  # by text value id

    def region(self, region: ops.Region) -> None:
        for op in region.ops:
            self.op(op)
        for value in region.end.values:
            self.ends(self.run(value))

    def run(self, context: ops.Value) -> _Run:
        return self.runs.get(context.id, _UNKNOWN)

    def ends(self, run: _Run) -> None:
        """The run is over, or goes on with what differs from row to row."""
        if run.text:
            self.found.add(run.text)

    def op(self, op: ops.Op) -> None:
        match op:
            case ops.Start():
                self.runs[op.result.id] = _START
            case ops.Let():
                self.texts[op.result.id] = _leading_text(op.expr)
            case ops.Append():
                run = self.begun(self.run(op.context))
                self.runs[op.result.id] = self.append(run, *self.texts.get(op.text.id, ("", False)))
            case ops.Control():
                run = self.begun(self.run(op.context))
                self.ends(run)
                self.runs[op.result.id] = run.after_control()
            case ops.Open():
                self.runs[op.result.id] = self.open(self.run(op.context), op.role)
            case ops.Close():
                self.runs[op.result.id] = self.close(op)
            case ops.Gen() | ops.Select():
                run = self.begun(self.run(op.context))
                self.ends(run)
                # what a stop left of the text starts the next stretch, but mostly that is nothing
                self.runs[op.result.id] = run.after_control()
            case _:
                self.structured(op)

    def structured(self, op: ops.Op) -> None:
        """Bodies of forks begin as the fork does; where paths meet, equal runs go on."""
        if isinstance(op, ops.Fork) and op.context is not None:
            self.runs[op.body.args[0].id] = self.run(op.context)
        if isinstance(op, ops.For | ops.While):
            for init in op.inits:
                self.ends(self.run(init))
        for region in graph.regions(op):
            self.region(region)
        if isinstance(op, ops.If):
            then, otherwise = op.then.end, op.otherwise.end
            for place, result in enumerate(op.results):
                ends = [e for e in (then, otherwise) if isinstance(e, ops.Yield)]
                runs = {self.run(end.values[place]) for end in ends}
                self.runs[result.id] = runs.pop() if len(runs) == 1 else _UNKNOWN

    def begun(self, run: _Run) -> _Run:
        return (
            run if run.has_begun else self.pieces(replace(run, has_begun=True), self.markup.start)
        )

    def pieces(self, run: _Run, pieces: Sequence[str | int]) -> _Run:
        for piece in pieces:
            if isinstance(piece, str):
                run = self.append(run, piece, True)
            else:
                self.ends(run)
                run = run.after_control()
        return run

    def append(self, run: _Run, text: str, is_whole: bool) -> _Run:
        """The run after `text`, or after a text that begins with it."""
        if not run.is_whole:
            return run
        longer = _Run(run.text + text, is_whole, run.last_role, run.has_begun)
        if not is_whole:
            self.ends(longer)
        return longer

    def open(self, run: _Run, role: str) -> _Run:
        ways = [
            pieces
            for (previous, opened), pieces in self.markup.opening.items()
            if opened == role and run.last_role in (None, previous)
        ]
        ends = {self.pieces(replace(run, has_begun=True), pieces) for pieces in ways}
        return ends.pop() if len(ends) == 1 else replace(_UNKNOWN, last_role=run.last_role)

    def close(self, op: ops.Close) -> _Run:
        assert isinstance(op.context.type, ContextType)
        role = op.context.type.role or ""
        closed = self.pieces(self.run(op.context), self.markup.closing.get(role, ()))
        return replace(closed, last_role=role)


def _leading_text(expr: host.Expr) -> tuple[str, bool]:
    """The constant text that a text begins with, and whether that is all of it."""
    if isinstance(expr, host.Const):
        return to_text(expr.value), True
    if isinstance(expr, host.Format):
        return _leading_parts(expr.parts)
    return "", False


def _leading_parts(parts: Iterable[tuple[host.Expr, str | None]]) -> tuple[str, bool]:
    text = ""
    for part, spec in parts:
        if not isinstance(part, host.Const) or spec:
            return text, False
        text += to_text(part.value)
    return text, True
