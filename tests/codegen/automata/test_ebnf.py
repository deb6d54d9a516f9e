"""XGrammar's GBNF: what is accepted is what xgrammar accepts; errors have their place."""

from __future__ import annotations

import random
from functools import cache

import pytest
import xgrammar

from sglc.codegen.automata.closing import Closing
from sglc.codegen.automata.ebnf import parse_ebnf
from sglc.codegen.automata.gbnf import gbnf
from sglc.codegen.automata.source import ConstraintError, NoText, NotSupported

GRAMMARS = [
    r'root ::= "yes" | "no"',
    r'root ::= [0-9]{1,3} ("." [0-9]+)?',
    r'root ::= "a"{2} "b"{1,} "c"{0,2} "d"*',
    'root ::= item (sep item)*\nitem ::= [a-z]+\nsep ::= "," " "?',
    'root ::=\n  # a comment\n  "x"\n  | "y" # another\n  | z\nz ::= "z"',
    r'root ::= [^a-y\n"]{1,3} "\t\"\\\x41\u00e9\U0001f600"',
    r"root ::= [-a] [a-] [\-\]\^\\] [\[^]",
    'root ::= () | ("a" ("b" | "c"))',
    'root ::= "(" root ")" | "x"',
    'root ::= value\nvalue ::= "[" (value ("," value)*)? "]" | [0-9]',
    'root ::= left right\nleft ::= "a" left | ""\nright ::= "" | b-s\nb-s ::= "b" right',
    'root ::= "é日😀" [à-ü] [ぁ-ん]{0,2} [😀-😂]?',
    r'root ::= "\x1f600z\x4a" [\x00-\x1f]',
    'root ::= ("a" | "ab") ("c" | "bc")',
    'root ::= expr\nexpr ::= term ("+" expr)?\nterm ::= [0-9] | "(" expr ")"',
]


@cache
def matcher_of(grammar: str) -> xgrammar.CompiledGrammar:
    tokens = [bytes([byte]) for byte in range(256)]
    info = xgrammar.TokenizerInfo([*tokens, b""], vocab_size=257, stop_token_ids=[256])
    return xgrammar.GrammarCompiler(info).compile_grammar(grammar)


def xgrammar_accepts(grammar: str, text: str) -> bool:
    matcher = xgrammar.GrammarMatcher(matcher_of(grammar), terminate_without_stop_token=False)
    return all(map(matcher.accept_token, text.encode())) and matcher.is_completed()


@pytest.mark.parametrize("grammar", GRAMMARS, ids=str)
def test_xgrammar_accepts_the_same(grammar: str, wander, follows) -> None:
    """The author's text, our text of the rules, and the tracker: three languages that are one."""
    rules = parse_ebnf(grammar)
    closing, rng, ours = Closing(rules), random.Random(grammar), gbnf(rules)
    texts = [wander(closing, rng, 15) for _ in range(30)]
    assert all(xgrammar_accepts(grammar, text) for text in texts)
    texts += [changed(text, rng) for text in texts for _ in range(2)]
    expected = [xgrammar_accepts(grammar, text) for text in texts]
    assert [follows(closing, text) for text in texts] == expected
    assert [xgrammar_accepts(ours, text) for text in texts] == expected


def changed(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(["", *'0abxz(),[]."é']) + text[at + rng.randrange(2) :]


WRONG = [
    ("", "a grammar starts from the rule `root`, which this one lacks", None),
    ('start ::= "a"', "a grammar starts from the rule `root`, which this one lacks", None),
    ("root ::= a", "there is no rule `a`", 9),
    ('root ::= "a', "this string is not closed on its line", 9),
    ("root ::= [a-z", "this class of characters is not closed on its line", 9),
    ("root ::= 'a'", "a string stands in double quotes", 9),
    ('root ::= "a" & "b"', "`&` means nothing here", 13),
    ('root ::= "a"{,3}', "a count is `{n}`, `{n,}` or `{n,m}`", 12),
    ('root ::= "a"{3,1}', "a count whose end is below its start", 12),
    ("root ::= [z-a]", "a range whose end is below its start", 10),
    (r'root ::= "\q"', r"there is no escape `\q`", 10),
    (r"root ::= [\d]", r"there is no escape `\d`", 10),
    (r'root ::= "a\ud800"', "this is no character", 11),
    ('root ::= "a"\nroot ::= "b"', "the rule `root` is there twice", 13),
    ('root ::= ("a"', "this `(` is not closed", 9),
    ('root ::= "a")', "this `)` closes nothing", 12),
    ('root ::= "a" |', 'something is missing here; `""` is the empty text', 14),
    ('root ::=\nb ::= "b"', 'something is missing here; `""` is the empty text', 9),
    ('root "a"', "`::=` is missing", 5),
    ('"a" ::= "b"', "a rule `name ::= ...` is missing", 0),
]


@pytest.mark.parametrize(("grammar", "message", "offset"), WRONG, ids=str)
def test_errors_have_a_place(grammar: str, message: str, offset: int | None) -> None:
    with pytest.raises(ConstraintError) as caught:
        parse_ebnf(grammar)
    assert (caught.value.message, caught.value.offset) == (message, offset)
    assert type(caught.value) is ConstraintError


UNSUPPORTED = [
    ('root ::= "a" (="b") "c"', "looking ahead is not supported", 13),
    ('root ::= TagDispatch(("a", root))', "macros are not supported", 9),
    ('root ::= root "a" | "b"', "the text of the rule `root` may begin with the rule itself", 0),
    (
        'root ::= a\na ::= b* root "x"\nb ::= ""',
        "the text of the rule `root` may begin with the rule itself",
        0,
    ),
    ('root ::= "a"{0,1000000}', "a count over 100,000", 12),
]


@pytest.mark.parametrize(("grammar", "message", "offset"), UNSUPPORTED, ids=str)
def test_what_is_not_supported(grammar: str, message: str, offset: int) -> None:
    with pytest.raises(NotSupported) as caught:
        parse_ebnf(grammar)
    assert (caught.value.message, caught.value.offset) == (message, offset)


def test_a_grammar_without_an_end() -> None:
    rules = parse_ebnf('root ::= "a" root')
    with pytest.raises(NoText):
        Closing(rules)
    with pytest.raises(NoText):
        gbnf(rules)


def test_a_rule_without_an_end_is_left_out(follows) -> None:
    rules = parse_ebnf('root ::= "a" | "b" loop\nloop ::= "c" loop')
    assert gbnf(rules) == 'root ::= r0\nr0 ::= "a"\n'
    closing = Closing(rules)
    assert follows(closing, "a") and closing.advance(closing.start(), b"b") is None
