"""The evaluator against Python's own `eval`, and the words in which it fails."""

from __future__ import annotations

import json
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.ir.host import expr as e
from sglc.ir.host.evaluate import HostEnv, HostError, compile_expr, evaluate
from sglc.ir.host.expr import Expr
from sglc.ir.host.literal import literal
from sglc.ir.host.simplify import simplify
from sglc.ir.span import Span

OPERANDS = (3, -2, 0, 1.5, "ab", "", [1, 2, 3], ["b", "a"], {"k": 1, "b": None}, True, None)

# each strategy yields an expression and the Python source of the same


def _leaf() -> st.SearchStrategy[tuple[Expr, str]]:
    constants = st.sampled_from([0, 1, -3, 2.5, "a", "xyz", True, False, None])
    return st.one_of(
        st.integers(0, len(OPERANDS) - 1).map(lambda i: (e.Operand(i), f"operands[{i}]")),
        constants.map(lambda v: (e.Const(v), f"({v!r})")),
    )


def _extend(
    inner: st.SearchStrategy[tuple[Expr, str]],
) -> st.SearchStrategy[tuple[Expr, str]]:
    pair, triple = st.tuples(inner, inner), st.tuples(inner, inner, inner)
    return st.one_of(
        st.tuples(st.sampled_from(["+", "-", "*", "/", "//", "%"]), pair).map(
            lambda t: (
                e.Binary(t[0], t[1][0][0], t[1][1][0]),
                f"({t[1][0][1]} {t[0]} {t[1][1][1]})",
            )
        ),
        st.tuples(st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"]), pair).map(
            lambda t: (
                e.Compare(t[0], t[1][0][0], t[1][1][0]),
                f"({t[1][0][1]} {t[0]} {t[1][1][1]})",
            )
        ),
        st.tuples(st.sampled_from(["and", "or"]), triple).map(
            lambda t: (
                e.Logic(t[0], tuple(x for x, _ in t[1])),
                f"({f' {t[0]} '.join(s for _, s in t[1])})",
            )
        ),
        st.tuples(st.sampled_from(["-", "+", "not"]), inner).map(
            lambda t: (e.Unary(t[0], t[1][0]), f"({t[0]} {t[1][1]})")
        ),
        triple.map(
            lambda t: (
                e.Cond(t[0][0], t[1][0], t[2][0]),
                f"({t[1][1]} if {t[0][1]} else {t[2][1]})",
            )
        ),
        pair.map(lambda t: (e.Index(t[0][0], t[1][0]), f"{t[0][1]}[{t[1][1]}]")),
        triple.map(
            lambda t: (
                e.Slice(t[0][0], t[1][0], None, t[2][0]),
                f"{t[0][1]}[{t[1][1]}::{t[2][1]}]",
            )
        ),
        pair.map(lambda t: (e.ListOf((t[0][0], t[1][0])), f"[{t[0][1]}, {t[1][1]}]")),
        triple.map(
            lambda t: (
                e.Comprehension(
                    e.ListOf((e.Local("x"), t[0][0])), (e.Clause(("x",), t[1][0], (t[2][0],)),)
                ),
                f"[[x, {t[0][1]}] for x in {t[1][1]} if {t[2][1]}]",
            )
        ),
        st.tuples(st.sampled_from(["len", "sorted", "any", "all", "bool"]), inner).map(
            lambda t: (e.Call(t[0], (t[1][0],)), f"{t[0]}({t[1][1]})")
        ),
    )


EXPRESSIONS = st.recursive(_leaf(), _extend, max_leaves=8)
PYTHON_ERRORS = (TypeError, ValueError, LookupError, ArithmeticError)


def same(a: object, b: object) -> bool:
    """Equal as values of the language: 1 and 1.0 and true are three."""
    return json.dumps(a) == json.dumps(b)


