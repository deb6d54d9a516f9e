"""Values against types: by hand, and against jsonschema-like reasoning on random values."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sglc.ir import types as t
from sglc.ir.values import Mismatch, conform

VERDICT = t.RecordType("Verdict", (("score", t.IntType(1, 10)), ("why", t.ListType(t.STR))))


@pytest.mark.parametrize(
    ("value", "type"),
    [
        ("a", t.STR),
        ("abc", t.StrType(1, 3, "[a-c]+")),
        (3, t.IntType(3, 3)),
        (0.5, t.FloatType(0, 1)),
        (True, t.BOOL),
        (None, t.OptionalType(t.INT)),
        (3, t.OptionalType(t.INT)),
        ("a", t.LiteralType(("a", 3))),
        (3, t.LiteralType(("a", 3))),
        (True, t.LiteralType((True,))),
        ([], t.ListType(t.INT, 0, 0)),
        ({"score": 3, "why": ["x"]}, VERDICT),
        ({"a": [None, {"b": 1.5}]}, t.JSON),
        ([1, "a"], t.TupleType((t.INT, t.STR))),
        ([{"v": 1}], t.GroupType((("v", t.INT),))),
        ({"v": 1}, t.BranchType((("v", t.INT),))),
    ],
)
def test_values_of_their_types_stay_as_they_are(value: object, type: t.Type) -> None:
    found = conform(value, type)
    assert json.dumps(found) == json.dumps(value)


def test_an_int_becomes_a_float_where_one_is_wanted() -> None:
    found = conform({"x": [1, 2.5]}, t.RecordType("R", (("x", t.ListType(t.FLOAT)),)))
    assert json.dumps(found) == '{"x": [1.0, 2.5]}'


def test_fields_come_in_the_order_of_the_type() -> None:
    found = conform({"why": [], "score": 1}, VERDICT)
    assert isinstance(found, dict) and list(found) == ["score", "why"]


@pytest.mark.parametrize(
    ("value", "type", "message"),
    [
        (1, t.STR, "expected a str, found an int"),
        ("abcd", t.StrType(max_length=3), "expected a str of at most 3 characters, found one of 4"),
        ("", t.StrType(1, 3), "expected a str of 1 to 3 characters, found one of 0"),
        ("ad", t.StrType(pattern="[a-c]+"), 'expected a str that matches [a-c]+, found "ad"'),
        (
            "\ud800",
            t.STR,
            "expected a str of whole characters, found half of a surrogate pair",
        ),
        (True, t.INT, "expected an int, found a bool"),
        (1.0, t.INT, "expected an int, found a float"),
        (11, t.IntType(1, 10), "expected an int of 1 to 10, found 11"),
        (0, t.IntType(low=1), "expected an int of 1 or more, found 0"),
        (float("nan"), t.FLOAT, "expected a finite float, found nan"),
        (float("inf"), t.JSON, "expected a finite float, found inf"),
        (10**400, t.FLOAT, "expected a float, found an int beyond what a float can hold"),
        (True, t.FLOAT, "expected a float, found a bool"),
        (1, t.BOOL, "expected a bool, found an int"),
        (None, t.INT, "expected an int, found null"),
        ("c", t.LiteralType(("a", "b")), 'expected "a" or "b", found "c"'),
        (True, t.LiteralType((1,)), "expected 1, found true"),
        (1, t.LiteralType((True,)), "expected true, found 1"),
        ({}, t.ListType(t.INT), "expected a list, found a dict"),
        ([1], t.ListType(t.INT, 2), "expected a list of 2 or more items, found one of 1"),
        ([1, "a"], t.ListType(t.INT), "at [1]: expected an int, found a str"),
        ({"score": 3}, VERDICT, "expected a Verdict with a field `why`, found none of that name"),
        (
            {"score": 3, "why": [], "x": 1},
            VERDICT,
            'expected a Verdict with no field but score, why, found a field "x"',
        ),
        (
            {"score": 3, "why": ["a", 1]},
            VERDICT,
            "at why[1]: expected a str, found an int",
        ),
        ({1: 2}, t.JSON, "expected a str, found an int"),
        ({1, 2}, t.JSON, "expected a JSON value, found a Python set"),
        ((1, 2), t.ListType(t.INT), "expected a list, found a Python tuple"),
        ("x", t.IMAGE, "expected an image, found a str"),
        ([1], t.TupleType((t.INT, t.INT)), "expected a list of 2 items, found a list"),
    ],
)
def test_other_values_are_told_what_was_expected(value: object, type: t.Type, message: str) -> None:
    with pytest.raises(Mismatch) as caught:
        conform(value, type)
    assert str(caught.value) == message


def test_size_is_bounded() -> None:
    with pytest.raises(Mismatch, match="an int of at most 14000 bits, found a longer one"):
        conform(10**5000, t.INT)


def test_depth_is_bounded() -> None:
    value: object = 1
    for _ in range(100_000):
        value = [value]
    with pytest.raises(Mismatch, match="at most 200 levels of nesting"):
        conform(value, t.JSON)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
TYPES = st.recursive(
    st.sampled_from([t.STR, t.INT, t.FLOAT, t.BOOL, t.JSON, t.LiteralType((1, "a", True))]),
    lambda inner: st.one_of(
        inner.map(t.OptionalType),
        inner.map(lambda item: t.ListType(item, max_items=2)),
        inner.map(lambda item: t.RecordType("R", (("a", item),))),
    ),
    max_leaves=4,
)


def accepts(value: object, type: t.Type) -> bool:
    """The same question, answered the plain way."""
    match type:
        case t.JsonType():
            return True
        case t.StrType():
            return isinstance(value, str)
        case t.BoolType():
            return isinstance(value, bool)
        case t.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case t.FloatType():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case t.LiteralType():
            return json.dumps(value) in ("1", '"a"', "true", "1.0")
        case t.OptionalType(item):
            return value is None or accepts(value, item)
        case t.ListType(item):
            return (
                isinstance(value, list) and len(value) <= 2 and all(accepts(v, item) for v in value)
            )
        case t.RecordType(_, ((name, item),)):
            return isinstance(value, dict) and list(value) == [name] and accepts(value[name], item)
    raise AssertionError(type)


@given(JSON_VALUES, TYPES)
def test_conform_agrees_with_the_plain_reading(value: object, type: t.Type) -> None:
    try:
        found = conform(value, type)
    except Mismatch:
        assert not accepts(value, type)
        return
    assert accepts(value, type)
    assert found == value and json.dumps(conform(found, type)) == json.dumps(found)
