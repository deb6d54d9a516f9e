"""One forward pass over the rows of a step, with KV in the pool.

`StepRows` is what to run; here is how, as fast as may be.
"""

from __future__ import annotations

from time import perf_counter

from torch import Tensor

from sglc.kernels.tree_attention import tree_attention
from sglc.runtime.engine.memory import KVPool
from sglc.runtime.engine.step_rows import StepRows
from sglc.runtime.engine.work import WorkPlanner
from sglc.runtime.models.transformer import Transformer


class Forward:
    """Runs steps as fast as may be. `attention_seconds` is the attention's share of the last.
    Without `tree` nothing is read once for several rows."""

    def __init__(self, model: Transformer, pool: KVPool, *, tree: bool = True) -> None:
        self._model = model
        self._pool = pool
        self._planner = WorkPlanner(model.device, tree=tree)
        self.attention_seconds = 0.0

    def __call__(self, rows: StepRows) -> Tensor:
        """Logits [R, V] fp32 of `rows.logit_rows`; KV of all rows is in the pool afterwards."""
        self.attention_seconds = 0.0
        pool, work = self._pool, self._planner.plan(rows)

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            start = perf_counter()
            pool.write(layer, rows.slots, k, v)
            y = tree_attention(q, pool.k[layer], pool.v[layer], k, v, work)
            self.attention_seconds += perf_counter() - start
            return y

        return self._model.forward(rows.tokens, rows.positions, attend, rows.logit_rows)
