"""Scoring continuations the way people know: transformers' forward passes, one a choice."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch


class TransformersScorer:
    """Mean log-probability of each choice's tokens, from the first token that not all choices and
    the context alone have in common. `shared` is a token prefix of all contexts, run once."""

    def __init__(self, model: torch.nn.Module, shared: Sequence[int]) -> None:
        self._model = model
        self._shared = list(shared)
        with torch.inference_mode():
            ids = torch.tensor([self._shared])
            self._cache = model(input_ids=ids, use_cache=True).past_key_values

    def scores(self, context: Sequence[int], texts: Sequence[Sequence[int]]) -> list[float]:
        """`context` and `texts` (context + choice, encoded as one text) begin with `shared`."""
        start = common_len([context, *texts])
        return [self._score(list(ids), start) for ids in texts]

    def _score(self, ids: list[int], start: int) -> float:
        num_shared = len(self._shared)
        assert ids[:num_shared] == self._shared and start > num_shared
        rest = torch.tensor([ids[num_shared:]])
        with torch.inference_mode():
            cache = copy.deepcopy(self._cache)
            logits = self._model(input_ids=rest, past_key_values=cache, use_cache=True).logits[0]
        logprobs = logits.double().log_softmax(-1)
        places = torch.arange(start, len(ids))
        return float(logprobs[places - num_shared - 1, torch.tensor(ids)[places]].mean())


def common_len(sequences: Sequence[Sequence[int]]) -> int:
    """How many items all sequences begin with in common."""
    shortest = min(map(len, sequences))
    for place in range(shortest):
        if len({sequence[place] for sequence in sequences}) > 1:
            return place
    return shortest
