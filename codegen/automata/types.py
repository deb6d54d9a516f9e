"""A type's values as they are written: rule 11 of the language.

A str that stands by itself is raw text. Everything else is compact JSON, in which a str is quoted;
a record has all its fields in their order. Each text is that of a value that conforms to the type.
"""

from __future__ import annotations

from sglc.codegen.automata.build import alt
from sglc.codegen.automata.expr import Expr, Rules, Text
from sglc.codegen.automata.json_text import (
    ANY_JSON,
    JSON_RULES,
    array,
    escaped,
    literal,
    member,
    quoted,
    record,
)
from sglc.codegen.automata.lengths import of_length, sized
from sglc.codegen.automata.numbers import float_between, int_between
from sglc.codegen.automata.regex import parse_regex
from sglc.codegen.automata.rules import pruned
from sglc.codegen.automata.source import NotSupported
from sglc.ir import types as t


def type_rules(type: t.Type, in_record: bool = False) -> Rules:
    """The texts of the type's values. `in_record`: a str as it stands between the quotes of JSON.
    Raises NotSupported of a type that cannot be written, ConstraintError of a pattern."""
    if t.is_text(type):
        text = _text(type)
        return Rules(escaped(text) if in_record else text)
    return pruned(Rules(_json(type), JSON_RULES))


def _text(type: t.Type) -> Expr:
    """The texts of a type of str, unquoted and without escapes."""
    match type:
        case t.LiteralType(values):
            return alt(*(Text(str(value)) for value in values))
        case t.StrType(low, high, None):
            return sized(low, high)
        case t.StrType(low, high, str(pattern)):
            return of_length(parse_regex(pattern), low, high)
    raise AssertionError(f"not a type of text: {type}")


def _json(type: t.Type) -> Expr:
    match type:
        case t.StrType():
            return quoted(escaped(_text(type)))
        case t.IntType(low, high):
            return int_between(low, high)
        case t.FloatType(low, high):
            return float_between(low, high)
        case t.BoolType():
            return alt("true", "false")
        case t.NullType():
            return Text("null")
        case t.JsonType():
            return ANY_JSON
        case t.LiteralType(values):
            return alt(*map(literal, values))
        case t.OptionalType(item):
            return alt("null", _json(item))
        case t.ListType(item, low, high):
            return array((), _json(item), low, high)
        case t.RecordType(_, fields):
            return record([member(name, _json(field)) for name, field in fields])
    raise NotSupported(f"a gen cannot yield a value of type `{type}`")
