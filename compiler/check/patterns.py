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
    """The span of character `offset` of a one-line string literal without escapes; the whole
    expression where the text is not written out there."""
    span = expr.span
    if not isinstance(expr, syntax.String) or span.line != span.end_line:
        return expr
    line = sources[span.file].text.splitlines()[span.line - 1]
    written = line[span.col - 1 : span.end_col - 1]
    start = written.find(text)
    if start < 0 or not text:
        return expr
    col = span.col + start + min(offset, len(text) - 1)
    return Span(span.file, span.line, col, span.line, col + 1)
