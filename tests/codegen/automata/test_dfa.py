"""Automata over bytes against a matcher that tries everything, and their promises: least, trimmed,
within bounds."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.codegen.automata import limits
from sglc.codegen.automata.char_sets import ALL
from sglc.codegen.automata.dfa import byte_dfa
from sglc.codegen.automata.expr import (
    Alt,
    Both,
    Chars,
    Expr,
    Ref,
    Repeat,
    Rules,
    Seq,
    Text,
)
from sglc.codegen.automata.limits import TooLarge
from sglc.codegen.automata.regex import parse_regex
from sglc.codegen.automata.source import ConstraintError

LETTERS = "ab\x00éẞ日\ue000😀\U0010ffff"
RULES = (
    ("pair", Seq((Text("a"), Chars(((97, 98),))))),
    ("pairs", Repeat(Ref("pair"), 0, None)),
)
LEAVES = st.one_of(
    st.sampled_from(["", *LETTERS, "ab", "bé"]).map(Text),
    st.sampled_from(
        [
            Chars(ALL),
            Chars(()),
            Chars(((0, 0x61),)),
            Chars(((0x61, 0x62), (0xE9, 0x2FFF))),
            Chars(((0x7FF, 0x800), (0xFFFF, 0x10000))),
            Ref("pair"),
            Ref("pairs"),
            Alt(()),
        ]
    ),
)


def larger(exprs):
    counts = st.tuples(st.integers(0, 2), st.sampled_from([0, 1, 2, None]))
    several = st.lists(exprs, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        several.map(Seq),
        several.map(Alt),
        several.map(Both),
        st.tuples(exprs, counts).map(
            lambda both: Repeat(both[0], both[1][0], None if both[1][1] is None else sum(both[1]))
        ),
    )


EXPRS = st.recursive(LEAVES, larger, max_leaves=6)
TEXTS = [
    "".join(letters) for size in range(4) for letters in itertools.product("abé😀", repeat=size)
]


def ends(expr: Expr, text: str, start: int) -> set[int]:
    """Where a text of `expr` that starts at `start` may end."""
    match expr:
        case Text(own):
            return {start + len(own)} if text.startswith(own, start) else set()
        case Chars(ranges):
            fits = start < len(text) and any(a <= ord(text[start]) <= b for a, b in ranges)
            return {start + 1} if fits else set()
        case Seq(parts):
            places = {start}
            for part in parts:
                places = {end for place in places for end in ends(part, text, place)}
            return places
        case Alt(options):
            return set().union(*(ends(option, text, start) for option in options))
        case Both(parts):
            return set.intersection(*(ends(part, text, start) for part in parts))
        case Repeat(item, low, high):
            found, places = set(), {start}
            for count in range(len(text) + low + 2 if high is None else high + 1):
                found |= places if count >= low else set()
                places = {end for place in places for end in ends(item, text, place)}
            return found
        case Ref(name):
            return ends(dict(RULES)[name], text, start)


@settings(max_examples=100, deadline=None)
@given(EXPRS, st.lists(st.text(alphabet=LETTERS, max_size=5), max_size=20), st.integers(0, 2**32))
def test_the_texts_of_the_expression(accepts, draw, expr, texts, seed):
    try:
        dfa = byte_dfa(Rules(expr, RULES))
    except ConstraintError:
        assert not any(len(text) in ends(expr, text, 0) for text in TEXTS)
        return
    for text in [*TEXTS, *texts]:
        assert accepts(dfa, text) == (len(text) in ends(expr, text, 0)), text
    rng = random.Random(seed)
    for text in [draw(dfa, rng) for _ in range(5)]:
        assert len(text) in ends(expr, text, 0), text


@settings(max_examples=60, deadline=None)
@given(EXPRS)
def test_least(expr):
    try:
        dfa = byte_dfa(Rules(expr, RULES))
    except ConstraintError:
        return
    next_ = dfa.next[:, dfa.classes]  # [D, 256]
    num_states = len(next_)
    if num_states > 60:
        return
    # all bytes that lead alike are of one class
    assert len(np.unique(next_, axis=1).T) == dfa.next.shape[1]
    # a text of bytes tells every two states apart: the table-filling algorithm
    padded = np.concatenate([next_, np.full((1, 256), -1)])
    is_final = np.append(dfa.is_final, False)
    apart = is_final[:, None] != is_final[None, :]
    for _ in range(num_states + 1):
        apart |= apart[padded[:, None], padded[None, :]].any(axis=2)
    assert (apart | np.eye(num_states + 1, dtype=bool)).all()  # also from "nowhere": all are alive
    # all are reached
    seen = {0}
    for _ in range(num_states):
        seen |= {int(target) for state in seen for target in next_[state] if target >= 0}
    assert seen == set(range(num_states))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 0x10FFFF), min_size=2, max_size=6, unique=True), st.data())
def test_ranges_of_code_points(accepts, edges, data):
    edges = sorted(edge for edge in edges if not 0xD800 <= edge <= 0xDFFF)
    ranges = tuple(zip(edges[::2], edges[1::2], strict=False))
    if not ranges:
        return
    dfa = byte_dfa(Chars(ranges))
    near = [edge + step for edge in edges for step in (-64, -1, 0, 1, 64)]
    borders = [0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF]
    for point in [*near, *borders, data.draw(st.integers(0, 0x10FFFF))]:
        if 0 <= point <= 0x10FFFF and not 0xD800 <= point <= 0xDFFF:
            assert accepts(dfa, chr(point)) == any(a <= point <= b for a, b in ranges)


def test_every_byte_sequence_of_two_and_three():
    """Only UTF-8 is accepted: no overlong form, no surrogate, nothing above U+10FFFF."""
    dfa = byte_dfa(Chars(ALL))
    interesting = [0, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0]
    interesting += [0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF]
    for size in (1, 2, 3, 4):
        for sequence in itertools.product(interesting, repeat=size):
            state = 0
            for byte in sequence:
                state = dfa.next[state, dfa.classes[byte]] if state >= 0 else -1
            try:
                is_character = len(bytes(sequence).decode()) == 1
            except UnicodeDecodeError:
                is_character = False
            assert (state >= 0 and bool(dfa.is_final[state])) == is_character, sequence


def test_no_text_at_all():
    with pytest.raises(ConstraintError, match="no text satisfies"):
        byte_dfa(Both((Text("a"), Text("b"))))


def test_a_rule_that_contains_itself_is_not_regular():
    rules = Rules(Ref("list"), (("list", Alt((Text("x"), Seq((Text("("), Ref("list")))))),))
    with pytest.raises(TooLarge, match="rule list contains itself"):
        byte_dfa(rules)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (".*a.{20}", "more than 20,000 states"),
        ("(?:a?){0,4000}", "too many ways"),
        ("(?:abcdefgh){0,30000}", "more than 160,000 places"),
        (r"\w{0,200}", "more than 32,000 states over bytes"),
    ],
)
def test_bounds(pattern, message):
    with pytest.raises(TooLarge, match=message):
        byte_dfa(parse_regex(pattern))


def test_long_bounded_repeats_have_a_state_each():
    dfa = byte_dfa(parse_regex(r'(?:[^"\\]|\\["n]){1,500}'))
    between_and_after_backslash, within_characters = 2 * 501 - 1, 7 * 500
    assert len(dfa.is_final) == between_and_after_backslash + within_characters
    assert len(dfa.is_final) < limits.MAX_BYTE_STATES
