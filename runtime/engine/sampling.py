"""From a step's logits to one token a running gen, every row at once.

A row's options are read when it starts or its batch changes; what no row asks for costs nothing.
Order: log-probabilities are taken from the model's own distribution; then penalties (generated
tokens only), bias, masks; then temperature, top-k, top-p, min-p and the draw.
Law: a row's token depends on its logits, options, seed and place in its gen, on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.kernels.sample import draw_keys, filter_logits, penalise, sample
from sglc.runtime.engine.request import Sampling, TokenLogprob
from sglc.runtime.model.spec import Tokenizer

Indices = NDArray[np.int64]

COLDEST, HOTTEST = 1e-6, 1e30  # temperatures by which fp32 logits, masked ones too, can be divided


class TokenMasks:
    """Which ids no gen may sample, and which only some."""

    def __init__(self, tokenizer: Tokenizer, thinking: Sequence[str], device: torch.device) -> None:
        marks = {tokenizer.control_id(name) for name in thinking} - {None}
        banned = tokenizer.control_ids - tokenizer.eos_ids
        self.banned = _ids(banned - marks, device)
        self.thinking = _ids(banned & marks, device)
        self.eos = _ids(tokenizer.eos_ids, device)


def _ids(ids: frozenset[int] | set[int | None], device: torch.device) -> Tensor:
    return torch.tensor(sorted(id for id in ids if id is not None), dtype=torch.int64).to(device)


def _within_fp32(temperature: float) -> float:
    return min(max(temperature, COLDEST), HOTTEST)


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Of the rows that report them: the sampled token's and the likeliest tokens' [.., A]."""

    rows: list[int]
    sampled: list[float]
    top_ids: list[list[int]]
    top: list[list[float]]

    def of(self, index: int, token: int, count: int) -> TokenLogprob:
        """Report `index`, with `count` alternatives."""
        best = zip(self.top_ids[index][:count], self.top[index][:count], strict=True)
        return TokenLogprob(token, self.sampled[index], tuple(best))


PickAgain = Callable[[Tensor, Indices, int], int]


class Allowed(Protocol):
    """What constraints allow in the rows of a batch, besides what every gen may sample."""

    def mask(self, logits: Tensor, counts: Indices) -> None:
        """Mask, in place, what is not allowed."""
        ...

    def mend(self, logits: Tensor, counts: Indices, tokens: Tensor, pick_again: PickAgain) -> None:
        """Replace, in place, drawn tokens [R] that turn out not to be allowed."""
        ...


