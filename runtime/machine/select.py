"""Which choice a `select` takes (rule 4 of the language), from the log-probabilities of its tokens.

All choices are scored from one position: the end of the tokens that the stretch alone and every
stretch+choice share. `rows[i][j]` is log p of choice i's j-th token after that position.
Law: pure functions of lists of numbers; ties go to the first choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sglc.runtime.machine.seeds import uniform

METHODS = (
    "token_length_normalized",
    "greedy_token_selection",
    "unconditional_likelihood_normalized",
    "sum_logprob",
)
MAX_CHOICES = 4096

Rows = Sequence[Sequence[float]]


def common_len(sequences: Sequence[list[int]]) -> int:
    """How many leading tokens all sequences share: that of the first and last in sorted order."""
    low, high = min(sequences), max(sequences)
    count = 0
    for a, b in zip(low, high, strict=False):
        if a != b:
            break
        count += 1
    return count


def needs_unconditional(method: str) -> bool:
    """Whether the method also scores the choices with nothing before them."""
    return method == "unconditional_likelihood_normalized"


def scores(method: str, rows: Rows, unconditional: Rows | None = None) -> list[float]:
    """One number a choice, higher is better.

    token_length_normalized and greedy_token_selection: the mean; sum_logprob: the sum;
    unconditional_likelihood_normalized: the mean of log p(token) - log p(token with nothing before
    the choice).
    """
    if method == "sum_logprob":
        return [math.fsum(row) for row in rows]
    if not needs_unconditional(method):
        return [_mean(row) for row in rows]
    assert unconditional is not None, "the method needs unconditional log-probabilities"
    return [
        _mean([given - alone for given, alone in zip(row, plain, strict=True)])
        for row, plain in zip(rows, unconditional, strict=True)
    ]


def winner(method: str, rows: Rows, scored: Sequence[float]) -> int:
    """The index of the best choice; `scored` are the method's `scores`."""
    if method == "greedy_token_selection":
        return _greedy(rows)
    return max(range(len(scored)), key=scored.__getitem__)


def draw(scored: Sequence[float], temperature: float, seed: int) -> int:
    """An index drawn from softmax(scores / temperature): the inverse of the cumulative sum at the
    seed's uniform number."""
    best = max(scored)
    weights = [math.exp((score - best) / temperature) for score in scored]
    target = uniform(seed) * math.fsum(weights)
    for index, weight in enumerate(weights):
        target -= weight
        if target < 0:
            return index
    return max(range(len(weights)), key=weights.__getitem__)  # rounding: all of the sum is used up


def _greedy(rows: Rows) -> int:
    """SGLang's greedy_token_selection: column by column only the best stay; a choice that has ended
    goes on with its own mean."""
    left = list(range(len(rows)))
    for column in range(max(map(len, rows))):
        at = {i: rows[i][column] if column < len(rows[i]) else _mean(rows[i]) for i in left}
        best = max(at.values())
        left = [i for i in left if at[i] == best]
        if len(left) == 1:
            break
    return left[0]


def _mean(row: Sequence[float]) -> float:
    return math.fsum(row) / len(row)
