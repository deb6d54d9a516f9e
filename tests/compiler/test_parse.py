"""Text to nodes: what each construct becomes, and where it stands."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import Any

import pytest

from sglc.compiler import syntax
from sglc.compiler.parse import parse
from sglc.ir.span import Source, Span

TASTE = '''\
"""Judge an essay along several dimensions, then decide."""
import "shots.sgl" as shots

const DIMENSIONS = ["clarity", "originality", "evidence"]
const RUBRIC = read("rubric.txt")            # read at compile time, relative to this file

type Verdict:
    decision: "accept" | "revise" | "reject"
    score: int(1..10)
    reasons: list[str(max_length=120)](max_items=3)

extern lookup(isbn: str) -> str              # a Python function given at run time

def answer_briefly(question: str) -> str:    # a fragment: appends where it is called
    user "{question}"
    assistant:
        gen answer(max_tokens=64, stop="\\n")
    return answer

program judge(essay: str, dims: list[str] = DIMENSIONS) -> Verdict:
    defaults temperature=0, max_tokens=256
    system "You are a strict judge.\\n{RUBRIC}"
    user "Essay:\\n{essay}"
    fork dim in dims as views:               # branches share everything above, run in parallel
        user "Judge its {dim}."
        assistant:
            gen review(max_tokens=128, stop="END")
            "\\nGrade: "
            select grade from ["A", "B", "C", "D"]
    user:
        for v in views:                      # first use of views is the join
            "{v.dim}: {v.review} ({v.grade})\\n"
        "Decide."
    assistant:
        gen verdict: Verdict                 # constrained by the type
    return verdict
'''


def parsed(text: str) -> syntax.File:
    file, diagnostics = parse(Source("t.sgl", text), 0)
    assert not diagnostics, [d.message for d in diagnostics]
    assert file is not None
    return file


def body(statements: str) -> syntax.Block:
    lines = "".join(f"    {line}\n" for line in statements.split("\n"))
    (program,) = parsed("program p():\n" + lines).decls
    assert isinstance(program, syntax.Program)
    return program.body


def statement(text: str) -> Any:
    (only,) = body(text)
    return only


def expression(text: str) -> Any:
    return statement(f"let x = {text}").value


def type_(text: str) -> Any:
    (alias,) = parsed(f"type T = {text}").decls
    assert isinstance(alias, syntax.AliasDecl)
    return alias.type


def shape(node: object) -> object:
    """A node as nested tuples (class name, fields), spans left out."""
    if isinstance(node, syntax.Node):
        fields = [getattr(node, f.name) for f in dataclasses.fields(node) if f.name != "span"]
        return type(node).__name__, *map(shape, fields)
    return tuple(map(shape, node)) if isinstance(node, tuple) else node


def text_at(source: str, span: Span) -> str:
    lines = source.split("\n")
    if span.line == span.end_line:
        return lines[span.line - 1][span.col - 1 : span.end_col - 1]
    first, *middle, last = lines[span.line - 1 : span.end_line]
    return "\n".join([first[span.col - 1 :], *middle, last[: span.end_col - 1]])


def test_the_taste_parses() -> None:
    file = parsed(TASTE)
    assert file.doc == "Judge an essay along several dimensions, then decide."
    assert [type(d).__name__ for d in file.decls] == [
        *("Import", "Const", "Const", "RecordDecl", "Extern", "Fragment", "Program")
    ]
    program = file.decls[-1]
    assert isinstance(program, syntax.Program)
    assert [type(s).__name__ for s in program.body] == [
        *("Defaults", "Role", "Role", "Fork", "Role", "Role", "Return")
    ]
    fork = program.body[3]
    assert isinstance(fork, syntax.Fork) and fork.item is not None
    assert (fork.item.text, fork.group.text) == ("dim", "views")
    assert text_at(TASTE, fork.span) == "fork dim in dims as views:"
    assert fork.span.line == 24


def test_the_time_to_parse_grows_as_the_text() -> None:
    block = TASTE[TASTE.index("program") :]

    def seconds(count: int) -> float:
        many = TASTE + "".join(block.replace("judge", f"judge{i}") for i in range(count))
        start = time.process_time()
        parsed(many)
        return time.process_time() - start

    parsed(TASTE)
    few = min(seconds(15) for _ in range(3))
    assert seconds(60) < 12 * few  # 4 if it grows so, 16 if as the square


def test_threads_do_not_disturb_each_other() -> None:
    expected, found = shape(parsed(TASTE)), []
    threads = [
        threading.Thread(target=lambda: found.append(shape(parsed(TASTE)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


# ---------------------------------------------------------------- spans


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("let x = a + b * c   # why", "let x = a + b * c"),
        ("gen x: list[str]? (max_tokens=3)", "gen x: list[str]? (max_tokens=3)"),
        ("if a == 3:   # why\n    pass\nelse:\n    pass", "if a == 3:"),
        ("user:\n    pass", "user:"),
        ("while x max 3:\n    pass", "while x max 3:"),
        ("f(1,\n  2)", "f(1,\n      2)"),
        ("return", "return"),
    ],
)
def test_span_of_a_statement(text: str, expected: str) -> None:
    source = "program p():\n" + "".join(f"    {line}\n" for line in text.split("\n"))
    (program,) = parsed(source).decls
    assert isinstance(program, syntax.Program)
    assert text_at(source, program.body[0].span) == expected


def test_spans_inside_strings() -> None:
    source = 'program p():\n    user "日本 {a.b} {{}} {f(x, "y{z}")[1]:>3}"\n'
    (program,) = parsed(source).decls
    found = []

    def visit(node: object) -> None:
        if isinstance(node, tuple):
            for item in node:
                visit(item)
        if isinstance(node, syntax.Node):
            if not isinstance(node, syntax.String | syntax.Interpolation):
                found.append(text_at(source, node.span))
            for field in dataclasses.fields(node):
                visit(getattr(node, field.name))

    assert isinstance(program, syntax.Program)
    role = program.body[0]
    assert isinstance(role, syntax.Role)
    text = role.body[0]
    assert isinstance(text, syntax.Text)
    visit(text.value)
    assert found == [
        *("a.b", "a", "b"),
        *('f(x, "y{z}")[1]', 'f(x, "y{z}")', "f", "x", "z", "1"),
    ]
    slots = [p for p in text.value.parts if isinstance(p, syntax.Interpolation)]
    assert [text_at(source, s.span) for s in slots] == ["{a.b}", '{f(x, "y{z}")[1]:>3}']
    assert slots[1].format_spec == ">3"


def test_spans_behind_a_triple_quoted_string() -> None:
    source = 'program p():\n    user """\n      a\n       {b}\n      """\n    gen x\n'
    (program,) = parsed(source).decls
    assert isinstance(program, syntax.Program)
    role, gen = program.body
    assert text_at(source, gen.span) == "gen x"
    assert isinstance(role, syntax.Role) and isinstance(role.body[0], syntax.Text)
    before, slot, after = role.body[0].value.parts
    assert (before, after) == ("a\n ", "\n")
    assert isinstance(slot, syntax.Interpolation)
    assert slot.value.span == Span(0, 4, 9, 4, 10)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_line_ends_and_byte_order_marks(newline: str, bom: str) -> None:
    text = bom + TASTE.replace("\n", newline)
    file = parsed(text)
    assert shape(file) == shape(parsed(TASTE))
    assert file.decls[-1].span.line == 20


@pytest.mark.parametrize("text", ["", "\n", "# only a comment", "\n\n  # c\n", '"""doc"""'])
def test_files_without_declarations(text: str) -> None:
    assert parsed(text).decls == ()


# ---------------------------------------------------------------- declarations


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
    assert isinstance(extern, syntax.Extern)
    assert isinstance(extern.result, syntax.NamedType)
    assert (len(extern.result.args), len(extern.options)) == (num_args, num_options)
    gen = statement(f"gen x: {result}")
    assert (len(gen.type.args), len(gen.options)) == (num_args, num_options)


def test_span_of_a_type_without_the_options_behind_it() -> None:
    gen = statement("gen x: list[str] (stop=3)")
    assert (gen.type.span.col, gen.type.span.end_col) == (12, 21)


# ---------------------------------------------------------------- types


def NAMED(name: str, item: object = None, *args: object) -> tuple[object, ...]:
    return "NamedType", ("Identifier", name), item, args


def KEYWORD(name: str, value: object) -> tuple[object, ...]:
    return "Keyword", ("Identifier", name), value


def LITERAL(value: object) -> tuple[object, ...]:
    return "Literal", value


def STRING(*parts: object) -> tuple[object, ...]:
    return "String", parts, False


def NAME(name: str) -> tuple[object, ...]:
    return "Name", name


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


# ---------------------------------------------------------------- statements


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
    assert isinstance(record, syntax.RecordDecl)
    assert record.fields[0].name.text == word


# ---------------------------------------------------------------- expressions


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


# ---------------------------------------------------------------- strings


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
    assert isinstance(const, syntax.Const) and isinstance(const.value, syntax.String)
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
