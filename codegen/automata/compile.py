"""From a source to a constraint: a table where the language is regular and small enough, else a
grammar."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sglc.codegen.automata.build import alt, seq
from sglc.codegen.automata.closing import Closing
from sglc.codegen.automata.constraint import Constraint
from sglc.codegen.automata.dfa import byte_dfa
from sglc.codegen.automata.ebnf import parse_ebnf
from sglc.codegen.automata.expr import Rules, Text
from sglc.codegen.automata.grammar import compile_grammar
from sglc.codegen.automata.json_schema import schema_rules
from sglc.codegen.automata.limits import TooLarge
from sglc.codegen.automata.regex import parse_regex
from sglc.codegen.automata.rules import pruned
from sglc.codegen.automata.size import check_size
from sglc.codegen.automata.source import ConstraintError, ConstraintSource, NotSupported
from sglc.codegen.automata.table import token_table
from sglc.codegen.automata.types import type_rules
from sglc.codegen.automata.vocabulary import Vocabulary
from sglc.ir.host.error import HostError
from sglc.ir.host.expr import Value
from sglc.ir.host.text import parse_json

_PLACE = re.compile(r"at line (?P<line>\d+) column (?P<column>\d+)$")


def compile_constraint(source: ConstraintSource, vocabulary: Vocabulary) -> Constraint:
    """The source's lead and value over a model's tokens. Raises ConstraintError."""
    with _bounded_nesting():
        rules = rules_of(source)
        whole = Rules(seq(source.lead, rules.root), rules.rules)
        num_lead = len(source.lead.encode())
        with suppress(TooLarge):
            check_size(whole)
            dfa = byte_dfa(whole)
            return token_table(dfa, vocabulary, num_lead=num_lead, follow=source.follow)
        return compile_grammar(whole, vocabulary, num_lead=num_lead, follow=source.follow)


def check_source(source: ConstraintSource) -> None:
    """Raises the ConstraintError that `compile_constraint` would, without any vocabulary."""
    with _bounded_nesting():
        Closing(rules_of(source))


def rules_of(source: ConstraintSource) -> Rules:
    """The texts of the values of a source, without lead and follow. Raises ConstraintError."""
    match source.kind:
        case "type":
            assert source.type is not None
            return type_rules(source.type, source.in_record)
        case "regex":
            return Rules(parse_regex(source.text))
        case "json_schema":
            return schema_rules(_json(source.text))
        case "ebnf":
            return pruned(parse_ebnf(source.text))
        case "choices":
            return Rules(alt(*(Text(str(choice)) for choice in _choices(source.text))))
    raise AssertionError(f"no kind of constraint: {source.kind}")


@contextmanager
def _bounded_nesting() -> Iterator[None]:
    try:
        yield
    except RecursionError as error:
        raise NotSupported("it is nested too deeply") from error


def _json(text: str) -> Value:
    try:
        return parse_json(text)
    except HostError as error:
        raise ConstraintError(error.message, offset=_offset(error.message, text)) from error


def _offset(message: str, text: str) -> int | None:
    """Where JSON is wrong, as its parser says."""
    found = _PLACE.search(message)
    if found is None:
        return None
    lines = text.splitlines(keepends=True)[: int(found["line"]) - 1]
    return sum(map(len, lines)) + int(found["column"]) - 1


def _choices(text: str) -> list[Value]:
    choices = _json(text)
    if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
        raise ConstraintError("choices are a list of str")
    if not choices:
        raise ConstraintError("there is nothing to choose from")
    return choices
