"""The masks of tables equal those of xgrammar's matcher at every step of random walks."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import pytest
import xgrammar

from sglc.codegen.automata.dfa import byte_dfa
from sglc.codegen.automata.expr import Expr, Rules
from sglc.codegen.automata.gbnf import gbnf
from sglc.codegen.automata.regex import parse_regex
from sglc.codegen.automata.table import token_table
from sglc.codegen.automata.vocabulary import Vocabulary

PATTERNS = [
    "[a-z]{1,5}",
    "(?:ab|abb|b)*c",
    "-?(?:0|[1-9][0-9]{0,3})(?:\\.[0-9]{1,2})?",
    "[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "[a-z0-9._%+-]+@[a-z0-9-]+(?:\\.[a-z]{2,})+",
    "true|false|null|the weather",
    '\\{"name":"[^"\\\\]{0,12}","age":[0-9]{1,3}\\}',
    '\\["[a-zéà]*"(?:,"[a-zéà]*"){0,3}\\]',
    "[^a-z]{2,6}",
    "日本?|[😀-😆]{1,3}",
    "(?:a|b(?:c|d(?:e|f)+)*){2,4}",
    "colou?r|été|naïve",
]


def check(pattern: str, vocabulary: Vocabulary, num_walks: int) -> int:
    """Steps compared."""
    compiled = _compiler(vocabulary).compile_regex(pattern)
    return compare(parse_regex(pattern), compiled, vocabulary, num_walks, random.Random(pattern))


@cache
def _compiler(vocabulary: Vocabulary) -> xgrammar.GrammarCompiler:
    info = xgrammar.TokenizerInfo(
        list(vocabulary.tokens),
        xgrammar.VocabType.RAW,
        stop_token_ids=[min(vocabulary.eos_ids)],
    )
    return xgrammar.GrammarCompiler(info, max_threads=1)


def compare(
    expr: Expr,
    compiled: xgrammar.CompiledGrammar,
    vocabulary: Vocabulary,
    num_walks: int,
    rng: random.Random,
) -> int:
    table = token_table(byte_dfa(expr), vocabulary)
    end = min(vocabulary.eos_ids)
    bitmask = xgrammar.allocate_token_bitmask(1, vocabulary.size)
    steps = 0
    for _ in range(num_walks):
        matcher, state = xgrammar.GrammarMatcher(compiled), 0
        for _ in range(25):
            bitmask.fill_(-1)
            matcher.fill_next_token_bitmask(bitmask)
            bits = np.unpackbits(bitmask.numpy().view(np.uint8), bitorder="little")
            theirs = bits[: vocabulary.size].astype(bool)
            ours = table.next[state, table.token_class] >= 0
            assert theirs[end] == table.is_final[state]
            theirs[end] = False
            assert np.array_equal(ours, theirs), np.flatnonzero(ours != theirs)[:10]
            steps += 1
            if not ours.any() or (table.is_final[state] and rng.random() < 0.2):
                break
            token = int(rng.choice(np.flatnonzero(ours)))
            assert matcher.accept_token(token)
            state = int(table.next[state, table.token_class[token]])
    return steps


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_small_vocabulary(bpe_vocabulary, pattern):
    assert check(pattern, bpe_vocabulary, num_walks=10) > 15


ATOMS = [
    "a",
    "b",
    "ab",
    " ",
    "[a-c]",
    "[^a]",
    "[0-9]",
    "é",
    "[à-ü😀]",
    '"',
    r"\\",
    "the",
    '{"name"',
]
FORMS = ["(?:{})", "(?:{})*", "(?:{})+", "(?:{})?", "(?:{}){{2}}", "(?:{}){{1,3}}"]


def random_regex(rng: random.Random, depth: int) -> str:
    if depth == 0 or rng.random() < 0.2:
        return rng.choice(ATOMS).replace("{", r"\{")
    parts = [random_regex(rng, depth - 1) for _ in range(rng.randint(2, 4))]
    return rng.choice(FORMS).format(rng.choice(["", "|"]).join(parts))


def test_a_hundred_random_constraints(word_vocabulary):
    """Written for xgrammar as the engine's grammars are, but for large counts, of which there are
    none here."""
    rng, steps = random.Random(3), 0
    patterns = list(dict.fromkeys(random_regex(rng, 2) for _ in range(160)))[:100]
    assert len(patterns) == 100
    for pattern in patterns:
        expr = parse_regex(pattern)
        compiled = _compiler(word_vocabulary).compile_grammar(gbnf(Rules(expr)))
        steps += compare(expr, compiled, word_vocabulary, 20, rng)
    assert steps > 4_000


@pytest.mark.weights
@pytest.mark.parametrize("pattern", PATTERNS[::2])
def test_the_embedded_vocabulary(embedded_vocabulary, pattern):
    assert check(pattern, embedded_vocabulary, num_walks=4) > 5
