"""Text that is wrong: slips are known by example, errors come in one go, nothing is raised."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.compiler.check import check
from sglc.compiler.codes import CODES
from sglc.compiler.diagnostics import CompileErrors, Diagnostic, render
from sglc.compiler.parse import parse
from sglc.compiler.slips import SLIPS, Slip, failure_of, slip
from sglc.compiler.source import decode
from sglc.compiler.syntax_errors import STATEMENTS
from sglc.ir.span import Source

PROGRAM = '''\
"""Doc."""
import "a.sgl" as a
type T:
    x: int(0..3)
    y: list["a" | "b"](max_items=2)?

program p(xs: list[str] = ["{1}"]) -> T:
    defaults temperature=0
    user """
        Text {xs[0]:>3} {{}}
        """
    fork x in xs as g:
        assistant:
            gen y: T (max_tokens=3)
    while len(g) > 3 max 10:
        if not g.y == [1, 2] and true:
            break
        else:
            select z from ["a", "b"] (method="sum_logprob")
    return {"a": [v for v in g if v]}
'''


def errors_of(text: str) -> list[Diagnostic]:
    file, diagnostics = parse(Source("t.sgl", text), 0)
    assert (file is None) == bool(diagnostics)
    return diagnostics


@pytest.mark.parametrize(
    ("known", "example"),
    [(known, example) for known in SLIPS for example in known.examples],
    ids=lambda value: repr(value) if isinstance(value, str) else value.code,
)
def test_an_example_is_known_for_its_slip_at_any_depth(known: Slip, example: str) -> None:
    assert slip(failure_of(example)) is known
    if not example.startswith("-"):
        nested = "if a:\n" + "".join(f"    {line}\n" for line in example.splitlines())
        assert slip(failure_of(nested)) is known


def test_the_sample_is_right() -> None:
    assert errors_of(PROGRAM) == []


def test_errors_of_all_lines_in_one_go() -> None:
    text = """\
program p(
    x: str) ->:
    user "ok"

program q():
    if x = 3:
        gen y max_tokens=3
    else if y:
        let z = [1 2]
    user "{a b} \\d {}"
    let s = "abc
    return (1, 2

type T
    a: int
let c = 3
"""
    found = {(d.primary.span.line, d.code) for d in errors_of(text)}
    assert found == {
        (2, "E0101"),
        *((6, "E0111"), (7, "E0118"), (8, "E0112"), (9, "E0101")),
        *((10, "E0101"), (10, "E0109"), (10, "E0108"), (11, "E0107"), (12, "E0106")),
        *((14, "E0102"), (16, "E0115")),
    }


def test_one_cause_is_one_error() -> None:
    for text, code in [
        ("a = 1\nb = 2\nuser 'x'\n", "E0115"),
        ("program p():\n\tuser 'x'\n\tuser 'y'\n", "E0104"),
        ("program p():\n    if a\n        gen b\n    elif c:\n        pass\n", "E0102"),
        ("type T\n    a: int\n    b: str\n", "E0102"),
        ('program p():\n    user """\n    let x = \'\n', "E0107"),
        ("program p():\n    let x = [1,\n    let y = 2\n    return [y]\n", "E0106"),
        ("program p():\n        if a:\n      pass\n", "E0103"),
        ("program p():\n    gen x\n        gen y\n    gen z\n", "E0103"),
    ]:
        assert [d.code for d in errors_of(text)] == [code], text


def test_errors_inside_strings_have_exact_places() -> None:
    text = 'program p():\n    user "日本 {x} {y +} z"\n    user """\n      {(}\n    """\n'
    places = {(d.primary.span.line, d.primary.span.col) for d in errors_of(text)}
    assert places == {(2, 22), (4, 7)}


@pytest.mark.parametrize("char", ["\0", "\ud800"])
@pytest.mark.parametrize("text", ["{}", 'const X = "{}"\n', "# {}\n"])
def test_characters_that_are_no_text(char: str, text: str) -> None:
    (found,) = errors_of(text.replace("{}", char))
    assert found.code == "E0110"


@pytest.mark.parametrize(
    "deep",
    [
        "[" * 300 + "]" * 300,
        "not " * 3000 + "x",
        "x" + ".y" * 3000,
        " + ".join(["x"] * 3000),
        "a if b else " * 1000 + "c",
        '"{' * 50 + "x" + '}"' * 50,
    ],
    ids=["lists", "not", "attributes", "sum", "conditionals", "strings"],
)
def test_deep_nesting_is_an_error(deep: str) -> None:
    start = time.perf_counter()
    assert errors_of(f"program p():\n    let x = {deep}\n")
    assert time.perf_counter() - start < 10