class Sampler:
    """The options of one set of rows as tensors; made anew when the set changes."""

    def __init__(
        self,
        options: Sequence[Sampling],
        seeds: Sequence[int],
        masks: TokenMasks,
        device: torch.device,
    ) -> None:
        self._masks = masks
        self._device = device
        self._options = options
        self._seeds = np.array([seed & 0xFFFFFFFFFFFFFFFF for seed in seeds], dtype=np.uint64)
        self._all_greedy = all(option.is_greedy for option in options)
        self._drawn = self._rows(lambda option: not option.is_greedy, options)
        drawn = [option for option in options if not option.is_greedy]
        self._temperature = self._floats([_within_fp32(o.temperature) for o in drawn])[:, None]
        self._filtered = self._rows(
            lambda option: option.top_k > 0 or option.top_p < 1 or option.min_p > 0, drawn
        )
        filtered = [drawn[row] for row in self._filtered.tolist()]
        self._top_k = torch.tensor([o.top_k for o in filtered], dtype=torch.int64).to(device)
        self._top_p = self._floats([option.top_p for option in filtered])
        self._min_p = self._floats([option.min_p for option in filtered])
        self._penalised = self._rows(
            lambda option: (option.repetition_penalty, option.frequency_penalty,
                            option.presence_penalty) != (1.0, 0.0, 0.0), options
        )  # fmt: skip
        penalised = [options[row] for row in self._penalised.tolist()]
        self._repetition = self._floats([option.repetition_penalty for option in penalised])
        self._frequency = self._floats([option.frequency_penalty for option in penalised])
        self._presence = self._floats([option.presence_penalty for option in penalised])
        self._no_eos = self._rows(lambda option: option.ignore_eos, options)
        self._no_thinking = self._rows(lambda option: not option.allows_thinking, options)
        self._min_tokens = np.array([option.min_tokens for option in options], dtype=np.int64)
        self._stop_ids = [option.stop_token_ids for option in options]
        self._bias = [
            (row, id, bias) for row, option in enumerate(options) for id, bias in option.logit_bias
        ]
        self._reported = self._rows(lambda option: option.logprobs is not None, options)
        self._num_top = max((option.logprobs or 0 for option in options), default=0)

    def _rows(self, test: Callable[[Sampling], bool], options: Sequence[Sampling]) -> Tensor:
        rows = [row for row, option in enumerate(options) if test(option)]
        return torch.tensor(rows, dtype=torch.int64).to(self._device)

    def _floats(self, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32).to(self._device)

    def draw(
        self,
        logits: Tensor,
        counts: Indices,
        sampled: Tensor,
        lanes: Tensor,
        allowed: Allowed | None = None,
    ) -> tuple[Tensor, Logprobs | None]:
        """A token a row [R]. `logits` [R, V] are overwritten; row r has `counts[r]` tokens, the
        first of `sampled[lanes[r]]`."""
        raw = logits[self._reported] if len(self._reported) else None
        if len(self._penalised):
            self._penalise(logits, counts, sampled, lanes)
        if self._bias:
            rows, ids, biases = zip(*self._bias, strict=True)
            index = torch.tensor([rows, ids]).to(self._device)
            logits.index_put_((index[0], index[1]), self._floats(list(biases)), accumulate=True)
        self._mask(logits, counts)
        if allowed is not None:
            allowed.mask(logits, counts)
        tokens = self.pick(logits, counts)
        if allowed is not None:
            allowed.mend(logits, counts, tokens, self._pick_again)
        return tokens, None if raw is None else self._report(raw, tokens)

    def pick(self, logits: Tensor, counts: Indices) -> Tensor:
        """The draw from penalised and masked logits, which stay as they are."""
        tokens = logits.argmax(-1)
        if self._all_greedy:
            return tokens
        drawn = logits[self._drawn].div_(self._temperature)
        if len(self._filtered):
            kept = filter_logits(drawn[self._filtered], self._top_k, self._top_p, self._min_p)
            drawn[self._filtered] = kept
        rows = self._drawn.cpu().numpy()
        keys = draw_keys(self._seeds[rows], counts[rows].astype(np.uint64))
        tokens[self._drawn] = sample(drawn, keys)
        return tokens

    def _pick_again(self, logits: Tensor, counts: Indices, row: int) -> int:
        """The draw of one row, after more of its logits were masked: what it would have been had
        they been masked before."""
        seed = int(self._seeds[row])
        alone = Sampler([self._options[row]], [seed], self._masks, self._device)
        return int(alone.pick(logits[row : row + 1], counts[row : row + 1]))

    def _penalise(self, logits: Tensor, counts: Indices, sampled: Tensor, lanes: Tensor) -> None:
        rows = self._penalised
        longest = int(counts.max())
        tokens = sampled[lanes[rows], :longest]
        lens = torch.from_numpy(counts).to(self._device)[rows]
        is_token = torch.arange(longest, device=self._device) < lens[:, None]
        which = is_token.nonzero()[:, 0]  # per occurrence, its place among the penalised rows
        penalise(
            logits,
            rows[which],
            tokens[is_token],
            self._repetition[which],
            self._frequency[which],
            self._presence[which],
        )

    def _mask(self, logits: Tensor, counts: Indices) -> None:
        masks = self._masks
        logits.index_fill_(1, masks.banned, -torch.inf)
        if len(masks.thinking):
            logits[self._no_thinking[:, None], masks.thinking] = -torch.inf
        if len(self._no_eos):
            logits[self._no_eos[:, None], masks.eos] = -torch.inf
        early = np.flatnonzero(counts < self._min_tokens)
        if len(early):
            rows = torch.from_numpy(early).to(self._device)
            logits[rows[:, None], masks.eos] = -torch.inf
            for row in early.tolist():
                logits[row, list(self._stop_ids[row])] = -torch.inf

    def _report(self, raw: Tensor, tokens: Tensor) -> Logprobs:
        return report(self._reported.tolist(), raw, tokens[self._reported], self._num_top)


def report(rows: list[int], logits: Tensor, tokens: Tensor, num_top: int) -> Logprobs:
    """Log-probabilities of one token [R] a row of the model's own `logits` [R, V]."""
    logprobs = logits.log_softmax(-1)
    chosen = logprobs.gather(1, tokens[:, None])[:, 0]
    top = logprobs.topk(min(num_top, logits.shape[1]), dim=-1)
    return Logprobs(rows, chosen.tolist(), top.indices.tolist(), top.values.tolist())
