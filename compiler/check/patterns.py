"""Constant texts in a language of their own: where in the source a character of them stands."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sglc.compiler import syntax
from sglc.compiler.check.report import Report
from sglc.ir.span import Source, Span


def check_regex(
    pattern: str, expr: syntax.Node, report: Report, sources: Sequence[Source], what: str = "regex"
) -> bool:
    """False, with an error at the offending character, when `pattern` is not a regex."""
    try:
        re.compile(pattern)
    except re.error as error:
        at = place_in_string(expr, pattern, error.pos or 0, sources)
        label = f"at character {(error.pos or 0) + 1} of the pattern"
        report.error("E0606", f"this {what} is not valid: {error.msg}", at, label)
        return False
    except (OverflowError, RecursionError):
        report.error("E0606", f"this {what} is too large", expr)
        return False
    return True


def place_in_string(
    expr: syntax.Node, text: str, offset: int, sources: Sequence[Source]
) -> Span | syntax.Node:
    """The span of character `offset` of a string literal, where its line is written out as it is;
    the whole expression where it is not."""
    if not isinstance(expr, syntax.String) or not text:
        return expr
    span, offset = expr.span, min(offset, len(text) - 1)
    rows = sources[span.file].text.splitlines()[span.line - 1 : span.end_line]
    # other columns stay where they are
    rows[-1] = rows[-1][: span.end_col - 1]
    rows[0] = " " * (span.col - 1) + rows[0][span.col - 1 :]
    row = text.count("\n", 0, offset)
    begin = text.rfind("\n", 0, offset) + 1
    line = text[begin:].split("\n")[0]
    # a newline right behind the opening quotes is dropped
    row += not rows[0].strip().lstrip("r").strip("\"'") and len(rows) > 1
    start = rows[row].find(line) if row < len(rows) else -1
    if start < 0 or not line:
        return expr
    col = start + 1 + min(offset - begin, len(line) - 1)
    return Span(span.file, span.line + row, col, span.line + row, col + 1)