@pytest.mark.filterwarnings("ignore::SyntaxWarning")  # of the source that eval reads
@settings(max_examples=400, deadline=None)
@given(EXPRESSIONS)
def test_it_does_what_python_does(pair: tuple[Expr, str]) -> None:
    expr, source = pair
    try:
        expected = eval(source, {"operands": OPERANDS})
    except PYTHON_ERRORS:
        with pytest.raises(HostError):
            evaluate(expr, OPERANDS)
        return
    if isinstance(expected, str) and "%" in source:
        return  # Python formats with %
    try:
        found = evaluate(expr, OPERANDS)
    except HostError as error:
        # stricter than Python here: texts have no %, keys are str, numbers are finite
        assert "%" in source or "finite" in str(error) or "keys" in str(error), source
        return
    assert same(found, expected), source


@settings(max_examples=200, deadline=None)
@given(EXPRESSIONS)
def test_simplifying_keeps_value_and_failure(pair: tuple[Expr, str]) -> None:
    expr, _ = pair
    simpler = simplify(expr, 1000)
    try:
        expected = evaluate(expr, OPERANDS)
    except HostError as error:
        with pytest.raises(HostError, match=f"^{re.escape(str(error))}$"):
            evaluate(simpler, OPERANDS)
        return
    assert same(evaluate(simpler, OPERANDS), expected)


HERE = Span(0, 3, 5, 3, 9)
A, B = e.Operand(0), e.Operand(1)


@pytest.mark.parametrize(
    ("expr", "operands", "code", "message"),
    [
        (e.Binary("+", A, B), ("a", 1), "type_error", "`+` does not take a str and an int"),
        (e.Binary("%", A, B), ("%d", 1), "type_error", "`%` does not take a str and an int"),
        (e.Binary("/", A, B), (1, 0), "zero_division", "division by zero"),
        (e.Binary("**", A, B), (0, -1), "zero_division", "division by zero"),
        (
            e.Binary("*", A, B),
            ("a", 10**12),
            "too_large",
            "a text of 1000000000000 characters; the limit is 50000000",
        ),
        (e.Binary("*", A, B), ([1], 10**12), "too_large", None),
        (e.Binary("**", A, B), (10, 10**10), "too_large", "an integer of over 14000 bits"),
        (e.Binary("**", A, B), (10.0, 400), "too_large", None),
        (e.Binary("**", A, B), (-8, 0.5), "value_error", None),
        (e.Binary("*", A, B), (1e308, 10.0), "too_large", None),
        (e.Binary("/", A, B), (1 << 1100, 3), "too_large", None),
        (e.Compare("<", A, B), (1, "a"), "type_error", "an int and a str have no order"),
        (e.Compare("<", A, B), ([1, None], [1, 2]), "type_error", "null and an int have no order"),
        (e.Compare("in", A, B), (1, "a"), "type_error", "only a str can be in a str, not an int"),
        (e.Compare("in", A, B), (1, 2), "type_error", "`in` does not look into an int"),
        (
            e.Index(A, B),
            ([1, 2], 5),
            "index_error",
            "index 5 is out of range: the list has 2 items",
        ),
        (
            e.Index(A, B),
            ("a", 1),
            "index_error",
            "index 1 is out of range: the str has 1 character",
        ),
        (e.Index(A, B), (None, 1), "type_error", "null has no items"),
        (
            e.Index(A, B),
            ({"a": 1}, "b"),
            "key_error",
            "there is no field `b`; there are a",
        ),
        (e.Field(A, "x"), ("text",), "type_error", "a str has no fields"),
        (e.Field(A, "x"), ({},), "key_error", "there is no field `x`; it has no fields"),
        (e.Slice(A, None, None, B), ([1], 0), "value_error", "the step of a slice is 0"),
        (e.DictOf(((A, B),)), (1, 2), "type_error", "the keys of a dict are str, not an int"),
        (e.Format(((A, "d"),)), ("a",), "value_error", "cannot format a str with `d`"),
        (e.Format(((A, "9999999999"),)), ("a",), "too_large", None),
        (e.Call("len", (A,)), (3,), "type_error", "an int has no length"),
        (e.Call("len", (A, B)), (3, 3), "type_error", "`len(value)` got 2 arguments"),
        (e.Call("parse_json", (A,)), ("{",), "value_error", None),
        (e.Call("range", (A,)), (10**9,), "too_large", None),
    ],
)
def test_failures_are_told_in_plain_words(
    expr: Expr, operands: tuple[object, ...], code: str, message: str | None
) -> None:
    spanned = type(expr)(**{n: getattr(expr, n) for n in expr.__slots__ if n != "span"}, span=HERE)
    with pytest.raises(HostError) as caught:
        evaluate(spanned, operands)  # type: ignore[arg-type]
    assert caught.value.code == code
    assert caught.value.span == HERE
    if message is not None:
        assert str(caught.value) == message


