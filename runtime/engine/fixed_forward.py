"""The forward pass of `--deterministic` on a CPU: a row's logits are the same bits in any batch.

Rows go through the model in tiles of one size, filled up with rows that count for nothing, so that
every product has the same shape; attention is `kernels/fixed_attention.py`. It remains to ask
whether the arithmetic of a row depends on its place in the tile: `FixedForward` tries that when it
is made, and takes tiles of one row where it does.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from sglc.kernels.fixed_attention import fixed_attention
from sglc.runtime.engine.fixed_work import Context, FixedPlanner, contexts_of, tile_order
from sglc.runtime.engine.memory import KVPool
from sglc.runtime.engine.step_rows import StepRows
from sglc.runtime.models.transformer import Transformer

TILE = 64
PROBE = 7  # tokens repeated in the probing tile; odd, so that they meet all places in a vector


class FixedForward:
    """Does what `forward.Forward` does, more slowly. `attention_seconds` as there."""

    def __init__(self, model: Transformer, pool: KVPool) -> None:
        self._model = model
        self._pool = pool
        self._tile = TILE
        self.attention_seconds = 0.0
        if not self._is_invariant():
            self._tile = 1

    def __call__(self, rows: StepRows) -> Tensor:
        """Logits [R, V] fp32 of `rows.logit_rows`; KV of all rows is in the pool afterwards."""
        self.attention_seconds = 0.0
        wanted = rows.logit_rows.cpu().numpy()
        place_of_row = np.full(len(rows.tokens), -1)
        place_of_row[wanted] = np.arange(len(wanted))
        contexts = contexts_of(rows)
        logits = torch.empty(
            (len(wanted), self._model.config.vocab_size), device=self._model.device
        )
        order = tile_order(rows)
        for first in range(0, len(order), self._tile):
            tile = order[first : first + self._tile]
            places = place_of_row[tile]
            is_read = places >= 0
            index, read, where = (
                torch.from_numpy(x).to(logits.device)
                for x in (tile, np.flatnonzero(is_read), places[is_read])
            )
            found = self._run(
                self._pool,
                rows.tokens[index],
                rows.positions[index],
                rows.slots[index],
                [contexts[row] for row in tile],
                reads_logits=len(read) > 0,
            )
            if len(read):
                logits[where] = found[read]
        return logits

    def _run(
        self,
        pool: KVPool,
        tokens: Tensor,
        positions: Tensor,
        slots: Tensor,
        contexts: list[Context],
        *,
        reads_logits: bool,
    ) -> Tensor:
        """One tile: logits of all its rows, or of none."""
        missing = self._tile - len(tokens)
        tokens, positions = (torch.cat([x, x.new_zeros(missing)]) for x in (tokens, positions))
        slots = torch.cat([slots, slots.new_full((missing,), pool.scratch)])
        filler = (np.array([pool.scratch]), 1)
        planner = FixedPlanner(self._tile, pool.scratch, self._model.device)
        work = planner.plan([*contexts, *[filler] * missing])

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            start = perf_counter()
            pool.write(layer, slots, k, v)
            y = fixed_attention(q, pool.k[layer], pool.v[layer], work)
            self.attention_seconds += perf_counter() - start
            return y

        logit_rows = torch.arange(self._tile if reads_logits else 0, device=tokens.device)
        return self._model.forward(tokens, positions, attend, logit_rows)

    @torch.inference_mode()
    def _is_invariant(self) -> bool:
        """A few tokens, again and again in one tile, each copy seeing itself alone: all agree."""
        config = self._model.config
        pool = KVPool(
            TILE,
            config.num_layers,
            config.num_kv_heads,
            config.head_size,
            self._model.dtype,
            self._model.device,
        )
        count = TILE // PROBE * PROBE
        slots = torch.arange(count, device=self._model.device)
        positions = slots % PROBE
        contexts = [
            (np.arange(row - row % PROBE, row - row % PROBE + PROBE), row % PROBE + 1)
            for row in range(count)
        ]
        tokens = (positions + 1) * 7 % config.vocab_size
        logits = self._run(pool, tokens, positions, slots, contexts, reads_logits=True)
        copies = logits[:count].view(-1, PROBE, config.vocab_size)
        return bool((copies == copies[0]).all())
