"""The rendered form of diagnostics, to the character."""

from __future__ import annotations

import json
import random
import re

import pytest

from sglc.compiler.codes import CODES
from sglc.compiler.diagnostics import (
    MAX_RENDERED,
    CompileErrors,
    Diagnostic,
    Label,
    Severity,
    error,
    nearest,
    render,
    to_json,
    warning,
    whole_file,
)
from sglc.compiler.excerpt import MAX_COLUMNS
from sglc.ir.span import Source, Span

ESSAY = Source(
    "essay.sgl",
    "\n" * 10
    + """    if score > 5:
        select grade from ["A", "B"]

    user "{grade}"
""",
)


def test_the_form_of_the_language_brief() -> None:
    source = Source("judge.sgl", "\n" * 30 + "    return verdct\n")
    found = error(
        "E0203",
        "`verdct` is not defined",
        Span(0, 31, 12, 31, 18),
        "not found in this scope",
        help="did you mean `verdict`?",
    )
    assert render([found], [source]) == (
        "error[E0203]: `verdct` is not defined\n"
        "  --> judge.sgl:31:12\n"
        "   |\n"
        "31 |     return verdct\n"
        "   |            ^^^^^^ not found in this scope\n"
        "   = help: did you mean `verdict`?"
    )


def test_secondary_labels_stand_in_order_of_lines() -> None:
    found = Diagnostic(
        "E0204",
        Severity.error,
        "`grade` may be unbound here",
        Label(Span(0, 14, 12, 14, 17), "used here on every path"),
        (Label(Span(0, 12, 16, 12, 21), "bound only when this branch runs"),),
        "bind `grade` in an `else` too, or move line 14 into the branch",
    )
    assert render([found], [ESSAY]) == (
        "error[E0204]: `grade` may be unbound here\n"
        "  --> essay.sgl:14:12\n"
        "   |\n"
        '12 |         select grade from ["A", "B"]\n'
        "   |                ----- bound only when this branch runs\n"
        '14 |     user "{grade}"\n'
        "   |            ^^^^^ used here on every path\n"
        "   = help: bind `grade` in an `else` too, or move line 14 into the branch"
    )


def test_two_labels_on_a_line_and_a_label_in_another_file() -> None:
    found = Diagnostic(
        "W0101",
        Severity.warning,
        "two names",
        Label(Span(0, 1, 5, 1, 6), "second"),
        (Label(Span(0, 1, 1, 1, 2), "first"), Label(Span(1, 3, 1, 3, 4), "third")),
    )
    assert render([found], [Source("a.sgl", "a = b\n"), Source("b.sgl", "\n\nccc")]) == (
        "warning[W0101]: two names\n"
        " --> a.sgl:1:5\n"
        "  |\n"
        "1 | a = b\n"
        "  | - first\n"
        "  |     ^ second\n"
        " ::: b.sgl:3:1\n"
        "  |\n"
        "3 | ccc\n"
        "  | --- third"
    )


@pytest.mark.parametrize(
    ("line", "col", "end", "offset", "length"),
    [
        ("\tx", 2, 3, 4, 1),
        ('"日本" x', 6, 7, 7, 1),
        ('"日本" x', 2, 4, 1, 4),
        ("e\u0301 x", 4, 5, 2, 1),
        ("x", 2, 2, 1, 1),
        ("a\x1bb", 3, 4, 2, 1),
    ],
    ids=["tab", "after-wide", "wide", "combining", "end-of-line", "control"],
)
def test_carets_stand_under_the_text(
    line: str, col: int, end: int, offset: int, length: int
) -> None:
    text = render([error("E0101", "m", Span(0, 1, col, 1, end))], [Source("f", line)])
    assert text.split("\n")[-1] == "  | " + " " * offset + "^" * length


def test_text_that_would_disturb_a_terminal_is_replaced() -> None:
    text = render(
        [error("E0101", "m", Span(0, 1, 1, 1, 2))], [Source("f", "a\x1b[2J\u202e\x07\x00z")]
    )
    assert "1 | a\ufffd[2J\ufffd\ufffd\ufffdz" in text