def test_parentheses_are_no_nesting() -> None:
    assert errors_of("const X = " + "(" * 5000 + "1" + ")" * 5000 + "\n") == []


def test_deep_blocks_are_an_error() -> None:
    blocks = "".join("    " * i + "if x:\n" for i in range(1, 300)) + "    " * 300 + "pass\n"
    assert [d.code for d in errors_of("program p():\n" + blocks)] == ["E0119"]


def test_bytes_that_are_no_text() -> None:
    assert decode("g", b"\xef\xbb\xbfconst X = 1\r\n", 0) == (Source("g", "const X = 1\r\n"), None)
    source, fault = decode("b.sgl", b"\xef\xbb\xbf# \xc3\xa9\r\nab\xffc\n", 0)
    assert fault is not None
    assert render([fault], [source]) == (
        "error[E0110]: the file is not UTF-8: byte 0xff at offset 11\n"
        " --> b.sgl:2:3\n"
        "  |\n"
        "2 | ab\ufffdc\n"
        "  |   ^\n"
        "  = help: save the file as UTF-8"
    )


def test_a_file_of_another_kind_is_one_error() -> None:
    _, found = parse(Source("t.sgl", "P\0\0\0{}\n\0"), 0)
    assert [(d.code, d.primary.span.col) for d in found] == [("E0110", 2)]


def test_a_file_that_is_no_text_is_reported_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "b.sgl").write_bytes(b'const X = "\xff"\n')
    (tmp_path / "a.sgl").write_text('import "b.sgl"\n\nprogram p():\n    "{X}"\n    gen y\n')
    with pytest.raises(CompileErrors) as raised:
        check(tmp_path / "a.sgl")
    (found,) = raised.value.diagnostics
    assert (found.code, found.primary.span.line, found.primary.span.col) == ("E0110", 1, 12)
    assert raised.value.sources[found.primary.span.file].name.endswith("b.sgl")


# ---------------------------------------------------------------- nothing but diagnostics


def check_anything(text: str) -> None:
    source = Source("t.sgl", text)
    file, diagnostics = parse(source, 0)
    assert (file is None) == bool(diagnostics)
    lines = re.split(r"\r\n|\r|\n", text)
    for found in diagnostics:
        assert found.code in CODES
        for label in (found.primary, *found.secondary):
            span = label.span
            assert 1 <= span.line <= span.end_line <= len(lines) + 1
            assert span.col >= 1
            if span.line <= len(lines):
                assert span.col <= len(lines[span.line - 1]) + 1
            assert (span.line, span.col) <= (span.end_line, span.end_col)
    render(diagnostics, [source])


WORDS = [*STATEMENTS, "program p():\n", "def", "type", "import", "extern", "const", "in", "as"]
PIECES = st.sampled_from(
    [
        *(f"{word} " for word in WORDS),
        *("\n", "\n    ", "\n        ", "\n\t", " ", ":", ",", "=", "==", "(", ")", "[", "]"),
        *("{", "}", '"', "'", '"""', '"a"', '"{x}"', 'r"\\', "\\", "x", "1", "1.", "..", "?"),
        *("|", "->", "+", "**", "not ", "if ", "else ", "for ", "#", "é", "日", "\0", "\ud800"),
        *("\r", "\u2028", "\ufeff", "f'", "&&", ";", "!", "\f", "run ", "from "),
    ]
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(PIECES, max_size=40).map("".join))
def test_random_pieces_yield_diagnostics_only(text: str) -> None:
    check_anything(text)
    check_anything("program p():\n    " + text)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(max_size=60))
def test_random_text_yields_diagnostics_only(text: str) -> None:
    check_anything(text)


def test_damaged_programs_yield_diagnostics_only() -> None:
    rng = random.Random(0)
    for _ in range(150):
        text = list(PROGRAM)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(text))
            match rng.randrange(3):
                case 0:
                    del text[at : at + rng.randint(1, 5)]
                case 1:
                    text.insert(at, rng.choice("()[]{}:=\"'\n\t .,#x1é"))
                case 2:
                    text[at] = rng.choice("()[]{}:=\"'\n\t .,#x1é")
        check_anything("".join(text))


def test_many_errors_in_a_big_file_take_no_minute() -> None:
    text = "".join(f"program p{i}():\n    if x = 3:\n        gen y z\n" for i in range(400))
    start = time.perf_counter()
    assert len(errors_of(text)) > 20
    assert time.perf_counter() - start < 5
