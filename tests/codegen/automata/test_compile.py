"""From sources to constraints: which become tables, which grammars, and what of lead and errors."""

from __future__ import annotations

import json

import pytest

from sglc.codegen.automata.closing import Closing
from sglc.codegen.automata.compile import check_source, compile_constraint, rules_of
from sglc.codegen.automata.constraint import Grammar, TokenTable
from sglc.codegen.automata.cover import fewest_tokens
from sglc.codegen.automata.source import ConstraintError, ConstraintSource, NoText, NotSupported
from sglc.ir import types as t

FLAT = t.RecordType("Flat", (("a", t.IntType(0, 9)), ("b", t.StrType(0, 20)), ("c", t.BOOL)))
DATE = '{"type":"string","format":"date"}'
TREE = '{"type":"array","items":{"$ref":"#"}}'
TABLES = [
    ConstraintSource("type", FLAT),
    ConstraintSource("type", t.FLOAT),
    ConstraintSource("type", t.ListType(FLAT, 0, 3)),
    ConstraintSource("type", t.StrType(0, 10), in_record=True, follow='"}'),
    ConstraintSource("type", t.LiteralType(("a", "bc")), in_record=True, lead='"'),
    ConstraintSource("regex", text="[a-c]{2}|x"),
    ConstraintSource("choices", text='["yes","no"]'),
    ConstraintSource("json_schema", text=DATE),
    ConstraintSource("ebnf", text="root ::= a a\na ::= [x-z]{2}"),
]
GRAMMARS = [
    ConstraintSource("type", t.JSON),
    ConstraintSource("type", t.StrType(0, 30_000)),
    ConstraintSource("json_schema", text=TREE, lead=" "),
    ConstraintSource("ebnf", text='root ::= "(" root ")" | "x"'),
]


@pytest.mark.parametrize("source", TABLES, ids=str)
def test_what_is_regular_is_a_table(source: ConstraintSource, word_vocabulary) -> None:
    found = compile_constraint(source, word_vocabulary)
    assert isinstance(found, TokenTable)
    assert found.follow == source.follow and found.num_lead == len(source.lead)
    closing = Closing(rules_of(source))
    text = source.lead.encode() + closing.completion(closing.start())
    assert found.fewest_tokens <= fewest_tokens(text, word_vocabulary)


@pytest.mark.parametrize("source", GRAMMARS, ids=str)
def test_what_is_not_is_a_grammar(source: ConstraintSource, word_vocabulary) -> None:
    found = compile_constraint(source, word_vocabulary)
    assert isinstance(found, Grammar)
    assert found.num_lead == len(source.lead)


WRONG = [
    ("regex", "(", ConstraintError, {"offset": 0}),
    ("regex", r"a\b", NotSupported, {"offset": 1}),
    ("regex", r"[^\s\S]", NoText, {}),
    ("ebnf", "root ::= b", ConstraintError, {"offset": 9}),
    ("ebnf", 'root ::= "a" root', NoText, {}),
    ("json_schema", '{\n "type": }', ConstraintError, {"offset": 11}),
    ("json_schema", '{"not":{}}', NotSupported, {"pointer": "/not"}),
    ("json_schema", "false", NoText, {"pointer": ""}),
    ("choices", "[]", ConstraintError, {}),
    ("choices", '["a",1]', ConstraintError, {}),
]


@pytest.mark.parametrize(("kind", "text", "error", "place"), WRONG, ids=str)
def test_errors_are_the_same_without_a_vocabulary(
    kind: str, text: str, error: type[ConstraintError], place, word_vocabulary
) -> None:
    source = ConstraintSource(kind, text=text)
    for call in (check_source, lambda source: compile_constraint(source, word_vocabulary)):
        with pytest.raises(ConstraintError) as caught:
            call(source)
        assert type(caught.value) is error
        assert (caught.value.offset, caught.value.pointer) == (
            place.get("offset"),
            place.get("pointer"),
        )


def test_nesting_is_bounded(word_vocabulary) -> None:
    text = '{"items":' * 900 + "{}" + "}" * 900
    source = ConstraintSource("json_schema", text=text)
    for call in (check_source, lambda source: compile_constraint(source, word_vocabulary)):
        with pytest.raises(NotSupported, match="nested too deeply"):
            call(source)


def test_schemas_that_multiply_are_written_once(word_vocabulary) -> None:
    """Each level refers to the next one twice, and says so by allOf and anyOf too."""
    defs = {
        f"d{i}": {
            "type": "object",
            "properties": {name: {"$ref": f"#/$defs/d{i + 1}"} for name in "ab"},
            "allOf": [{"properties": {"a": {"type": ["object", "null"]}}}],
            "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
        }
        for i in range(9)
    }
    schema = {"$ref": "#/$defs/d0", "$defs": {**defs, "d9": {"type": "null"}}}
    found = compile_constraint(
        ConstraintSource("json_schema", text=json.dumps(schema)), word_vocabulary
    )
    assert isinstance(found, Grammar) and len(found.ebnf) < 20_000


def test_choices_are_written_as_they_are(follows) -> None:
    choices = ['a "b"', "a", "é\n"]
    closing = Closing(rules_of(ConstraintSource("choices", text=json.dumps(choices))))
    assert all(follows(closing, choice) for choice in choices)
    assert not follows(closing, '"a"')
