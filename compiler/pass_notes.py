"""What the passes did to a program, told to its author: in `explain`, and as warnings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sglc.compiler.diagnostics import Diagnostic, warning
from sglc.ir import graph, ops
from sglc.ir.host.expr import Value
from sglc.ir.module import Module
from sglc.ir.note import PassNote
from sglc.ir.span import Source, Span

_SHOWN_PLACES = 6

# what stands between the count and the target
_TARGET = {"merged": "with", "hoisted": "out of", "reordered": "in"}


def note_lines(notes: Iterable[PassNote], sources: Sequence[Source]) -> list[str]:
    """A line for each note: `cse: merged 1 gen with judge.sgl:8:9: judge.sgl:12:9`."""
    return [_line(note, sources) for note in notes]


def notes_as_json(notes: Iterable[PassNote], sources: Sequence[Source]) -> list[dict[str, Value]]:
    """The same as data; a place is {"file", "line", "col"}."""
    found: list[dict[str, Value]] = []
    for note in notes:
        target = None if note.target is None else _place_as_json(note.target, sources)
        found.append(
            {
                "pass": note.by,
                "kind": note.kind,
                "what": note.what,
                "count": note.count,
                "places": [_place_as_json(span, sources) for span in note.spans],
                "target": target,
            }
        )
    return found


def warnings_of_removed(module: Module, warned: Sequence[Diagnostic]) -> Iterator[Diagnostic]:
    """A warning for each gen and select of which dead code elimination left nothing, and of which
    no other warning says that it is not used."""
    ops_left = graph.walk(module.program.body)
    left = {op.span for op in ops_left if isinstance(op, ops.Gen | ops.Select)}
    told = [d.primary.span for d in warned if d.code == "W0101"]
    for note in module.notes:
        if note.by != "dce" or note.what not in ("gen", "select"):
            continue
        for span in note.spans:
            if span not in left and not any(_is_within(inner, span) for inner in told):
                yield warning(
                    "W0101",
                    f"nobody uses what this {note.what} yields, nor its text",
                    span,
                    "left out of the plan",
                    help="return it, or leave it out",
                )


def _is_within(inner: Span, outer: Span) -> bool:
    return (
        inner.file == outer.file
        and (outer.line, outer.col) <= (inner.line, inner.col)
        and (inner.end_line, inner.end_col) <= (outer.end_line, outer.end_col)
    )


def _line(note: PassNote, sources: Sequence[Source]) -> str:
    what = note.what if note.count == 1 else f"{note.what}s"
    text = f"{note.by}: {note.kind} {note.count} {what}"
    if note.target is not None:
        text += f" {_TARGET[note.kind]} {_place(note.target, sources)}"
    if not note.spans:
        return text
    places = [_place(span, sources) for span in note.spans[:_SHOWN_PLACES]]
    num_more = len(note.spans) - len(places)
    more = [f"and {num_more:,} more"] if num_more else []
    return f"{text}: {', '.join([*places, *more])}"


def _place(span: Span, sources: Sequence[Source]) -> str:
    return f"{sources[span.file].name}:{span.line}:{span.col}"


def _place_as_json(span: Span, sources: Sequence[Source]) -> dict[str, Value]:
    return {"file": sources[span.file].name, "line": span.line, "col": span.col}
