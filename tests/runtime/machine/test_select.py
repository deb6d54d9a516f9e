"""The methods of select, against definitions written another way (exact, and all rows at once)."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from sglc.runtime.machine import select
from sglc.runtime.machine.seeds import own_seed

logprob = st.integers(-40, 0).map(lambda n: n / 8)
rows = st.lists(st.lists(logprob, min_size=1, max_size=5), min_size=1, max_size=6)


def mean(row):
    return sum(map(Fraction, row)) / len(row)


def first_best(values):
    return values.index(max(values))


def brute_greedy(table):
    """The row that is lexicographically largest once each is padded with its mean."""
    width = max(map(len, table))
    padded = [[*map(Fraction, row), *[mean(row)] * (width - len(row))] for row in table]
    return first_best(padded)


def choose(method, table, unconditional=None):
    return select.winner(method, table, select.scores(method, table, unconditional))


@given(rows)
def test_methods_equal_their_definitions(table):
    assert choose("token_length_normalized", table) == first_best([mean(row) for row in table])
    assert choose("sum_logprob", table) == first_best([sum(map(Fraction, row)) for row in table])
    # a shorter row's mean need not be a binary fraction: keep to lengths whose means are exact
    exact = [row[: 1 << (len(row).bit_length() - 1)] for row in table]
    assert choose("greedy_token_selection", exact) == brute_greedy(exact)


@given(rows, st.data())
def test_unconditional_likelihood(table, data):
    alone = [data.draw(st.lists(logprob, min_size=len(row), max_size=len(row))) for row in table]
    method = "unconditional_likelihood_normalized"
    gains = [
        mean([Fraction(a) - Fraction(b) for a, b in zip(row, plain, strict=True)])
        for row, plain in zip(table, alone, strict=True)
    ]
    assert choose(method, table, alone) == first_best(gains)
    assert select.needs_unconditional(method)


def test_the_methods_disagree_where_they_should():
    table = [[-1.0], [-0.9, -0.2, -0.2], [-0.5, -3.0]]
    assert choose("sum_logprob", table) == 0
    assert choose("token_length_normalized", table) == 1
    assert choose("greedy_token_selection", table) == 2


def test_a_choice_that_begins_another():
    """`A` and `A b` share a first token; each method has its own rule for the shorter one."""
    table = [[-1.0], [-1.0, -0.5]]
    assert choose("sum_logprob", table) == 0
    assert choose("token_length_normalized", table) == 1
    assert choose("greedy_token_selection", table) == 1  # the shorter goes on with its mean, -1
    assert choose("greedy_token_selection", [[-1.0], [-1.0, -1.5]]) == 0


def test_ties_go_to_the_first():
    for method in select.METHODS:
        same = [[-1.0, -2.0]] * 3
        assert choose(method, same, [[-1.0, -1.0]] * 3) == 0


def test_draws_follow_the_softmax():
    scores, temperature = [-1.0, -2.0, -0.5], 0.7
    weights = [math.exp(score / temperature) for score in scores]
    n = 20_000
    counts = Counter(select.draw(scores, temperature, own_seed(0, b"", [i])) for i in range(n))
    for index, weight in enumerate(weights):
        assert abs(counts[index] / n - weight / sum(weights)) < 0.015


@given(st.lists(logprob, min_size=1, max_size=6), st.integers(0, 2**64 - 1))
def test_a_cold_draw_is_the_best(scores, seed):
    assert scores[select.draw(scores, 1e-6, seed)] == max(scores)


@given(st.lists(st.lists(st.integers(0, 2), max_size=6), min_size=1, max_size=5))
def test_common_len(sequences):
    longest = min(map(len, sequences))
    brute = max(n for n in range(longest + 1) if len({tuple(ids[:n]) for ids in sequences}) == 1)
    assert select.common_len(sequences) == brute
