"""One forward pass over the rows of a step, with KV in the pool.

`StepRows` is what to run; here is how, as fast as may be.
"""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from sglc.kernels.tree_attention import TreeWork, tree_attention
from sglc.runtime.engine import work
from sglc.runtime.engine.memory import KVPool
from sglc.runtime.engine.step_rows import StepRows
from sglc.runtime.models.transformer import Transformer


class Forward:
    """Runs steps as fast as may be. `attention_seconds` is the attention's share of the last."""

    def __init__(self, model: Transformer, pool: KVPool) -> None:
        self._model = model
        self._pool = pool
        self.attention_seconds = 0.0

    def __call__(self, rows: StepRows) -> Tensor:
        """Logits [R, V] fp32 of `rows.logit_rows`; KV of all rows is in the pool afterwards."""
        self.attention_seconds = 0.0
        pool, tree_work = self._pool, plan_attention(rows, self._model.device)

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            start = perf_counter()
            pool.write(layer, rows.slots, k, v)
            y = tree_attention(q, pool.k[layer], pool.v[layer], k, v, tree_work)
            self.attention_seconds += perf_counter() - start
            return y

        return self._model.forward(rows.tokens, rows.positions, attend, rows.logit_rows)


def plan_attention(rows: StepRows, device: torch.device) -> TreeWork:
    """The items of a step: causal runs of segments, blocks that rows see alone, shared extents."""
    num_rows = len(rows.tokens)
    causal = work.causal_runs(rows.segments, 0, device)
    level = int(bool(causal))
    pieces = work.Pieces()
    chains = work.segment_chains(rows.segments)
    shared, depth = work.shared_items(chains, pieces, device)
    columns = pieces.columns()
    if rows.lanes.jobs:
        decode_shared, decode_depth = rows.lanes.shared()
        shared, depth = [*decode_shared, *shared], max(decode_depth, depth)
        columns = np.concatenate([rows.lanes.pieces(), columns], axis=1)
    own = work.own_blocks(columns, num_rows, level, device)
    level += len(own)
    shared = [replace(item, level=level + item.level) for item in shared]
    return TreeWork(level + depth, tuple(shared), tuple(causal), tuple(own))
