"""JSON schemas: what is generated is valid by the `jsonschema` package, whose format checker is on;
what was written by hand is accepted or not, as it should be."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from sglc.codegen.automata.closing import Closing
from sglc.codegen.automata.dfa import byte_dfa
from sglc.codegen.automata.json_schema import schema_rules
from sglc.codegen.automata.limits import TooLarge
from sglc.codegen.automata.source import ConstraintError, NoText, NotSupported
from sglc.ir.host.text import json_text

CASES = json.loads(Path(__file__).with_name("schemas.json").read_text("utf-8"))
WALKS = 12


def validator(schema):
    kind = Draft202012Validator
    if isinstance(schema, dict) and "draft-07" in schema.get("$schema", ""):
        kind = Draft7Validator
    kind.check_schema(schema)
    return kind(schema, format_checker=kind.FORMAT_CHECKER)


def by_name(case) -> str:
    return case["name"]


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_what_is_generated_is_valid(case, wander) -> None:
    closing, rng = Closing(schema_rules(case["schema"])), random.Random(case["name"])
    valid = validator(case["schema"])
    for _ in range(WALKS):
        text = wander(closing, rng)
        value = json.loads(text)
        valid.validate(value)
        assert is_compact(text, value), text


def is_compact(text: str, value) -> bool:
    """The text is the one that values have: numbers with a point aside, which have several, and
    objects in which a free name came twice."""
    pairs = []
    json.loads(text, parse_float=pairs.append, object_pairs_hook=pairs.append)
    names = [[name for name, _ in one] for one in pairs if isinstance(one, list)]
    is_plain = all(isinstance(one, list) for one in pairs)
    return json_text(value) == text or not is_plain or any(len(n) > len(set(n)) for n in names)


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_values_written_by_hand(case, follows) -> None:
    closing, valid = Closing(schema_rules(case["schema"])), validator(case["schema"])
    for text in case["valid"]:
        valid.validate(json.loads(text))
        assert follows(closing, text), text
    for text in case["invalid"]:
        assert not follows(closing, text), text


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_the_automaton_is_the_tracker(case, wander, follows, accepts) -> None:
    """The same texts, where there is an automaton: those of walks, and others close to them."""
    rules = schema_rules(case["schema"])
    try:
        dfa = byte_dfa(rules)
    except TooLarge:
        pytest.skip("not regular, or too large")
    closing, rng = Closing(rules), random.Random(case["name"])
    texts = [*case["valid"], *case["invalid"], *(wander(closing, rng) for _ in range(WALKS))]
    texts += [changed(text, rng) for text in texts]
    assert [accepts(dfa, text) for text in texts] == [follows(closing, text) for text in texts]


def changed(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(["", *'0a",}] {[\\é']) + text[at + rng.randrange(2) :]


REFUSED = [
    ({"not": {}}, "/not"),
    ({"properties": {"x": {"patternProperties": {}}}}, "/properties/x/patternProperties"),
    ({"items": {"if": {}}}, "/items/if"),
    ({"$defs": {"a": {"contains": {}}}, "$ref": "#/$defs/a"}, "/$defs/a/contains"),
    ({"type": "object", "minProperties": 1}, "/minProperties"),
    ({"type": "array", "uniqueItems": True}, "/uniqueItems"),
    ({"format": "ipv4"}, "/format"),
    ({"multipleOf": 0.1}, "/multipleOf"),
    ({"type": "string", "pattern": "a(?=b)"}, "/pattern"),
    ({"type": "string", "pattern": "(^a|b)c"}, "/pattern"),
    ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, "/oneOf"),
    ({"oneOf": [{"type": "string"}, {"minimum": 3}]}, "/oneOf"),
    ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, "/oneOf"),
    ({"$ref": "other.json"}, "/$ref"),
    ({"const": {"a": 1}, "properties": {"a": {}}}, ""),
    ({"x-unknown": 1}, "/x-unknown"),
]


@pytest.mark.parametrize(("schema", "pointer"), REFUSED, ids=str)
def test_what_is_not_supported_is_named(schema, pointer: str) -> None:
    with pytest.raises(NotSupported) as caught:
        schema_rules(schema)
    assert caught.value.pointer == pointer


WRONG = [
    ({"type": "text"}, "/type"),
    ({"properties": []}, "/properties"),
    ({"properties": {"a": 3}}, "/properties/a"),
    ({"required": "a"}, "/required"),
    ({"enum": []}, "/enum"),
    ({"minLength": -1}, "/minLength"),
    ({"minimum": "3"}, "/minimum"),
    ({"exclusiveMinimum": True}, "/exclusiveMinimum"),
    ({"pattern": "("}, "/pattern"),
    ({"anyOf": {}}, "/anyOf"),
    ({"items": {"$ref": "#/$defs/a"}}, "/items/$ref"),
    ({"$ref": "#"}, ""),
    ({"allOf": [{"$ref": "#"}]}, ""),
    ([], ""),
]


@pytest.mark.parametrize(("schema", "pointer"), WRONG, ids=str)
def test_what_is_no_schema_is_named(schema, pointer: str) -> None:
    with pytest.raises(ConstraintError) as caught:
        schema_rules(schema)
    assert type(caught.value) is ConstraintError
    assert caught.value.pointer == pointer


EMPTY = [
    (False, ""),
    ({"type": "integer", "minimum": 1, "maximum": 0}, ""),
    ({"properties": {"a": {"enum": ["x"], "maxLength": 0}}, "required": ["a"]}, "/properties/a"),
    ({"allOf": [{"type": "string"}, {"type": "null"}]}, ""),
    ({"required": ["a"], "additionalProperties": False}, "/additionalProperties"),
    ({"items": False, "minItems": 1}, "/items"),
]


@pytest.mark.parametrize(("schema", "pointer"), EMPTY, ids=str)
def test_what_allows_no_value_is_named(schema, pointer: str) -> None:
    with pytest.raises(NoText) as caught:
        schema_rules(schema)
    assert caught.value.pointer == pointer


def test_an_optional_property_that_allows_nothing_is_left_out(follows) -> None:
    closing = Closing(schema_rules({"properties": {"a": False, "b": {"const": 1}}}))
    assert follows(closing, '{"b":1}') and not follows(closing, '{"a":1}')


def test_a_value_that_cannot_end() -> None:
    schema = {"properties": {"a": {"$ref": "#"}}, "required": ["a"]}
    with pytest.raises(NoText):
        Closing(schema_rules(schema))
