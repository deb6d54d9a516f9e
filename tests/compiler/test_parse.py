"""Whole files, and where each node stands."""

from __future__ import annotations

import dataclasses
import threading
import time

import pytest
from parsing import (
    parsed,
    shape,
    statement,
)

from sglc.compiler import declaration, syntax
from sglc.ir.span import Span

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
    assert isinstance(program, declaration.Program)
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
    assert isinstance(program, declaration.Program)
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

    assert isinstance(program, declaration.Program)
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
    assert isinstance(program, declaration.Program)
    role, gen = program.body
    assert text_at(source, gen.span) == "gen x"
    assert isinstance(role, syntax.Role) and isinstance(role.body[0], syntax.Text)
    before, slot, after = role.body[0].value.parts
    assert (before, after) == ("a\n ", "\n")
    assert isinstance(slot, syntax.Interpolation)
    assert slot.value.span == Span(0, 4, 9, 4, 10)


def test_span_of_a_type_without_the_options_behind_it() -> None:
    gen = statement("gen x: list[str] (stop=3)")
    assert (gen.type.span.col, gen.type.span.end_col) == (12, 21)
