"""From logits to tokens: filters, then one draw a row that depends on the row's key alone.

Shapes: logits [R, V] fp32, one value of each option a row; tokens [R] int64.
A draw is Gumbel-max: the token of the highest logit + Gumbel noise is a sample of the softmax. The
noise of (row, token) is a hash of the row's key and the token's id, so it is the same in any batch.
Filters keep every token at or above a threshold; tokens that tie with the last one kept stay.
Moves:  two passes over the logits for a greedy row, about twenty for a drawn one, in cache-sized
parts.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.kernels.row_logsumexp import row_logsumexp

Keys = NDArray[np.uint64]  # [R]
CANDIDATES = 256  # of the likeliest tokens that top-p looks at before it sorts the vocabulary
PART = 1 << 19  # logits drawn at a time: 2 MB, half of a core's share of the cache

# a 32-bit mixer of low bias (Wellons, "Prospecting for hash functions"), as signed numbers
_MULTIPLY_1, _MULTIPLY_2 = 0x21F0AAAD, 0x735A2D97
_GOLDEN_32 = 0x9E3779B1 - (1 << 32)


def draw_keys(seeds: Keys, positions: NDArray[np.uint64]) -> Keys:
    """A key for each (seed, position in the gen): SplitMix64 of their mixture."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    return _splitmix(_splitmix(seeds) + (positions + np.uint64(1)) * golden)


def _splitmix(x: Keys) -> Keys:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def sample_ref(logits: Tensor, keys: Keys) -> Tensor:
    """The meaning of `sample`, in whole numbers of Python and fp64."""
    tokens = []
    for row, key in zip(logits.double().tolist(), keys.tolist(), strict=True):
        low, high = key & 0xFFFFFFFF, key >> 32
        scores = []
        for token, logit in enumerate(row):
            x = (token * 0x9E3779B1 + low) & 0xFFFFFFFF
            x = ((x ^ (x >> 16)) * _MULTIPLY_1) & 0xFFFFFFFF
            x = (((x ^ (x >> 15)) + high) * _MULTIPLY_2) & 0xFFFFFFFF
            x ^= x >> 15
            uniform = ((x & 0x7FFFFFFF) + 0.5) / 2**31
            scores.append(logit - math.log(-math.log1p(-uniform)))
        tokens.append(max(range(len(scores)), key=scores.__getitem__))
    return torch.tensor(tokens)


