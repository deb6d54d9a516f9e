"""The source of a constraint from a gen's option and its value, constant or read from a row."""

from __future__ import annotations

from sglc.codegen.automata.source import ConstraintError, ConstraintSource
from sglc.ir.host.error import HostError
from sglc.ir.host.expr import Value
from sglc.ir.host.text import json_text, parse_json, to_text


def option_source(name: str, value: Value) -> ConstraintSource:
    """`name` is regex, json_schema, ebnf or choices. A schema may be the text of one. Raises
    ConstraintError for a value that is not of the option's type; what it says is not looked at,
    but that choices are some, none empty, none twice."""
    if name == "json_schema":
        return ConstraintSource(name, text=json_text(_schema(value)))
    if name == "choices":
        return ConstraintSource(name, text=json_text(_choices(value)))
    if not isinstance(value, str):
        raise ConstraintError(f"{name} is {to_text(value)}, expected a str")
    return ConstraintSource(name, text=value)


def _schema(value: Value) -> Value:
    if not isinstance(value, str):
        return value
    try:
        return parse_json(value)
    except HostError as error:
        raise ConstraintError(f"the JSON schema is {error.message}") from None


def _choices(value: Value) -> Value:
    if not isinstance(value, list) or not all(isinstance(choice, str) for choice in value):
        raise ConstraintError(f"choices are {to_text(value)}, expected a list of str")
    if not value:
        raise ConstraintError("there is nothing to choose from")
    if "" in value:
        raise ConstraintError("a choice is empty")
    seen: set[str] = set()
    for choice in map(to_text, value):
        if choice in seen:
            raise ConstraintError(f"the choice {json_text(choice)} is there twice")
        seen.add(choice)
    return value
