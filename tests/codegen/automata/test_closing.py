"""The closing tracker against a search that knows nothing but which texts are whole."""

from __future__ import annotations

import random

import pytest

from sglc.codegen.automata.build import alt, repeat, seq
from sglc.codegen.automata.closing import Closing, State
from sglc.codegen.automata.cover import fewest_tokens
from sglc.codegen.automata.ebnf import parse_ebnf
from sglc.codegen.automata.expr import Both, Chars, Expr, Rules
from sglc.codegen.automata.json_schema import schema_rules
from sglc.codegen.automata.regex import parse_regex
from sglc.codegen.automata.types import type_rules
from sglc.codegen.automata.vocabulary import Vocabulary
from sglc.ir import types as t

LETTERS = b"ab,()[]x"
GRAMMARS = [
    'root ::= "(" root ")" | "x"',
    'root ::= "[" (root ("," root)*)? "]" | "ab"',
    'root ::= a b\na ::= "a" a | ""\nb ::= "b"{2,4} ("x" | ",,")',
    'root ::= ("a" | "ab" | "abx") ("b" | "x(")',
    'root ::= "a"{3,5} | "b" ("x"{2,} "a")+',
    'root ::= "(" [abx]{2,} inner? ")"\ninner ::= "[" root "]"',
]


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_distance_and_completion_by_search(grammar: str) -> None:
    closing, rng = Closing(parse_ebnf(grammar)), random.Random(grammar)
    for _ in range(30):
        state = closing.start()
        for _ in range(rng.randrange(8)):
            steps = [closing.advance(state, bytes([letter])) for letter in LETTERS]
            state = rng.choice([step for step in steps if step is not None] or [state])
        found = closing.completion(state)
        assert closing.distance(state) == len(found)
        if len(found) <= 5:
            assert found == shortest(closing, state)


def shortest(closing: Closing, state: State) -> bytes:
    """The first of the shortest ends, by trying all texts in order."""
    front = [(b"", state)]
    while True:
        for text, at in front:
            if at.is_whole:
                return text
        front = [
            (text + bytes([letter]), after)
            for text, at in front
            for letter in sorted(LETTERS)
            if (after := closing.advance(at, bytes([letter]))) is not None
        ]


RULES = [
    type_rules(t.JSON),
    type_rules(t.RecordType("R", (("a", t.StrType(3, None)), ("b", t.ListType(t.INT, 2))))),
    type_rules(t.StrType(0, 5000)),
    schema_rules({"type": "string", "format": "date-time"}),
    schema_rules({"type": "object", "properties": {"a": {"minLength": 2, "type": "string"}}}),
    Rules(parse_regex(r"(a|b)*abb|[^a]{3,900}\d")),
]


@pytest.mark.parametrize("rules", RULES, ids=range(len(RULES)))
def test_who_follows_a_completion_comes_nearer_with_each_byte(rules: Rules, wander) -> None:
    """The law that the engine relies on: of a completion, the rest is the completion."""
    closing, rng = Closing(rules), random.Random(0)
    for _ in range(15):
        text = wander(closing, rng, 25).encode()
        state = closing.start()
        for byte in text:
            whole = closing.completion(state)
            after = closing.advance(state, whole[:1])
            assert after is not None
            assert not whole or closing.completion(after) == whole[1:]
            state = closing.advance(state, bytes([byte]))
        assert state.is_whole


def test_a_large_count_is_no_large_automaton() -> None:
    closing = Closing(Rules(seq("[", repeat(Chars(((97, 122),)), 50_000, 90_000), "]")))
    assert closing.distance(closing.start()) == 50_002
    closing = Closing(Rules(seq("[", repeat(Chars(((97, 122),)), 500, 900), "]")))
    state = closing.advance(closing.start(), b"[" + b"q" * 600)
    assert state is not None and closing.completion(state) == b"]"
    assert closing.advance(state, b"q" * 301) is None


def test_a_small_expression_with_a_large_automaton(follows) -> None:
    closing = Closing(Rules(parse_regex("[ab]*a[ab]{15}")))
    assert closing.completion(closing.start()) == b"a" * 16
    assert follows(closing, "abba" + "b" * 15) and not follows(closing, "aab" + "b" * 15)


def test_states_are_equal_where_the_text_does_not_matter() -> None:
    closing = Closing(parse_ebnf('root ::= "[" (root ("," root)*)? "]" | [0-9]+'))
    start = closing.start()
    assert closing.advance(start, b"[1,[2") == closing.advance(start, b"[[3],[45")


def test_an_intersection(follows) -> None:
    some = Both((parse_regex("[ab]*"), parse_regex("(..)*"), parse_regex(".*b.*")))
    expr: Expr = alt(seq("<", some, ">"), seq("no", Both((parse_regex("a"), parse_regex("b")))))
    closing = Closing(Rules(expr))
    assert closing.completion(closing.start()) == b"<ab>"
    assert follows(closing, "<abba>") and not follows(closing, "<aba>")
    assert closing.advance(closing.start(), b"n") is None


def test_the_fewest_tokens_of_a_text() -> None:
    tokens = [b"a", b"b", b"ab", b"ba", b"abab", b"", b"bab"]
    vocabulary = Vocabulary(tokens, lambda text: [], frozenset())
    wanted = {b"": 0, b"a": 1, b"aba": 2, b"ababab": 2, b"babab": 2, b"abaabab": 3, b"abb": 2}
    assert {text: fewest_tokens(text, vocabulary) for text in wanted} == wanted
    with pytest.raises(ValueError, match="no tokens write"):
        fewest_tokens(b"abc", vocabulary)
