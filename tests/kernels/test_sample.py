"""Draws: equal to the reference, distributed as they must be, and the same in any batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sglc.kernels.sample import draw_keys, filter_logits, penalise, sample, sample_ref

V = 23


def keys_of(count: int) -> np.ndarray:
    return draw_keys(np.arange(count, dtype=np.uint64), np.zeros(count, dtype=np.uint64))


def logits_of(rows: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, V, generator=torch.Generator().manual_seed(seed)) * 2


def probabilities(
    logits: list[float], temperature: float, top_k: int, top_p: float, min_p: float
) -> np.ndarray:
    """By the definitions, token by token, in fp64."""
    scaled = np.array(logits, dtype=np.float64) / temperature
    p = np.exp(scaled - scaled.max())
    p /= p.sum()
    if top_k:
        p[p < np.sort(p)[-top_k]] = 0
        p /= p.sum()
    if top_p < 1:
        order = np.argsort(-p)
        before = np.concatenate([[0], np.cumsum(p[order])[:-1]])
        p[order[before >= top_p]] = 0
        p /= p.sum()
    p[p < min_p * p.max()] = 0
    return p / p.sum()


def test_equals_the_reference() -> None:
    logits = logits_of(200)
    keys = keys_of(200)
    assert torch.equal(sample(logits.clone(), keys), sample_ref(logits, keys))


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p", "min_p"),
    [
        (1.0, 0, 1.0, 0.0),
        (0.6, 0, 1.0, 0.0),
        (1.0, 5, 1.0, 0.0),
        (1.0, 0, 0.7, 0.0),
        (1.0, 0, 1.0, 0.1),
        (1.5, 9, 0.8, 0.05),
    ],
)
def test_distribution(temperature, top_k, top_p, min_p) -> None:
    """Chi-square of 40,000 draws against exact probabilities, at one in ten thousand."""
    n = 40_000
    row = logits_of(1, seed=3)
    rows = (row / temperature).repeat(n, 1)
    filtered = filter_logits(
        rows, torch.full((n,), top_k), torch.full((n,), top_p), torch.full((n,), min_p)
    )
    counts = np.bincount(sample(filtered, keys_of(n)).numpy(), minlength=V)
    p = probabilities(row[0].tolist(), temperature, top_k, top_p, min_p)
    assert counts[p == 0].sum() == 0
    likely = p * n >= 5
    expected = np.append(p[likely], max(p[~likely].sum(), 0)) * n
    found = np.append(counts[likely], counts[~likely].sum())
    keep = expected > 0
    chi2 = ((found[keep] - expected[keep]) ** 2 / expected[keep]).sum()
    degrees = keep.sum() - 1
    # Wilson and Hilferty's approximation of the quantile at 0.9999
    limit = degrees * (1 - 2 / (9 * degrees) + 3.72 * (2 / (9 * degrees)) ** 0.5) ** 3
    assert chi2 < limit


def test_draws_are_the_same_in_any_batch() -> None:
    logits, keys = logits_of(64), keys_of(64)
    together = sample(logits.clone(), keys)
    for row in (0, 17, 63):
        alone = sample(logits[row : row + 1].clone(), keys[row : row + 1])
        assert alone[0] == together[row]


def test_a_nucleus_wider_than_the_candidates() -> None:
    """A flat distribution over more tokens than top-p looks at first."""
    logits = torch.randn(2, 5000, generator=torch.Generator().manual_seed(1)) * 0.01
    expected = [np.flatnonzero(probabilities(row.tolist(), 1.0, 0, 0.9, 0.0)) for row in logits]
    kept = filter_logits(
        logits.clone(), torch.zeros(2, dtype=torch.int64), torch.full((2,), 0.9), torch.zeros(2)
    )
    for row, tokens in zip(kept, expected, strict=True):
        found = set(row.isfinite().nonzero()[:, 0].tolist())
        # sums of 4,000 fp32 numbers: the edge may lie a few tokens off
        assert len(found ^ set(tokens.tolist())) <= 4


def test_filters_leave_other_rows_alone() -> None:
    logits = logits_of(3)
    kept = filter_logits(
        logits.clone(),
        torch.tensor([0, 2, 0]),
        torch.tensor([1.0, 1.0, 0.3]),
        torch.tensor([0.0, 0.0, 0.0]),
    )
    assert torch.equal(kept[0], logits[0])
    assert int(kept[1].isfinite().sum()) == 2


def test_penalties() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5, 3.0]])
    rows, tokens = torch.tensor([0, 0, 0]), torch.tensor([0, 1, 0])
    ones = torch.ones(3)
    penalise(logits, rows, tokens, ones * 2.0, ones * 0.25, ones * 0.1)
    # 2/2 - 0.1 - 2*0.25; -1*2 - 0.1 - 0.25
    assert logits[0].tolist() == pytest.approx([0.4, -2.35, 0.5, 3.0])
