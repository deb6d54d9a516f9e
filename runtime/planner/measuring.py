"""Measuring a device for the cost model: what products, copies, calls and attention take on it.

Law: the shortest of a few calls counts. Other work can only make them longer, and what is measured
is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter

import torch

from sglc.kernels.tree_attention import CausalRuns, OwnBlocks, TreeWork, tree_attention
from sglc.runtime.planner.costs import BLOCK, HEAD_SIZE, Calibration

ROWS = (1, 4, 16, 64, 256, 1024, 4096)  # at which products are measured
WIDTH = {"cpu": 1024, "cuda": 4096}  # of the measured products' weights
# a step reads weights that no cache holds: few rows are measured over so many bytes of them
STREAMED = {"cpu": 1 << 26, "cuda": 1 << 28}
FEW_ROWS = 64
COPIED = {"cpu": 1 << 27, "cuda": 1 << 30}  # bytes
REPEATS = 9
GROUP, HEADS = 3, 4  # query heads of a KV head, and KV heads, of the measured attention
BLOCKS, RUNS, RUN_LEN = 64, 2, 64  # blocks of 8 rows; prompts and their tokens


def measure(name: str, device: str, dtype: str) -> Calibration:
    """`device` is "cpu" or "cuda"."""
    kind = getattr(torch, dtype)
    source = torch.zeros(COPIED[device], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    width = WIDTH[device]
    weight = torch.randn(width, width, device=device).to(kind)
    weights = [weight.clone() for _ in range(STREAMED[device] // weight.nbytes)]
    products = []
    for rows in ROWS:
        used = weights if rows <= FEW_ROWS else weights[:1]
        x = torch.randn(rows, width, device=device).to(kind)
        out = x @ weight

        seconds = _seconds(partial(_multiply, x, used, out), device) / len(used)
        products.append((rows, 2 * rows * width * width / seconds))
    tiny = torch.zeros(8, device=device)
    logits = torch.randn(64, 1 << 15, device=device)
    return Calibration(
        device=name,
        dtype=dtype,
        bandwidth=2 * COPIED[device] / _seconds(lambda: target.copy_(source), device),
        products=tuple(products),
        call_seconds=_seconds(lambda: [tiny.add_(1) for _ in range(200)], device) / 200,
        logit_seconds=_seconds(lambda: _draw(logits), device) / logits.numel(),
        block_seconds=_block_seconds(kind) if device == "cpu" else 0.0,
        attention_rate=_attention_rate(kind) if device == "cpu" else 0.0,
    )


def _block_seconds(kind: torch.dtype) -> float:
    """Of a row's queries over a block, for one KV head."""
    rows = torch.arange(BLOCKS // 8)
    own = OwnBlocks(
        groups=rows[:, None],
        real=rows,
        owners=torch.arange(BLOCKS) % len(rows),
        mask=torch.zeros(BLOCKS, BLOCK),
        level=0,
    )
    return _attending(len(rows), TreeWork(1, own=(own,)), kind) / BLOCKS


def _attention_rate(kind: torch.dtype) -> float:
    """Operations/s of prompts that see themselves."""
    rows = torch.arange(RUNS * RUN_LEN)
    runs = CausalRuns(rows.view(RUNS, RUN_LEN), rows, 0)
    pairs = RUNS * RUN_LEN * (RUN_LEN + 1) // 2
    seconds = _attending(len(rows), TreeWork(1, causal=(runs,)), kind)
    return 4 * HEAD_SIZE * GROUP * pairs / seconds


def _attending(num_rows: int, work: TreeWork, kind: torch.dtype) -> float:
    """Seconds of one KV head, of several that go together."""
    q = torch.randn(num_rows, HEADS * GROUP, HEAD_SIZE).to(kind)
    k_pool, k = (torch.randn(n, HEADS, HEAD_SIZE).to(kind) for n in (BLOCKS * BLOCK, num_rows))
    return _seconds(lambda: tree_attention(q, k_pool, k_pool, k, k, work), "cpu") / HEADS


def _multiply(x: torch.Tensor, weights: Sequence[torch.Tensor], out: torch.Tensor) -> None:
    for weight in weights:
        torch.mm(x, weight, out=out)


def _draw(logits: torch.Tensor) -> object:
    """About what drawing a token from each row comes to."""
    return (logits.softmax(-1) * logits.exp()).argmax(-1)


def _seconds(call: Callable[[], object], device: str) -> float:
    """The shortest of a few calls, after one to warm up: other work can only make them longer, and
    what is measured now is remembered."""

    def finish() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    call()
    finish()
    taken = []
    for _ in range(REPEATS):
        begin = perf_counter()
        call()
        finish()
        taken.append(perf_counter() - begin)
    return min(taken)
