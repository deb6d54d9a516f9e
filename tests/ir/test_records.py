"""Records taken apart, and the toy model's values: both against `json_text` and `conform`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.ir import types as t
from sglc.ir.host.expr import Value
from sglc.ir.host.text import json_text
from sglc.ir.records import Hole, cut, piece_text
from sglc.ir.toy import ToyContext, ToyModel
from sglc.ir.types import RecordType
from sglc.ir.values import conform

NAMES = st.sampled_from(["a", "b", 'q"', "é", "c\\d", "note"])
SCALARS: st.SearchStrategy[t.Type] = st.one_of(
    st.sampled_from([t.STR, t.INT, t.FLOAT, t.BOOL, t.NULL, t.JSON]),
    st.builds(t.StrType, st.integers(0, 3), st.integers(3, 5)),
    st.builds(t.IntType, st.none() | st.integers(-9, 0), st.none() | st.integers(0, 9)),
    st.builds(t.FloatType, st.none() | st.floats(-2, 0), st.none() | st.floats(0, 2)),
    st.lists(st.sampled_from(["x", 'y"', "é\n"]), min_size=1, max_size=3, unique=True).map(
        lambda values: t.LiteralType(tuple(values))
    ),
    st.just(t.LiteralType(("x", 3, True))),
)
TYPES: st.SearchStrategy[t.Type] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        inner.map(t.OptionalType),
        st.builds(t.ListType, inner, st.just(1), st.just(2)),
        st.builds(
            lambda fields: RecordType("R", tuple(fields.items())),
            st.dictionaries(NAMES, inner, max_size=4),
        ),
    ),
    max_leaves=8,
)
RECORDS = st.dictionaries(NAMES, TYPES, max_size=5).map(lambda f: RecordType("R", tuple(f.items())))


@settings(deadline=None)
@given(TYPES, st.integers(0, 2**32))
def test_a_typed_gen_of_the_toy_yields_a_value_of_its_type(type: t.Type, seed: int) -> None:
    sample = ToyModel(seed).sample(ToyContext(), type, {}, (0,))
    assert conform(sample.value, type) == sample.value


@settings(deadline=None)
@given(RECORDS, st.integers(0, 2**32))
def test_the_texts_and_what_fills_the_holes_are_the_json(record: RecordType, seed: int) -> None:
    value = ToyModel(seed).sample(ToyContext(), record, {}, (0,)).value
    parts = cut(record)
    assert [isinstance(part, str) for part in parts] == [i % 2 == 0 for i in range(len(parts))]
    assert "" not in parts

    def at(path: tuple[str, ...]) -> Value:
        found = value
        for name in path:
            assert isinstance(found, dict)
            found = found[name]
        return found

    texts = (
        piece_text(at(part.path), part.type) if isinstance(part, Hole) else part for part in parts
    )
    assert "".join(texts) == json_text(value)


def test_what_is_cut_and_what_is_not() -> None:
    inner = RecordType("Inner", (("s", t.STR), ("n", t.INT)))
    fields = (
        ("one", t.LiteralType(("only",))),
        ("inner", inner),
        ("maybe", t.OptionalType(inner)),
        ("many", t.ListType(inner)),
        ("mixed", t.LiteralType(("a", 1))),
    )
    assert cut(RecordType("Outer", fields)) == (
        '{"one":"only","inner":{"s":"',
        Hole(("inner", "s"), t.STR),
        '","n":',
        Hole(("inner", "n"), t.INT),
        '},"maybe":',
        Hole(("maybe",), t.OptionalType(inner)),
        ',"many":',
        Hole(("many",), t.ListType(inner)),
        ',"mixed":',
        Hole(("mixed",), t.LiteralType(("a", 1))),
        "}",
    )


@pytest.mark.parametrize("fields", [(), (("k", t.LiteralType((2,))),)])
def test_a_record_without_choice_is_one_text(fields: tuple[tuple[str, t.Type], ...]) -> None:
    assert cut(RecordType("R", fields)) == ('{"k":2}' if fields else "{}",)
