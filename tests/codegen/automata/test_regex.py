"""What `parse_regex` accepts is what `re.fullmatch` accepts, over random patterns and texts."""

from __future__ import annotations

import random
import re
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sglc.codegen.automata.dfa import byte_dfa
from sglc.codegen.automata.regex import parse_regex
from sglc.codegen.automata.source import ConstraintError

LETTERS = "abAé1\u0663 _-.\n\u017fsKk\u212aßİi😀\x85"
TEXTS = st.text(alphabet=LETTERS, max_size=6)

ATOMS = st.one_of(
    st.sampled_from(LETTERS).map(re.escape),
    st.sampled_from(
        [
            *(".", r"\d", r"\w", r"\s", r"\D", r"\W", r"\S", r"\x41", r"\u00e9", r"\n", r"\."),
            *("[a-c]", "[^a]", "[^a-zé]", r"[\w-]", r"[^\w\s]", r"[^\W\d_]", "[é-😀]", "[]a]"),
            *("[\u212a]", "[^k]", "[A-Z]", r"[\d.]", "[^😀]", "(?s:.)", "(?i:[a-s])", "(?a:\\w)"),
        ]
    ),
)
COUNTS = st.sampled_from(
    ["*", "+", "?", "{2}", "{0}", "{1,2}", "{,2}", "{2,}", "*?", "+?", "??", "{1,3}?"]
)


def larger(patterns):
    return st.one_of(
        st.tuples(patterns, COUNTS).map(lambda both: f"(?:{both[0]}){both[1]}"),
        st.lists(patterns, min_size=2, max_size=3).map("".join),
        st.lists(patterns, min_size=2, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        patterns.map(lambda part: f"(?i:{part})"),
        patterns.map(lambda part: f"(?s-i:{part})"),
    )


BODIES = st.recursive(ATOMS, larger, max_leaves=6)
PATTERNS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "(?i)", "(?s)", "(?a)", "(?ai)", "(?x) "]),
        st.sampled_from(["", "^", r"\A"]),
        BODIES,
        st.sampled_from(["", "$", r"\Z"]),
    ),
)


@settings(max_examples=80, deadline=None)
@given(PATTERNS, st.lists(TEXTS, min_size=5, max_size=20), st.integers(0, 2**32))
def test_the_same_texts_as_fullmatch(accepts, draw, pattern, texts, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = re.compile(pattern)
    try:
        dfa = byte_dfa(parse_regex(pattern))
    except ConstraintError as error:
        assert error.message == "no text satisfies this constraint"
        assert not any(compiled.fullmatch(text) for text in texts)
        return
    for text in texts:
        assert accepts(dfa, text) == bool(compiled.fullmatch(text)), text
    rng = random.Random(seed)
    for _ in range(5):
        text = draw(dfa, rng)
        assert compiled.fullmatch(text), text
        # one character changed, added or dropped: near the border of the language
        place = rng.randrange(len(text) + 1)
        near = text[:place] + rng.choice(LETTERS) + text[place + rng.randrange(2) :]
        assert accepts(dfa, near) == bool(compiled.fullmatch(near)), near


@pytest.mark.parametrize("pattern", [r"\d", r"\w", r"\s", r"\W", r"(?i)[a-zß]", r"(?i)[^k]", "."])
def test_every_kind_of_character(accepts, pattern):
    dfa = byte_dfa(parse_regex(pattern))
    compiled = re.compile(pattern)
    rng = random.Random(pattern)
    points = [*range(0x600), *(rng.randrange(0x600, 0x110000) for _ in range(3000))]
    for point in points:
        if not 0xD800 <= point < 0xE000:
            assert accepts(dfa, chr(point)) == bool(compiled.fullmatch(chr(point))), hex(point)


@pytest.mark.parametrize(
    ("pattern", "message", "offset"),
    [
        ("a(b", "missing ), unterminated subpattern", 1),
        ("a[b", "unterminated character set", 1),
        ("ab*c**", "multiple repeat", 5),
        ("a{3,2}", "min repeat greater than max repeat", 2),
        (r"a\q", r"bad escape \q", 1),
        ("[z-a]", "bad character range z-a", 1),
        ("a{99999999999}", "the repetition number is too large", None),
    ],
)
def test_invalid(pattern, message, offset):
    with pytest.raises(ConstraintError) as caught:
        parse_regex(pattern)
    assert (caught.value.message, caught.value.offset) == (message, offset)


@pytest.mark.parametrize(
    ("pattern", "what", "offset"),
    [
        (r"[(?=]a(?=b)c", "a look ahead or behind", 6),
        ("a(?!b)", "a look ahead or behind", 1),
        (r"\(?(?<!b)c", "a look ahead or behind", 3),
        (r"(a)\[\1", "a reference to a group", 5),
        ("(?P<n>a)(?P=n)", "a reference to a group", 8),
        ("(a)?(?(1)b|c)", "a condition on a group", 4),
        ("a(?>b|bc)d", "an atomic group", 1),
        ("[*+]a*+b", "a possessive repeat", 5),
        (r"foo\b bar", "a word boundary", 3),
        ("a^b", "an anchor of the start in its middle", 1),
        ("a$b", "an anchor of the end in its middle", 1),
        ("(?:^a)*", "an anchor of the start in its middle", 3),
        (r"a(b|$\n)", "an anchor of the end in its middle", 4),
        ("a$b$", "an anchor of the end in its middle", 1),
        ("a$b$c", "an anchor of the end in its middle", None),
    ],
)
def test_what_is_no_set_of_texts(pattern, what, offset):
    with pytest.raises(ConstraintError) as caught:
        parse_regex(pattern)
    assert caught.value.message == f"a regex that constrains cannot have {what}"
    assert caught.value.offset == offset


def test_deep_nesting_is_an_error():
    with pytest.raises(ConstraintError, match="nested too deeply"):
        parse_regex("(" * 3000 + "a" + ")" * 3000)


def test_surrogates_are_no_text():
    with pytest.raises(ConstraintError, match="no text"):
        byte_dfa(parse_regex("[\ud800-\udfff]"))
