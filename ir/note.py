"""What the compiler did to a program, for people: `sglc explain` lists it.

Law: notes decide nothing; two modules that differ only in their notes are equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sglc.ir.span import Span


@dataclass(frozen=True, slots=True)
class PassNote:
    """The pass `by` did what `kind` says ("inlined", "unrolled", "merged", "hoisted", "removed",
    "reordered", "shared" by all rows) to `count` pieces of `what` ("gen", "select", "context",
    "loop", "value", ...), which stand at `spans`. `target` is the place of what they became one
    with, were moved out of, or stand in."""

    by: str
    kind: str
    what: str
    count: int
    spans: tuple[Span, ...]
    target: Span | None = None


def summed(notes: Iterable[PassNote]) -> tuple[PassNote, ...]:
    """The notes with those alike in all but their spans made one, in the order of the first."""
    found: dict[tuple[str, str, str, Span | None], list[PassNote]] = {}
    for note in notes:
        found.setdefault((note.by, note.kind, note.what, note.target), []).append(note)
    return tuple(
        PassNote(
            by,
            kind,
            what,
            sum(note.count for note in alike),
            tuple(dict.fromkeys(span for note in alike for span in note.spans)),
            target,
        )
        for (by, kind, what, target), alike in found.items()
    )
