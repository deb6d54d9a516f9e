"""What each construct becomes."""

from __future__ import annotations

import pytest
from parsing import (
    KEYWORD,
    LITERAL,
    NAME,
    NAMED,
    STRING,
    expression,
    parsed,
    shape,
    statement,
    type_,
)

from sglc.compiler import declaration, syntax
from sglc.compiler.parse import parse
from sglc.ir.span import Source


def test_extern() -> None:
    text = "pure extern f(a: int, b: list[str] = []) -> str (timeout=3, retries=1)"
    assert shape(parsed(text).decls[0]) == (
        "Extern",
        ("Identifier", "f"),
        (
            ("Param", ("Identifier", "a"), NAMED("int"), None),
            ("Param", ("Identifier", "b"), NAMED("list", NAMED("str")), ("ListLiteral", ())),
        ),
        NAMED("str"),
        (KEYWORD("timeout", LITERAL(3)), KEYWORD("retries", LITERAL(1))),
        True,
    )


@pytest.mark.parametrize(
    ("result", "num_args", "num_options"),
    [
        ("str", 0, 0),
        ("str (timeout=3)", 0, 1),
        ("str(timeout=3, retries=1)", 0, 2),
        ("str(max_length=9)", 1, 0),
        ("str(max_length=9) (timeout=3)", 1, 1),
        ("int(0..3)(timeout=1)", 1, 1),
        ("int(0..3)", 1, 0),
        ("list[str](timeout=3)", 0, 1),
        ("T(timeout=3)", 0, 1),
    ],
)
def test_options_behind_a_type(result: str, num_args: int, num_options: int) -> None:
    (extern,) = parsed(f"extern f() -> {result}").decls
    assert isinstance(extern, declaration.Extern)
    assert isinstance(extern.result, syntax.NamedType)
    assert (len(extern.result.args), len(extern.options)) == (num_args, num_options)
    gen = statement(f"gen x: {result}")
    assert (len(gen.type.args), len(gen.options)) == (num_args, num_options)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("str", NAMED("str")),
        ("m.Item", NAMED("m.Item")),
        ("int(0..10)", NAMED("int", None, ("RangeArg", LITERAL(0), LITERAL(10)))),
        ("int(0..)", NAMED("int", None, ("RangeArg", LITERAL(0), None))),
        ("float(..1.5)", NAMED("float", None, ("RangeArg", None, LITERAL(1.5)))),
        (
            "float(-0.5..N)",
            NAMED("float", None, ("RangeArg", ("Unary", "-", LITERAL(0.5)), NAME("N"))),
        ),
        ("str?", ("OptionalType", NAMED("str"))),
        ("list[str?]", NAMED("list", ("OptionalType", NAMED("str")))),
        (
            "list[str(max_length=1)](min_items=2, max_items=3)",
            NAMED(
                "list",
                NAMED("str", None, KEYWORD("max_length", LITERAL(1))),
                KEYWORD("min_items", LITERAL(2)),
                KEYWORD("max_items", LITERAL(3)),
            ),
        ),
        ('"a" | -3 | true', ("UnionType", (STRING("a"), LITERAL(-3), LITERAL(True)))),
        ('"a"', ("UnionType", (STRING("a"),))),
        ('("a" | null)?', ("OptionalType", ("UnionType", (STRING("a"), LITERAL(None))))),
        ("(str)?", ("OptionalType", NAMED("str"))),
        ("str | int", ("UnionType", (NAMED("str"), NAMED("int")))),
    ],
)
def test_types(text: str, expected: object) -> None:
    assert shape(type_(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gen", ("Gen", None, None, ())),
        ("gen (stop=3)", ("Gen", None, None, (KEYWORD("stop", LITERAL(3)),))),
        ("gen gen", ("Gen", ("Identifier", "gen"), None, ())),
        ("gen: int", ("Gen", None, NAMED("int"), ())),
        ("select from x", ("Select", None, NAME("x"), ())),
        (
            "select a from x (method=1, temperature=2)",
            (
                "Select",
                ("Identifier", "a"),
                NAME("x"),
                (KEYWORD("method", LITERAL(1)), KEYWORD("temperature", LITERAL(2))),
            ),
        ),
        (
            "select a from [1](speed=2)",
            (
                *("Select", ("Identifier", "a"), ("ListLiteral", (LITERAL(1),))),
                (KEYWORD("speed", LITERAL(2)),),
            ),
        ),
        (
            "select a from f(kind=1)",
            (
                *("Select", ("Identifier", "a")),
                ("Call", NAME("f"), (), (KEYWORD("kind", LITERAL(1)),)),
                (),
            ),
        ),
        ('"a"', ("Text", STRING("a"))),
        ('("a")', ("Text", STRING("a"))),
        ('user "a"', ("Role", ("Identifier", "user"), (("Text", STRING("a")),))),
        ('user:\n    "a"', ("Role", ("Identifier", "user"), (("Text", STRING("a")),))),
        ('tool: "a"', ("Role", ("Identifier", "tool"), (("Text", STRING("a")),))),
        ("fork n as g:\n    pass", ("Fork", None, NAME("n"), ("Identifier", "g"), (("Pass",),))),
        (
            "fork x in a if b else c as g: pass",
            (
                *("Fork", ("Identifier", "x"), ("Conditional", NAME("b"), NAME("a"), NAME("c"))),
                *(("Identifier", "g"), (("Pass",),)),
            ),
        ),
        ("join g", ("Join", NAME("g"))),
        ("capture c: pass", ("Capture", ("Identifier", "c"), (("Pass",),))),
        ("reasoning r: pass", ("Reasoning", ("Identifier", "r"), (("Pass",),))),
        ("any_order: pass", ("AnyOrder", (("Pass",),))),
        ("let gen = 3", ("Let", ("Identifier", "gen"), LITERAL(3))),
        ("user = 3", ("Assign", ("Identifier", "user"), LITERAL(3))),
        ("x = 3", ("Assign", ("Identifier", "x"), LITERAL(3))),
        ("while max max max: break", ("While", NAME("max"), NAME("max"), (("Break",),))),
        ("while a: continue", ("While", NAME("a"), None, (("Continue",),))),
        (
            "for a, b in c: pass",
            ("For", (("Identifier", "a"), ("Identifier", "b")), NAME("c"), (("Pass",),)),
        ),
        (
            "if a: pass\nelif b: pass\nelse: pass",
            ("If", ((NAME("a"), (("Pass",),)), (NAME("b"), (("Pass",),))), (("Pass",),)),
        ),
        ("if a: pass", ("If", ((NAME("a"), (("Pass",),)),), None)),
        ("return", ("Return", None)),
        ("require a", ("Require", NAME("a"), None)),
        ('require a, "m"', ("Require", NAME("a"), STRING("m"))),
        (
            "defaults top_p=1, seed=2",
            ("Defaults", (KEYWORD("top_p", LITERAL(1)), KEYWORD("seed", LITERAL(2)))),
        ),
        ("f(1)", ("Evaluate", ("Call", NAME("f"), (LITERAL(1),), ()))),
        ("join(a)", ("Evaluate", ("Call", NAME("join"), (NAME("a"),), ()))),
        ("select", None),
    ],
)
def test_statements(text: str, expected: object) -> None:
    if expected is None:
        assert parse(Source("t", f"program p():\n    {text}\n"), 0)[1]
    else:
        assert shape(statement(text)) == expected


