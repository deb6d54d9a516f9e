"""Strings: escapes, indentation, interpolations."""

from __future__ import annotations

import pytest
from parsing import (
    LITERAL,
    NAME,
    STRING,
    expression,
    parsed,
    shape,
)

from sglc.compiler import declaration, syntax
from sglc.compiler.parse import parse
from sglc.ir.span import Source


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('""', ()),
        ('"a{{b}}c"', ("a{b}c",)),
        ("'it''s'"[:6] + "'", None),
        (r'"\n\t\"\\\x41\u00e9\U0001F600\0"', ('\n\t"\\A\u00e9\U0001f600\0',)),
        (r"'\''", ("'",)),
        (r'r"a\n{b}\""', (r"a\n{b}\"",)),
        (r'R"\d"', (r"\d",)),
        ('"a\\\nb"', ("ab",)),
        ('"""a"b""c"""', ('a"b""c',)),
        ("'''a\nb'''", ("a\nb",)),
        ('"日本語 🎉"', ("日本語 🎉",)),
        ('"{{{{"', ("{{",)),
    ],
)
def test_strings(text: str, parts: tuple[object, ...] | None) -> None:
    file, diagnostics = parse(Source("t", f"const X = {text}\n"), 0)
    if parts is None:
        assert diagnostics
        return
    assert file is not None
    (const,) = file.decls
    assert isinstance(const, declaration.Const) and isinstance(const.value, syntax.String)
    assert const.value.parts == parts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"""\n  a\n    b\n  """', "a\n  b\n"),
        ('"""\n  a\n\n  b"""', "a\n\nb"),
        ('"""\n  a\n   \n  b"""', "a\n\nb"),
        ('"""a\n    b\n      c"""', "a\nb\n  c"),
        ('"""\\\n  a\n  b"""', "a\nb"),
        ('"""\n  a\\\n  b\n"""', "ab\n"),
        ('"""\n\n  a\n"""', "\na\n"),
        ('"""\n  a\\n    b\n"""', "a\n    b\n"),
        ('"""\na\n  b\n"""', "a\n  b\n"),
        ('r"""\n  \\d\n  {x}\n"""', "\\d\n{x}\n"),
        ('"""\n"""', ""),
        ('"""   """', "   "),
    ],
)
def test_triple_quoted_strings_lose_their_indentation(text: str, expected: str) -> None:
    value = parsed(f"const X = {text}\n").decls[0].value  # type: ignore[union-attr]
    assert isinstance(value, syntax.String)
    assert "".join(str(part) for part in value.parts) == expected


def test_interpolated_lines_are_not_indentation() -> None:
    string = expression('"""\n        a {f(\n b)}\n          {c}"""')
    assert [p for p in string.parts if isinstance(p, str)] == ["a ", "\n  "]


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ('"{x}"', [("Interpolation", NAME("x"), None)]),
        ('"{x:.2f}"', [("Interpolation", NAME("x"), ".2f")]),
        ('"{ x }"', [("Interpolation", NAME("x"), None)]),
        ('"{d["k"]}"', [("Interpolation", ("Index", NAME("d"), STRING("k")), None)]),
        ('"{d["a:b"]:>4}"', [("Interpolation", ("Index", NAME("d"), STRING("a:b")), ">4")]),
        (
            '"{a[1:2]}"',
            [("Interpolation", ("Slice", NAME("a"), LITERAL(1), LITERAL(2), None), None)],
        ),
        ("\"{'}}'}\"", [("Interpolation", STRING("}"), None)]),
        (
            '"{ {1: 2}[1] }"',
            [
                (
                    "Interpolation",
                    ("Index", ("DictLiteral", ((LITERAL(1), LITERAL(2)),)), LITERAL(1)),
                    None,
                )
            ],
        ),
        ('"{x:}"', [("Interpolation", NAME("x"), "")]),
    ],
)
def test_interpolations(text: str, shapes: list[object]) -> None:
    assert [shape(part) for part in expression(text).parts] == shapes


def test_a_docstring_is_plain_text() -> None:
    assert parsed('"""\n  Use {name}.\n    So.\n"""\nconst X = 1\n').doc == "Use {name}.\n  So."