def test_a_span_over_lines_is_marked_on_its_first() -> None:
    text = render([error("E0101", "m", Span(0, 1, 3, 2, 2), "here")], [Source("f", "ab cd\ne\n")])
    assert text.split("\n")[3:] == ["1 | ab cd", "  |   ^^^ here"]


def test_a_long_line_is_cut_around_its_label() -> None:
    line = "x" * 500 + "HERE" + "y" * 500
    text = render([error("E0101", "m", Span(0, 1, 501, 1, 505), "it")], [Source("f", line)])
    shown, marks = text.split("\n")[3:]
    assert len(shown) <= MAX_COLUMNS + 6
    assert shown.startswith("1 | …x") and shown.endswith("y…")
    assert shown[marks.index("^") : marks.rindex("^") + 1] == "HERE"


def test_line_ends_of_all_kinds_and_no_others() -> None:
    source = Source("f", "a\r\nb\rc\u2028c\nd")
    for line, text in enumerate(["a", "b", "c\u2028c", "d"], 1):
        assert f"{line} | {text}" in render(
            [error("E0101", "m", Span(0, line, 1, line, 2))], [source]
        )


def test_a_whole_file_has_no_line() -> None:
    text = render([error("E0501", "cannot read the file", whole_file(0))], [Source("x.sgl", "")])
    assert text == "error[E0501]: cannot read the file\n --> x.sgl"


def test_order_repetition_and_limit() -> None:
    source = Source("f", "\n" * 60)
    many = [error("E0101", f"m{line}", Span(0, line, 1, line, 1)) for line in range(1, 31)]
    shuffled = many + many[:5]
    random.Random(0).shuffle(shuffled)
    text = render(shuffled, [source])
    assert text == render(many, [source])
    assert text.count("error[") == MAX_RENDERED
    assert text.endswith("... and 10 more")


def test_color_only_adds_escapes() -> None:
    found = warning("W0101", "m", Span(0, 1, 1, 1, 2), "l", help="h\nsecond line")
    plain, colored = (render([found], [Source("f", "a")], color=c) for c in (False, True))
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain
    assert plain.endswith("  = help: h\n          second line")


def test_json() -> None:
    found = Diagnostic(
        "E0101",
        Severity.error,
        "m",
        Label(Span(0, 1, 2, 1, 3), "l"),
        (Label(Span(0, 4, 5, 6, 7), "s"),),
    )
    data = to_json(found, [Source("f.sgl", "abc")])
    assert json.loads(json.dumps(data)) == {
        "code": "E0101",
        "kind": "unexpected-token",
        "severity": "error",
        "message": "m",
        "file": "f.sgl",
        "line": 1,
        "col": 2,
        "end_line": 1,
        "end_col": 3,
        "label": "l",
        "secondary": [
            {"file": "f.sgl", "line": 4, "col": 5, "end_line": 6, "end_col": 7, "label": "s"}
        ],
        "help": None,
    }


def test_the_exception_says_all() -> None:
    source = Source("f", "a\nb")
    found = [
        error("E0101", "second", Span(0, 2, 1, 2, 2)),
        error("E0101", "first", Span(0, 1, 1, 1, 2)),
    ]
    raised = CompileErrors(found, [source])
    assert [d.message for d in raised.diagnostics] == ["first", "second"]
    assert str(raised) == render(found, [source])


@pytest.mark.parametrize(
    ("name", "candidates", "expected"),
    [
        ("verdct", ["verdict", "version"], "verdict"),
        ("garde", ["grade", "guard"], "grade"),
        ("Grade", ["grade"], "grade"),
        ("x", ["y", "z"], None),
        ("score", ["essay"], None),
        ("grade", ["grade"], None),
        ("ab", [], None),
        ("dim1", ["dim3", "dim2"], "dim2"),
    ],
)
def test_nearest(name: str, candidates: list[str], expected: str | None) -> None:
    assert nearest(name, candidates) == expected


def test_codes_are_unique_kinds() -> None:
    assert len(set(CODES.values())) == len(CODES)
    assert all(code[0] in "EW" and len(code) == 5 and code[1:].isdigit() for code in CODES)
