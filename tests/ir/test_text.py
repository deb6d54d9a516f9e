"""The textual IR reads back: types, expressions and whole modules."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.ir import graph
from sglc.ir import types as t
from sglc.ir.host import expr as e
from sglc.ir.host.expr import Expr
from sglc.ir.module import ExternDecl, Function, Module, Param
from sglc.ir.ops import Leave, Let, Region, Start, Value
from sglc.ir.testing import random_module
from sglc.ir.text import IRSyntaxError, parse_module, print_module
from sglc.ir.value_type import ContextType

WORDS = st.sampled_from(["a", "b_2", "é"])
ODD_TEXT = st.text(st.sampled_from("a\"{}\\\n;#% é:'\t"), max_size=6)


def module_of(*ops: Let, params: tuple[Param, ...] = (), result: t.Type | None = None) -> Module:
    """A program of these lets."""
    context = Value(1000, ContextType())
    end = Leave((context, ops[-1].result if ops else params[0].value))
    args = tuple(param.value for param in params)
    body = Region(args, (Start(context), *ops), end)
    return Module(Function("main", body, True, params, result), (), (), ())


TYPES: st.SearchStrategy[t.Type] = st.recursive(
    st.one_of(
        st.sampled_from([t.STR, t.INT, t.FLOAT, t.BOOL, t.NULL, t.JSON, t.IMAGE, t.UNKNOWN]),
        st.builds(t.StrType, st.none() | st.integers(0, 9), st.none() | st.just(12), ODD_TEXT),
        st.builds(t.IntType, st.none() | st.integers(), st.none() | st.integers()),
        st.builds(t.FloatType, st.none() | st.floats(-9, 9), st.none() | st.just(1e300)),
        st.lists(
            st.one_of(ODD_TEXT, st.integers(), st.booleans(), st.floats(-1e9, 1e9)), min_size=1
        ).map(lambda values: t.LiteralType(tuple(values))),
    ),
    lambda inner: st.one_of(
        st.builds(t.ListType, inner, st.none() | st.just(1), st.none() | st.just(3)),
        inner.map(t.OptionalType),
        st.lists(inner, max_size=3).map(lambda items: t.TupleType(tuple(items))),
        st.builds(
            lambda make, fields: make(tuple(fields.items())),
            st.sampled_from([t.GroupType, t.BranchType]),
            st.dictionaries(WORDS | st.just("x.tokens"), inner, max_size=3),
        ),
        st.builds(
            lambda name, fields: t.RecordType(name, tuple(fields.items())),
            st.sampled_from(["Item", "shots.Item", "list", "odd name"]),
            st.dictionaries(WORDS, inner, max_size=2),
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(TYPES, min_size=1, max_size=3))
def test_types_read_back(types: list[t.Type]) -> None:
    params = tuple(Param(Value(i, type, "p")) for i, type in enumerate(types))
    externs = (ExternDecl("f", (("x", types[0]),), types[-1], True, 2.5, 1),)
    module = replace(module_of(params=params, result=types[0]), externs=externs)
    assert parse_module(print_module(module)) == module


LEAVES: st.SearchStrategy[Expr] = st.one_of(
    st.integers(0, 2).map(e.Operand),
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        ODD_TEXT,
    ).map(e.Const),
    st.sampled_from([e.JsonConst("[1,2]"), e.JsonConst('{"a":"}"}'), e.Local("x")]),
)


def _expressions(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    many = st.lists(inner, max_size=3).map(tuple)
    maybe = st.none() | inner
    clauses = st.lists(
        st.builds(
            e.Clause, st.lists(WORDS, min_size=1, max_size=2, unique=True).map(tuple), inner, many
        ),
        min_size=1,
        max_size=2,
    ).map(tuple)
    specs = st.none() | st.sampled_from(["", ".2f", ">10", "}", " ", '"'])
    return st.one_of(
        st.builds(e.Unary, st.sampled_from(["-", "+", "not"]), inner),
        st.builds(e.Binary, st.sampled_from(["+", "-", "*", "/", "//", "%", "**"]), inner, inner),
        st.builds(
            e.Compare,
            st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"]),
            inner,
            inner,
        ),
        st.builds(
            e.Logic,
            st.sampled_from(["and", "or"]),
            st.lists(inner, min_size=2, max_size=3).map(tuple),
        ),
        st.builds(e.Cond, inner, inner, inner),
        st.builds(e.Index, inner, inner),
        st.builds(e.Slice, inner, maybe, maybe, maybe),
        st.builds(e.Field, inner, WORDS | st.just("x.tokens")),
        many.map(e.ListOf),
        st.lists(st.tuples(inner, inner), max_size=2).map(lambda items: e.DictOf(tuple(items))),
        st.builds(e.Comprehension, inner, clauses, maybe),
        st.builds(
            e.Call,
            st.sampled_from(["len", "zip"]),
            many,
            st.dictionaries(WORDS, inner, max_size=2).map(lambda d: tuple(d.items())),
        ),
        st.lists(st.tuples(inner, specs), max_size=4).map(lambda parts: e.Format(tuple(parts))),
        st.builds(e.Try, inner, inner),
        st.builds(e.Conform, inner, TYPES),
    )


EXPRESSIONS = st.recursive(LEAVES, _expressions, max_leaves=10)


@settings(max_examples=500, deadline=None)
@given(EXPRESSIONS)
def test_expressions_read_back(expr: Expr) -> None:
    params = tuple(Param(Value(i, t.JSON, "")) for i in range(3))
    operands = tuple(param.value for param in params)
    let = Let(Value(3, t.JSON), expr, operands)
    module = module_of(let, params=params)
    assert parse_module(print_module(module)) == module


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_modules_read_back(seed: int) -> None:
    module = random_module(random.Random(seed))
    text = print_module(module)
    again = parse_module(text)
    assert again == module
    assert print_module(again) == text  # names too


def test_the_cases_of_the_passes_read_back() -> None:
    cases = Path(__file__).parents[1] / "passes" / "cases"
    count = 0
    for path in cases.glob("*.ir"):
        for block in path.read_text(encoding="utf-8").split("=== ")[1:]:
            for text in block.split("\n", 1)[1].split("---\n"):
                count += 1
                module = parse_module(text)
                assert parse_module(print_module(module)) == module
    assert count > 20


def test_operands_stand_in_place_where_that_says_all() -> None:
    a, b = (Param(Value(i, t.STR, name)) for i, name in enumerate("ab"))
    parts = ((e.Operand(1), None), (e.Const(" {"), None), (e.Operand(0), ".3"))
    swapped = Let(Value(2, t.STR), e.Format(parts), (b.value, a.value))
    module = module_of(swapped, replace_result(swapped, 3), params=(a, b))
    lines = print_module(module).splitlines()
    assert lines[2] == '  %2: str = let t"{$1} {{{$0:.3}" over (%b.1, %a.0)'
    in_place = replace(swapped, operands=(a.value,), expr=e.Unary("not", e.Operand(0)))
    assert "  %2: str = let not %a.0" in print_module(module_of(in_place, params=(a, b)))


def replace_result(let: Let, id: int) -> Let:
    return replace(let, result=Value(id, let.result.type))


def test_comments_and_blank_lines_are_skipped() -> None:
    module = parse_module("""
    ; what it does
    program main(%0: str) {   ; takes a text

      %1: ctx = start ; here
      leave %1, %0
    }
    """)
    assert len(list(graph.walk(module.program.body))) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "program main() {\n  %1: ctx = append %0\n}",
            "line 2 column 20: expected a value that is defined above, found `%0`",
        ),
        (
            "program main() {\n  %1: ctx = strat\n}",
            "line 2 column 13: expected an op, found `strat`",
        ),
        (
            "program main(%0: Item) {\n}",
            "line 1 column 18: expected a declared type, found `Item) {`",
        ),
        ("program main() {\n  leave\n", "line 3 column 1: expected `}`, found ``"),
        (
            "program main() {\n  %1: int = let 1 +\n  leave\n}",
            "line 2 column 20: expected an expression, found ``",
        ),
        ("prog main()", "line 1 column 1: expected record, extern, program or function, found"),
    ],
)
def test_what_does_not_parse_is_located(text: str, message: str) -> None:
    with pytest.raises(IRSyntaxError) as caught:
        parse_module(text)
    assert str(caught.value).startswith(message)