@pytest.mark.parametrize(
    "word",
    [
        *("gen", "select", "system", "user", "assistant", "tool", "fork", "join", "capture"),
        *("reasoning", "any_order", "let", "return", "require", "defaults", "break"),
        *("continue", "pass", "while", "elif", "import", "const", "type", "pure", "extern"),
        *("def", "program", "as", "from", "max"),
    ],
)
def test_statement_words_are_names_elsewhere(word: str) -> None:
    assert shape(statement(f"let {word} = 3")) == ("Let", ("Identifier", word), LITERAL(3))
    assert shape(statement(f"{word} = 3")) == ("Assign", ("Identifier", word), LITERAL(3))
    assert shape(expression(f"x + {word}")) == ("Binary", "+", NAME("x"), NAME(word))
    assert shape(expression(f"x.{word}")) == ("Attribute", NAME("x"), ("Identifier", word))


@pytest.mark.parametrize(
    "word", ["if", "else", "for", "in", "and", "or", "not", "run", "true", "null", "None"]
)
def test_reserved_words_are_fields_only(word: str) -> None:
    assert parse(Source("t", f"program p():\n    let {word} = 3\n"), 0)[1]
    assert shape(expression(f"x.{word}")) == ("Attribute", NAME("x"), ("Identifier", word))
    (record,) = parsed(f"type T:\n    {word}: int\n").decls
    assert isinstance(record, declaration.RecordDecl)
    assert record.fields[0].name.text == word


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("a + b * c", "a + (b * c)"),
        ("a - b - c", "(a - b) - c"),
        ("a ** b ** c", "a ** (b ** c)"),
        ("-a ** b", "-(a ** b)"),
        ("a ** -b", "a ** (-b)"),
        ("not a == b", "not (a == b)"),
        ("a or b and not c", "a or (b and (not c))"),
        ("a if b else c if d else e", "a if b else (c if d else e)"),
        ("a or b if c or d else e", "(a or b) if (c or d) else e"),
        ("a + b < c * d", "(a + b) < (c * d)"),
        ("-a.b[c](d)", "-(((a.b)[c])(d))"),
        ("run f(a).b", "(run f(a)).b"),
        ("a % b // c / d", "((a % b) // c) / d"),
    ],
)
def test_precedence_is_python_s(text: str, same_as: str) -> None:
    assert shape(expression(text)) == shape(expression(same_as))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1_000", LITERAL(1000)),
        ("0x1F", LITERAL(31)),
        ("0xe5", LITERAL(229)),
        ("1.", LITERAL(1.0)),
        (".5", LITERAL(0.5)),
        ("1e-3", LITERAL(0.001)),
        ("True", LITERAL(True)),
        ("false", LITERAL(False)),
        ("None", LITERAL(None)),
        ("a not in b", ("Compare", ("not in",), (NAME("a"), NAME("b")))),
        ("a < b <= c", ("Compare", ("<", "<="), (NAME("a"), NAME("b"), NAME("c")))),
        ("a and b and c", ("Logic", "and", (NAME("a"), NAME("b"), NAME("c")))),
        ("a[1:]", ("Slice", NAME("a"), LITERAL(1), None, None)),
        ("a[::2]", ("Slice", NAME("a"), None, None, LITERAL(2))),
        ("a[:]", ("Slice", NAME("a"), None, None, None)),
        ("a[1:2:]", ("Slice", NAME("a"), LITERAL(1), LITERAL(2), None)),
        ("{}", ("DictLiteral", ())),
        ("{1: 2,}", ("DictLiteral", ((LITERAL(1), LITERAL(2)),))),
        ("[]", ("ListLiteral", ())),
        (
            "[a for b, c in d if e if f]",
            (
                *("Comprehension", None, NAME("a")),
                (
                    (
                        "ForClause",
                        (("Identifier", "b"), ("Identifier", "c")),
                        NAME("d"),
                        (NAME("e"), NAME("f")),
                    ),
                ),
            ),
        ),
        (
            "{a: b for c in d}",
            (
                *("Comprehension", NAME("a"), NAME("b")),
                (("ForClause", (("Identifier", "c"),), NAME("d"), ()),),
            ),
        ),
        (
            "any(a for b in c)",
            (
                *("Call", NAME("any")),
                (
                    (
                        *("Comprehension", None, NAME("a")),
                        (("ForClause", (("Identifier", "b"),), NAME("c"), ()),),
                    ),
                ),
                (),
            ),
        ),
        (
            "run m.f(a, b=1)",
            (
                "Run",
                (
                    "Call",
                    ("Attribute", NAME("m"), ("Identifier", "f")),
                    (NAME("a"),),
                    (KEYWORD("b", LITERAL(1)),),
                ),
            ),
        ),
        ("(\n  a\n  +  # why\n\n b)", ("Binary", "+", NAME("a"), NAME("b"))),
    ],
)
def test_expressions(text: str, expected: object) -> None:
    assert shape(expression(text)) == expected
