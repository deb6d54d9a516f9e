"""Types: what is generated conforms, and is the text that the value has."""

from __future__ import annotations

import random

import pytest

from sglc.codegen.automata.closing import Closing
from sglc.codegen.automata.source import ConstraintError, NoText, NotSupported
from sglc.codegen.automata.types import type_rules
from sglc.ir import types as t
from sglc.ir.host.text import json_text, parse_json
from sglc.ir.values import conform

WALKS = 20
ITEM = t.RecordType(
    "Item", (("title", t.StrType(1, 8)), ("score", t.OptionalType(t.IntType(0, 9))))
)
TYPES = [
    t.STR,
    t.StrType(2, 5),
    t.StrType(None, None, "[a-c]+-[0-9]{2}"),
    t.StrType(3, 6, '(a"|\\\\|\n|é)*'),
    t.INT,
    t.IntType(-3, 120),
    t.IntType(10**20, None),
    t.IntType(None, -5),
    t.FLOAT,
    t.FloatType(0, 1),
    t.FloatType(-0.25, None),
    t.FloatType(1e-3, 1e25),
    t.BOOL,
    t.LiteralType(("yes", "no", 'a "quote"')),
    t.LiteralType(("1", 1, 1.0, True)),
    t.OptionalType(t.STR),
    t.ListType(t.BOOL),
    t.ListType(t.IntType(0, 9), 2, 4),
    t.ListType(t.StrType(0, 2), None, 2),
    ITEM,
    t.RecordType("Empty", ()),
    t.RecordType("All", (("items", t.ListType(ITEM, 1, 2)), ('a"b', t.LiteralType(("x", "y"))))),
    t.JSON,
    t.RecordType("Free", (("data", t.JSON), ("list", t.ListType(t.JSON)))),
]


@pytest.mark.parametrize("type", TYPES, ids=str)
def test_what_is_generated_conforms(type: t.Type, wander) -> None:
    closing, rng = Closing(type_rules(type)), random.Random(str(type))
    for _ in range(WALKS):
        text = wander(closing, rng)
        value = text if t.is_text(type) else parse_json(text)
        found = conform(value, type)
        if "." not in text and "e" not in text and "E" not in text:
            assert found == value
            assert t.is_text(type) or json_text(value) == text or '":' in text


@pytest.mark.parametrize("type", [type for type in TYPES if t.is_text(type)], ids=str)
def test_a_str_in_a_record_is_what_stands_between_the_quotes(type: t.Type, wander) -> None:
    closing, rng = Closing(type_rules(type, in_record=True)), random.Random(str(type))
    for _ in range(WALKS):
        text = wander(closing, rng)
        value = conform(parse_json(f'"{text}"'), type)
        assert json_text(value) == f'"{text}"'


ACCEPTED = [
    (t.STR, ["", 'any "text"\n\t', "日本😀"], []),
    (t.StrType(1, 2), ["a", "😀😀"], ["", "abc"]),
    (t.LiteralType(("a", "ab")), ["a", "ab"], ["", '"a"', "b"]),
    (t.LiteralType(("a", 1)), ['"a"', "1"], ["a", "1.0"]),
    (t.LiteralType((1, 1.0, True)), ["1", "1.0", "true"], ["false"]),
    (t.OptionalType(t.STR), ["null", '"null"', '""'], ["x"]),
    (t.OptionalType(t.BOOL), ["null", "true"], [""]),
    (t.ListType(t.INT, 1, 2), ["[0]", "[-1,22]"], ["[]", "[1,2,3]", "[1, 2]"]),
    (t.ListType(t.INT, 0, 0), ["[]"], ["[1]"]),
    (ITEM, ['{"title":"a","score":null}'], ['{"score":null,"title":"a"}', '{"title":"a"}', "{}"]),
    (t.IntType(0, 255), ["0", "9", "10", "255"], ["-1", "00", "256", "1e2"]),
    (t.FloatType(0, 1), ["0", "1", "0.5", "0.000000000000001", "1.0"], ["1.1", "-0", "1e-3", ".5"]),
    (t.JSON, ['{"a":[1,{"b":null}]}', "-1.5e3", '"x"'], ["{", "[1,]", "tru"]),
]


@pytest.mark.parametrize(("type", "accepted", "refused"), ACCEPTED, ids=str)
def test_texts_written_by_hand(type: t.Type, accepted, refused, follows) -> None:
    closing = Closing(type_rules(type))
    assert [follows(closing, text) for text in accepted] == [True] * len(accepted)
    assert [follows(closing, text) for text in refused] == [False] * len(refused)


def test_types_that_cannot_be_written() -> None:
    with pytest.raises(NotSupported, match="a gen cannot yield a value of type `image`"):
        type_rules(t.ListType(t.RecordType("R", (("x", t.IMAGE),))))
    with pytest.raises(ConstraintError, match="unterminated"):
        type_rules(t.StrType(pattern="("))
    with pytest.raises(NoText):
        Closing(type_rules(t.StrType(5, None, "[a-z]{2}")))
