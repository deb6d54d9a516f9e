"""Settled ids and leads against encoding every text that may follow."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.codegen.automata.constraint import ByteDfa
from sglc.codegen.automata.dfa import byte_dfa
from sglc.codegen.automata.merging import lead_of, settled_ids
from sglc.codegen.automata.regex import parse_regex
from sglc.codegen.automata.steps import steps_of
from sglc.codegen.automata.vocabulary import Vocabulary

JSON_CHARACTER = r'(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-f]{4})'
PUNCTUATION = ['{"name":"', '{"age":', '["', "don'", "\n"]
WORDS = ["the w", "color", "a ", "a  ", "é", "日", "ab", "12"]
ENDS = [*PUNCTUATION, *WORDS]
VALUES = ["Ann", "", "t", "re ", "eather", "-1", "(x", "\\n", "\u0301", "本", " b", "\n\n", "34"]


def dfa_of(choices: list[str]) -> ByteDfa:
    return byte_dfa(parse_regex("|".join(map(re.escape, choices))))


def num_common(first: list[int], second: list[int]) -> int:
    num = 0
    while num < min(len(first), len(second)) and first[num] == second[num]:
        num += 1
    return num


def settled_by_trying(text: str, values: list[str], vocabulary: Vocabulary) -> int:
    ids = vocabulary.encode(text)
    return min(num_common(ids, vocabulary.encode(text + value)) for value in values)


def lead_by_trying(text: str, values: list[str], vocabulary: Vocabulary) -> bytes:
    """The longest run of last tokens that some value has one longer token for."""
    ids = vocabulary.encode(text)
    lead = b""
    for value in values:
        joined = vocabulary.encode(text + value)
        place = num_common(ids, joined)
        suffix = b"".join(vocabulary.tokens[id] for id in ids[place:])
        if place < len(ids) and vocabulary.tokens[joined[place]].startswith(suffix):
            lead = max(lead, suffix, key=len)
    return lead


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from(ENDS), min_size=1, max_size=3).map("".join),
    st.lists(st.sampled_from(VALUES), min_size=1, max_size=3),
    st.sampled_from(["", '","b":1', "}", "ther"]),
)
def test_against_every_text(bpe_vocabulary, text, values, follow):
    dfa = dfa_of(values)
    whole = [value + follow for value in values]
    settled = settled_ids(text, 0, steps_of(dfa, follow.encode()), bpe_vocabulary)
    assert settled == bpe_vocabulary.encode(text)[: len(settled)]
    assert len(settled) <= settled_by_trying(text, whole, bpe_vocabulary)
    lead = lead_of(text, dfa, bpe_vocabulary, follow=follow)
    assert lead.encode().endswith(lead_by_trying(text, whole, bpe_vocabulary))


def test_no_more_is_given_up_than_needed(bpe_vocabulary):
    """Over all pairs of an end and a value: where one value follows, the trials are exact but for
    a few (the value's first character alone may join where the whole value does not)."""
    pairs = [(text, value) for text in ENDS for value in VALUES]
    exact = 0
    for text, value in pairs:
        settled = settled_ids(text, 0, steps_of(dfa_of([value]), b""), bpe_vocabulary)
        exact += len(settled) == settled_by_trying(text, [value], bpe_vocabulary)
    assert exact >= 0.97 * len(pairs)


def test_a_tokenizer_that_rewrites_settles_nothing():
    vocabulary = Vocabulary([b"a", b"b"], lambda text: [0] * len(text))
    assert settled_ids("ab", 0, steps_of(dfa_of(["b"]), b""), vocabulary) == []


@pytest.mark.weights
@pytest.mark.parametrize(
    ("text", "value", "follow", "lead", "settled"),
    [
        # letters and digits never join punctuation; a backslash moves the quote over to it
        ('{"name":"', "[A-Za-z0-9 ]+", '","age":', "", ['{"', "name", '":"']),
        ('{"name":"', JSON_CHARACTER + "{0,24}", '","age":', "", ['{"', "name"]),
        ('{"age":', "-?[0-9]{1,3}", "}", "", ['{"', "age", '":']),
        ('{"tags":[', r'(?:"[a-z]+"(?:,"[a-z]+")*)?\]', "}", "[", ['{"', "tags", '":']),
        ('{"a":', '"[a-z]*"', "}", '":', ['{"', "a"]),
        ('{"a":', "true|false|null", ",", "", ['{"', "a", '":']),
        ("Answer: ", "yes|no", "", " ", ["Answer", ":"]),
        ("It is", "n't| not", "", " is", ["It"]),
        ("naïve", "té| x", "", "", ["na"]),
    ],
)
def test_the_embedded_tokenizer(embedded_vocabulary, text, value, follow, lead, settled):
    dfa = byte_dfa(parse_regex(value))
    assert lead_of(text, dfa, embedded_vocabulary, follow=follow) == lead
    ids = settled_ids(text, 0, steps_of(dfa, follow.encode()), embedded_vocabulary)
    assert [embedded_vocabulary.tokens[id].decode() for id in ids] == settled


@pytest.mark.weights
@pytest.mark.parametrize(
    "value", [JSON_CHARACTER + "{0,9}", "[^a]{0,4}", r"-?\d+(?:\.\d+)?", r"\W+"]
)
def test_drawn_values_after_the_embedded_tokenizers_text(embedded_vocabulary, draw, value):
    dfa = byte_dfa(parse_regex(value))
    follow = '","b":"'
    rng = random.Random(value)
    values = [draw(dfa, rng) for _ in range(150)]
    for text in ENDS:
        settled = settled_ids(text, 0, steps_of(dfa, follow.encode()), embedded_vocabulary)
        for drawn in values:
            ids = embedded_vocabulary.encode(text + drawn + follow)
            assert ids[: len(settled)] == settled, (text, drawn)
