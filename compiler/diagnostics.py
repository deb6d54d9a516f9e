"""Errors and warnings as data, and their one rendered form.

Law: a diagnostic is a code, a sentence, one place and perhaps a fix; how it looks is decided here
alone, and the same diagnostics in any order render to the same text.
Knows nothing about what can go wrong: stages make diagnostics, `codes.py` lists the kinds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial

from sglc.compiler.codes import CODES
from sglc.compiler.excerpt import ShownLine, lines
from sglc.ir.span import Source, Span

MAX_RENDERED = 20  # diagnostics; more than this help nobody


class Severity(Enum):
    error = "error"
    warning = "warning"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Label:
    """A short remark on a place: what was found there. It makes no sense without the message."""

    span: Span
    text: str = ""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `message` stands alone: lower case, no full stop. `help` says what to do."""

    code: str
    severity: Severity
    message: str
    primary: Label
    secondary: tuple[Label, ...] = ()
    help: str | None = None


class CompileErrors(Exception):
    """The program is wrong: all that was found (warnings too) and the texts it points into."""

    def __init__(self, diagnostics: Iterable[Diagnostic], sources: Sequence[Source]) -> None:
        self.diagnostics = tuple(sort(diagnostics))
        self.sources = tuple(sources)
        super().__init__(self.diagnostics, self.sources)

    def __str__(self) -> str:
        return render(self.diagnostics, self.sources)


def error(
    code: str, message: str, span: Span, label: str = "", *, help: str | None = None
) -> Diagnostic:
    """An error without secondary labels."""
    return Diagnostic(code, Severity.error, message, Label(span, label), (), help)


def warning(
    code: str, message: str, span: Span, label: str = "", *, help: str | None = None
) -> Diagnostic:
    """A warning without secondary labels."""
    return Diagnostic(code, Severity.warning, message, Label(span, label), (), help)


def whole_file(file: int) -> Span:
    """The span of a file as such: rendered as its name, without a line."""
    return Span(file, 0, 0, 0, 0)


def sort(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """By place, then code, then message; exact repetitions are dropped."""

    def key(d: Diagnostic) -> tuple[int, int, int, str, str]:
        span = d.primary.span
        return span.file, span.line, span.col, d.code, d.message

    return sorted(dict.fromkeys(diagnostics), key=key)


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `name` most likely misspells, or None when none is near.

    Near means: equal but for case, or an edit distance (with transpositions) of at most a third of
    the longer name. Ties go to the first in alphabetical order.
    """
    best: tuple[int, str] | None = None
    for candidate in sorted(set(candidates) - {name}):
        folded = candidate.casefold() == name.casefold()
        distance = 0 if folded else _edit_distance(name, candidate)
        near = distance <= max(len(name), len(candidate)) // 3 or folded
        if near and (best is None or distance < best[0]):
            best = distance, candidate
    return best[1] if best else None


def _edit_distance(a: str, b: str) -> int:
    """Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, last, row = row, before, [i]
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and y == a[i - 2]:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]


# ---------------------------------------------------------------- machine form


def to_json(diagnostic: Diagnostic, sources: Sequence[Source]) -> dict[str, object]:
    """The same data for machines: a dict of JSON values."""
    return {
        "code": diagnostic.code,
        "kind": CODES.get(diagnostic.code),
        "severity": str(diagnostic.severity),
        "message": diagnostic.message,
        **_label_json(diagnostic.primary, sources),
        "secondary": [_label_json(label, sources) for label in diagnostic.secondary],
        "help": diagnostic.help,
    }


def _label_json(label: Label, sources: Sequence[Source]) -> dict[str, object]:
    span = label.span
    return {
        "file": sources[span.file].name,
        "line": span.line,
        "col": span.col,
        "end_line": span.end_line,
        "end_col": span.end_col,
        "label": label.text,
    }


# ---------------------------------------------------------------- human form


def render(
    diagnostics: Iterable[Diagnostic], sources: Sequence[Source], *, color: bool = False
) -> str:
    """All diagnostics in order of place, a blank line between two; at most MAX_RENDERED of them."""
    ordered = sort(diagnostics)
    blocks = [render_one(d, sources, color=color) for d in ordered[:MAX_RENDERED]]
    if len(ordered) > MAX_RENDERED:
        blocks.append(f"... and {len(ordered) - MAX_RENDERED} more")
    return "\n\n".join(blocks)


def render_one(diagnostic: Diagnostic, sources: Sequence[Source], *, color: bool = False) -> str:
    """One diagnostic: headline, place, source lines with carets, help. No final newline."""
    paint = _Paint(diagnostic.severity, color)
    labels = (diagnostic.primary, *diagnostic.secondary)
    width = len(str(max(label.span.line for label in labels)))
    headline = paint.main(f"{diagnostic.severity}[{diagnostic.code}]")
    rows = [headline + paint.strong(f": {diagnostic.message}")]
    files = dict.fromkeys(label.span.file for label in labels)
    for number, file in enumerate(files):
        inside = [label for label in labels if label.span.file == file]
        arrow = "-->" if number == 0 else ":::"
        rows += _excerpt(inside, sources[file], arrow, width, diagnostic.primary, paint)
    if diagnostic.help:
        first, *rest = diagnostic.help.split("\n")
        rows.append(f"{' ' * width} {paint.frame('=')} {paint.strong('help')}: {first}")
        rows += [f"{' ' * width}         {line}" for line in rest]
    return "\n".join(rows)


def _excerpt(
    labels: list[Label],
    source: Source,
    arrow: str,
    width: int,
    primary: Label,
    paint: _Paint,
) -> Iterator[str]:
    """The place line and the marked lines of one file. `labels` are in that file, not empty."""
    first = labels[0].span
    place = f":{first.line}:{first.col}" if first.line else ""
    yield f"{' ' * width}{paint.frame(arrow)} {source.name}{place}"
    if not first.line:
        return
    text = lines(source.text)
    bar = paint.frame("|")
    yield f"{' ' * width} {bar}"
    for line in sorted({label.span.line for label in labels}):
        here = sorted((la for la in labels if la.span.line == line), key=lambda la: la.span.col)
        shown = ShownLine(text[line - 1] if line <= len(text) else "", here[0].span.col)
        yield f"{paint.frame(str(line).rjust(width))} {bar} {shown.text}".rstrip()
        for label in here:
            start, length = shown.columns(label.span)
            mark, style = ("^", paint.main) if label is primary else ("-", paint.frame)
            marked = style(f"{mark * length} {label.text}".rstrip())
            yield f"{' ' * width} {bar} {' ' * start}{marked}"


class _Paint:
    """The styles of one rendered diagnostic: `main` for what is wrong, `frame`, `strong`."""

    def __init__(self, severity: Severity, color: bool) -> None:
        main = "1;31" if severity is Severity.error else "1;33"
        self.main, self.frame, self.strong = (
            partial(_styled, code if color else "") for code in (main, "1;34", "1")
        )


def _styled(code: str, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if code else text