def sample(logits: Tensor, keys: Keys) -> Tensor:
    """A draw from softmax(logits) for each row [R]; overwrites `logits`."""
    R, V = logits.shape
    halves = torch.from_numpy(keys.view(np.int32).reshape(R, 2).copy()).to(logits.device)
    spread = torch.arange(V, dtype=torch.int32, device=logits.device).mul_(_GOLDEN_32)
    tokens = torch.empty(R, dtype=torch.int64, device=logits.device)
    step = max(1, PART // V) if logits.device.type == "cpu" else R
    for first in range(0, R, step):
        rows = slice(first, first + step)
        low, high = halves[rows, 0:1], halves[rows, 1:2]
        x = spread + low  # [r, V] int32, wraps
        scratch = torch.empty_like(x)
        _xor_shift(x, 16, scratch).mul_(_MULTIPLY_1)
        _xor_shift(x, 15, scratch).add_(high).mul_(_MULTIPLY_2)
        _xor_shift(x, 15, scratch).bitwise_and_(0x7FFFFFFF)
        # small values keep all their bits in fp32, and they decide: the noise is -log of -log1p(-u)
        noise = x.float().add_(0.5).mul_(-(2.0**-31)).log1p_().neg_().log_()
        torch.argmax(logits[rows].sub_(noise), dim=-1, out=tokens[rows])
    return tokens


def _xor_shift(x: Tensor, bits: int, scratch: Tensor) -> Tensor:
    """x ^= x >> bits, the shift filling with zeros; in place."""
    torch.bitwise_right_shift(x, bits, out=scratch)
    scratch.bitwise_and_((1 << (32 - bits)) - 1)
    return x.bitwise_xor_(scratch)


def filter_logits(logits: Tensor, top_k: Tensor, top_p: Tensor, min_p: Tensor) -> Tensor:
    """Set to -inf, in place, what top-k, then top-p of what is left, then min-p drop.

    `logits` are divided by the temperature already. Options are [R]; top_k 0, top_p 1 and min_p 0
    drop nothing.
    """
    V = logits.shape[1]
    p = _probabilities(logits)
    num_candidates = min(V, max(CANDIDATES, int(top_k.max())))
    best = p.topk(num_candidates, dim=-1).values  # [R, C], descending
    held = _running_sums(best)
    limits = ((top_k > 0) & (top_k < V))[:, None]
    kth = best.gather(1, (top_k.clamp(1, num_candidates) - 1)[:, None])
    kth = torch.where(limits, kth, 0.0)
    num_left = (best >= kth).sum(-1, keepdim=True)
    left = torch.where(limits, held.gather(1, num_left - 1), 1.0)  # what top-k leaves
    threshold = torch.maximum(kth, best[:, :1] * min_p[:, None])
    if bool((top_p < 1).any()):
        threshold = torch.maximum(threshold, _nucleus(p, best, held, top_p[:, None], left))
    return logits.masked_fill_(p < threshold, -math.inf)


def _probabilities(logits: Tensor) -> Tensor:
    """A row's follow from its logits alone, where the library's sums over a row may depend on how
    many there are, or on where it begins."""
    if logits.is_cuda:
        return (logits - row_logsumexp(logits)[:, None]).exp_()
    return logits.softmax(-1)  # goes row by row here


def _running_sums(p: Tensor) -> Tensor:
    """Sums of probabilities [R, C] fp64, from the first to each. They are of whole numbers: parts
    of a row are added up in any order on a GPU."""
    return (p.double() * 2.0**40).long().cumsum(-1) * 2.0**-40


def _nucleus(p: Tensor, best: Tensor, held: Tensor, top_p: Tensor, left: Tensor) -> Tensor:
    """The lowest probability [R, 1] among the fewest likeliest tokens that hold `top_p` of `left`
    together; 0 for rows without top-p. `best` are a row's highest probabilities, `held` their
    sums."""
    reaches = held >= top_p * left
    threshold = best.gather(1, reaches.int().argmax(-1, keepdim=True))
    missed = (~reaches[:, -1:] & (top_p < 1)).nonzero()[:, 0]
    if len(missed) and best.shape[1] < p.shape[1]:
        whole = _sorted(p[missed])
        threshold[missed] = _nucleus(
            p[missed], whole, _running_sums(whole), top_p[missed], left[missed]
        )
    elif len(missed):  # rounding kept the sum below top_p: everything stays
        threshold[missed] = 0.0
    return torch.where(top_p < 1, threshold, 0.0)


def _sorted(p: Tensor) -> Tensor:
    """Rows in descending order; NumPy sorts with vector instructions, ten times as fast as
    torch."""
    if p.device.type == "cpu":
        return torch.from_numpy(np.sort(p.numpy(), axis=-1)).flip(-1)
    return p.sort(dim=-1, descending=True).values


def penalise(
    logits: Tensor,
    rows: Tensor,
    tokens: Tensor,
    repetition: Tensor,
    frequency: Tensor,
    presence: Tensor,
) -> None:
    """Penalties, in place, on the generated tokens: (rows[i], tokens[i]) for each occurrence.

    Options are per occurrence. Repetition divides a positive logit and multiplies a negative one;
    then frequency is taken off once an occurrence and presence once a token.
    """
    seen = logits[rows, tokens]
    seen = torch.where(seen > 0, seen / repetition, seen * repetition) - presence
    logits[rows, tokens] = seen  # occurrences of one token write the same value
    logits.index_put_((rows, tokens), -frequency, accumulate=True)


def bytes_moved(R: int, V: int, *, is_greedy: bool) -> int:
    """Bytes that one draw of R rows reads and writes."""
    return R * V * 4 * (2 if is_greedy else 20)