def test_the_innermost_span_is_told() -> None:
    inner = e.Binary("/", A, e.Const(0), HERE)
    outer = e.Binary("+", inner, A, Span(0, 1, 1, 9, 9))
    with pytest.raises(HostError) as caught:
        evaluate(outer, (1,))
    assert caught.value.span == HERE


def test_try_evaluates_its_default_only_then() -> None:
    failing = e.Binary("/", A, e.Const(0))
    assert evaluate(e.Try(e.Binary("/", A, e.Const(2)), failing), (4,)) == 2.0
    assert evaluate(e.Try(failing, e.Const("none")), (4,)) == "none"


def test_comprehensions_do_not_leak_their_names() -> None:
    inner = e.Comprehension(e.Local("x"), (e.Clause(("x",), e.Local("x"), ()),))
    expr = e.Comprehension(e.ListOf((inner, e.Local("x"))), (e.Clause(("x",), A, ()),))
    assert evaluate(expr, ([[1, 2], [3]],)) == [[[1, 2], [1, 2]], [[3], [3]]]


def test_targets_unpack() -> None:
    pairs = e.Call("zip", (A, B))
    expr = e.Comprehension(
        e.Local("v"), (e.Clause(("k", "v"), pairs, (e.Local("v"),)),), e.Local("k")
    )
    assert evaluate(expr, (["a", "b"], [1, 0])) == {"a": 1}
    triples = e.Comprehension(e.Const(1), (e.Clause(("k", "v"), A, ()),))
    with pytest.raises(HostError, match="3 values for 2 names"):
        evaluate(triples, ([[1, 2, 3]],))


def test_a_comprehension_of_comprehensions_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sglc.ir.host.evaluate.MAX_STEPS", 1000)
    many = e.Call("range", (e.Const(100),))
    clauses = tuple(e.Clause((name,), many, (e.Const(name != "c"),)) for name in "abc")
    with pytest.raises(HostError, match="over 1000 rounds"):
        evaluate(e.Comprehension(e.Const(1), clauses))


def test_what_is_nested_too_deeply_fails_in_words() -> None:
    deep: Expr = A
    for _ in range(5000):
        deep = e.Unary("-", deep)
    with pytest.raises(HostError, match="nested too deeply"):
        compile_expr(deep)((1,), HostEnv())
    nested: list[object] = []
    for _ in range(5000):
        nested = [nested]
    with pytest.raises(HostError, match="nested too deeply"):
        evaluate(e.Format(((A, None),)), (nested,))  # type: ignore[arg-type]


def test_floats_in_templates_keep_every_bit() -> None:
    for number in (0.1, 1e-320, 1e16, math.pi, -0.0, 1.0):
        text = evaluate(e.Format(((A, None),)), (number,))
        assert isinstance(text, str)
        assert json.loads(text) == number and math.copysign(1, json.loads(text)) == math.copysign(
            1, number
        )


def test_a_template_shows_values_as_json_and_texts_as_they_are() -> None:
    parts = ((A, None), (e.Const("|"), None), (B, None))
    assert evaluate(e.Format(parts), ("é\n", {"a": [1, None, True, "é"]})) == (
        'é\n|{"a":[1,null,true,"é"]}'
    )


def test_constants_of_different_kinds_differ() -> None:
    kinds = [e.Const(1), e.Const(1.0), e.Const(True), e.Const(0.0), e.Const(-0.0), e.Const("1")]
    assert len(set(kinds)) == len(kinds)
    assert literal([1]) == e.JsonConst("[1]") and literal("a") == e.Const("a")
