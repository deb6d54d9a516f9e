"""The grammars that xgrammar gets: it accepts the texts that automata and trackers accept."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
import xgrammar

from sglc.codegen.automata.build import alt, seq
from sglc.codegen.automata.closing import Closing
from sglc.codegen.automata.dfa import byte_dfa
from sglc.codegen.automata.expr import Both, Expr, Rules, Text
from sglc.codegen.automata.gbnf import gbnf
from sglc.codegen.automata.grammar import compile_grammar, load_grammar
from sglc.codegen.automata.json_schema import schema_rules
from sglc.codegen.automata.loosen import loosened
from sglc.codegen.automata.regex import parse_regex
from sglc.codegen.automata.source import NoText
from sglc.codegen.automata.types import type_rules
from sglc.codegen.automata.vocabulary import Vocabulary
from sglc.ir import types as t

SCHEMAS = json.loads(Path(__file__).with_name("schemas.json").read_text("utf-8"))
RULES = {
    **{case["name"]: schema_rules(case["schema"]) for case in SCHEMAS},
    "str": type_rules(t.StrType(1, 3)),
    "long str": type_rules(t.StrType(0, 3000), in_record=True),
    "str of a pattern": type_rules(t.StrType(2, 6, '([a-c]"?)*|é+')),
    "float": type_rules(t.FloatType(-1.5, 20)),
    "json": type_rules(t.JSON),
    "escapes": Rules(Text('a"\\\n\0\x7fé\u2028😀-]^[')),
    "classes": Rules(parse_regex(r"[-\]^\\\[\"'\x00-\x08]{1,4}|[^\x00-\x7f]|\W\s?")),
    "flags": Rules(parse_regex(r"(?i)straße|\d{2,3}?(?:x|y)*")),
    "empty": Rules(Text("")),
    "nothing in part": Rules(alt("a", seq("b", Both((Text("c"), Text("d")))))),
}


@pytest.fixture(scope="module")
def byte_vocabulary() -> Vocabulary:
    tokens = [bytes([byte]) for byte in range(256)]
    return Vocabulary([*tokens, b""], lambda text: list(text.encode()), frozenset({256}))


def accepted(compiled: xgrammar.CompiledGrammar, text: str) -> bool:
    matcher = xgrammar.GrammarMatcher(compiled)
    return all(map(matcher.accept_token, text.encode())) and matcher.is_completed()


@pytest.mark.parametrize("name", RULES)
def test_xgrammar_accepts_the_same(name: str, byte_vocabulary, wander, follows) -> None:
    """Where large counts are left out it accepts more."""
    rules, rng = RULES[name], random.Random(name)
    closing = Closing(rules)
    grammar = compile_grammar(rules, byte_vocabulary)
    compiled, note = load_grammar(grammar, byte_vocabulary)
    assert note is None
    assert grammar.fewest_tokens == closing.distance(closing.start())
    texts = [wander(closing, rng, 25) for _ in range(8)]
    assert all(accepted(compiled, text) for text in texts)
    texts = [changed(text, rng) for text in texts for _ in range(2)]
    if loosened(rules) == rules:
        assert [accepted(compiled, text) for text in texts] == [follows(closing, t) for t in texts]
    else:
        assert all(accepted(compiled, text) for text in texts if follows(closing, text))


ATOMS = ["a", "b", "ab", ".", "[a-c]", "[^a]", r"\d", "é", r"\n", "[à-ü😀]", '"', r"\\", "-"]
FORMS = ["{}*", "{}+", "{}?", "{}{{2}}", "{}{{1,3}}", "{}{{0,2}}?"]


def random_regex(rng: random.Random, depth: int) -> str:
    if depth == 0 or rng.random() < 0.2:
        return rng.choice(ATOMS)
    parts = [random_regex(rng, depth - 1) for _ in range(rng.randint(1, 3))]
    form = rng.choice(["(?:{})", "(?:{})", *FORMS])
    inner = rng.choice(["", "|"]).join(parts)
    return form.format(f"(?:{inner})")


@pytest.mark.parametrize("seed", range(30))
def test_random_regexes(seed: int, byte_vocabulary, wander, accepts) -> None:
    """What xgrammar, the automaton and `re` take for a match is the same."""
    rng = random.Random(seed)
    pattern = random_regex(rng, 2)
    rules = Rules(parse_regex(pattern))
    closing = Closing(rules)
    compiled, _ = load_grammar(compile_grammar(rules, byte_vocabulary), byte_vocabulary)
    texts = [wander(closing, rng, 15) for _ in range(6)]
    assert all(re.fullmatch(pattern, text) for text in texts)
    texts += [changed(text, rng) for text in texts]
    expected = [re.fullmatch(pattern, text) is not None for text in texts]
    assert [accepted(compiled, text) for text in texts] == expected
    assert [accepts(byte_dfa(rules), text) for text in texts] == expected


def changed(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(["", *'0a",}] {[\\é']) + text[at + rng.randrange(2) :]


def test_what_is_stored_is_not_trusted(byte_vocabulary) -> None:
    grammar = compile_grammar(type_rules(t.BOOL), byte_vocabulary)
    other = replace(grammar, version="0.0.1")
    cases = {
        "it was compiled with xgrammar 0.0.1, this is": other,
        "the stored form is not valid": replace(grammar, serialized=grammar.serialized[:50]),
        "Wrong version": replace(grammar, serialized=grammar.serialized.replace('"v', '"w')),
    }
    for reason, stored in cases.items():
        compiled, note = load_grammar(stored, byte_vocabulary)
        assert note is not None and "compiled again" in note and reason in note
        assert accepted(compiled, "true") and not accepted(compiled, "tru")


def test_what_was_stored_for_another_vocabulary_is_not_used(byte_vocabulary) -> None:
    grammar = compile_grammar(type_rules(t.BOOL), byte_vocabulary)
    larger = Vocabulary(
        [*byte_vocabulary.tokens, b"true"], byte_vocabulary.encode, byte_vocabulary.eos_ids
    )
    compiled, note = load_grammar(grammar, larger)
    assert note is not None and "compiled again" in note
    assert xgrammar.GrammarMatcher(compiled).accept_token(257)


def test_no_text_is_no_grammar() -> None:
    nothing: Expr = Both((Text("a"), Text("b")))
    with pytest.raises(NoText):
        gbnf(Rules(nothing))
