"""What is left out of the rules that xgrammar gets, and that nothing else is."""

from __future__ import annotations

import pytest

from sglc.codegen.automata.expr import Rules
from sglc.codegen.automata.limits import TooLarge
from sglc.codegen.automata.loosen import loosened
from sglc.codegen.automata.regex import parse_regex
from sglc.codegen.automata.size import check_size
from sglc.codegen.automata.types import type_rules
from sglc.ir import types as t

COUNTS = [
    ("[a-z]{0,9}", "[a-z]*"),
    ("[a-z]{9,}[xyz]{3,40}", "[a-z]+[xyz]{3,40}"),  # a narrow class keeps its count
    ("[a-z]{2,8}", "[a-z]{2,8}"),
    ("[0-9]{0,17}", "[0-9]{0,17}"),
    ("(?:a.{20}){30}", "(?:a.+)+"),
    ("(?:ab|c.{0,20}){0,3}", "(?:ab|c.*){0,3}"),
]


@pytest.mark.parametrize(("pattern", "loose"), COUNTS)
def test_large_counts_are_left_out(pattern: str, loose: str) -> None:
    assert loosened(Rules(parse_regex(pattern))) == Rules(parse_regex(loose))


def test_within_rules_too() -> None:
    rules = type_rules(t.OptionalType(t.JSON))
    inner = parse_regex("[^a]{3,30}")
    found = loosened(Rules(rules.root, (*rules.rules, ("more", inner))))
    assert dict(found.rules)["more"] == parse_regex("[^a]+")
    assert found.root == rules.root


TOO_LARGE = [
    type_rules(t.StrType(0, 5_000)),
    type_rules(t.StrType(4_900, None), in_record=True),
    type_rules(t.ListType(t.StrType(0, 500), 0, 10)),
    type_rules(t.JSON),
    Rules(parse_regex("(?:[a-c]x.{100}){40}")),
]
SMALL = [
    type_rules(t.StrType(0, 3_000)),
    type_rules(t.ListType(t.StrType(0, 300), 0, 10)),
    Rules(parse_regex("|".join(f"{n}{'x' * 50}" for n in range(2_000)))),
    Rules(parse_regex("[a-z]{20000}|(?:a*b){30}")),
]


@pytest.mark.parametrize("rules", TOO_LARGE, ids=range(len(TOO_LARGE)))
def test_what_is_far_too_large_is_told_before_it_is_built(rules: Rules) -> None:
    with pytest.raises(TooLarge):
        check_size(rules)


@pytest.mark.parametrize("rules", SMALL, ids=range(len(SMALL)))
def test_what_may_fit_is_tried(rules: Rules) -> None:
    check_size(rules)
