"""Times of the kernels of `--deterministic` on a CUDA device, beside those that they stand in for.

    python examples/benchmarks/gpu_deterministic.py

Products of an 8B model beside the vendor's, by number of rows; then attention: decode beside
`decode_attention` without sharing, prefill beside `prefill_attention`. That their rows are the same
bits in any batch is tested (tests/kernels, marked gpu); what whole runs cost is told by `gpu.py
--deterministic` and `gpu_agreement.py repeats`.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from gpu_kernel_checks import random
from gpu_kernels import HEAD, HEADS, HIDDEN, INNER, KV_HEADS, copies, seconds

from sglc.kernels.decode_attention import decode_attention
from sglc.kernels.decode_plan import plan_decode
from sglc.kernels.decode_work import DecodeWork, Geometry, splits_for
from sglc.kernels.fixed_linear import fixed_linear
from sglc.kernels.prefill_attention import prefill_attention, prefill_flops
from sglc.kernels.prefill_work import PrefillWork, plan_prefill
from sglc.kernels.table_attention import bytes_moved, table_attention
from sglc.kernels.table_work import SPAN, TableWork, plan_units

GEOMETRY = Geometry(HEADS, KV_HEADS, HEAD, 2)
DEVICE = torch.device("cuda")


def products() -> None:
    shapes = {
        "qkv": ((HEADS + 2 * KV_HEADS) * HEAD, HIDDEN), "output": (HIDDEN, HIDDEN),
        "gate/up": (2 * INNER, HIDDEN), "down": (HIDDEN, INNER),
    }  # fmt: skip
    print(
        "| product | rows | ours, us | TFLOP/s | vendor, us | ours over vendor |\n"
        + "|---" * 6
        + "|"
    )
    for name, (N, K) in shapes.items():
        weights = [random(N, K, scale=0.02) for _ in range(copies(N * K * 2))]
        for T in (1, 16, 64, 256, 512, 2048, 8192):
            x = random(T, K)
            ours = seconds([partial(fixed_linear, x, weight) for weight in weights])
            theirs = seconds([partial(F.linear, x, weight) for weight in weights])
            rate = 2 * T * N * K / ours / 1e12
            print(
                f"| {name} | {T} | {ours * 1e6:.1f} | {rate:.0f} | {theirs * 1e6:.1f} "
                f"| {ours / theirs:.2f} |"
            )


def decode(num_rows: int, length: int) -> None:
    """Rows with contexts of their own."""
    pools = [random(num_rows * length, KV_HEADS, HEAD) for _ in range(2)]
    q = random(num_rows, HEADS, HEAD)
    rows, starts = np.arange(num_rows), np.arange(num_rows) * length
    segments = np.stack([rows, np.ones_like(rows), np.full_like(rows, length - 1)], axis=1)
    units = torch.from_numpy(plan_units(HEADS // KV_HEADS, segments, starts)).cuda()
    slots = torch.arange(num_rows * length, dtype=torch.int32, device=DEVICE)
    is_cut = length > SPAN and num_rows * KV_HEADS < 2 * GEOMETRY.num_sms
    num_done = torch.zeros((num_rows, KV_HEADS), dtype=torch.int32, device=DEVICE)
    work = TableWork(units, slots, -(-length // SPAN) if is_cut else 0, num_done)
    ours = seconds([partial(table_attention, q, *pools, work)])
    own = np.stack([rows, starts, np.full_like(rows, length)])
    none = np.zeros(0, dtype=np.int64)
    plan = plan_decode(
        GEOMETRY, none, none, none, own, none.reshape(2, 0), np.zeros(num_rows, dtype=np.int64)
    )
    blocks = plan.own_slots.shape[1]
    theirs_work = DecodeWork.empty(
        GEOMETRY, num_rows, blocks, 0, 0, DEVICE, splits_for(GEOMETRY, num_rows, blocks)
    )
    theirs_work.load(plan)
    theirs = seconds([partial(decode_attention, q, *pools, theirs_work)])
    moved = bytes_moved(work, HEADS, KV_HEADS, HEAD, 2)
    print(
        f"| decode {num_rows} x {length} | {ours * 1e6:.0f} | {moved / ours / 1e12:.2f} TB/s "
        f"| {theirs * 1e6:.0f} | {ours / theirs:.2f} |"
    )


def prefill(count: int, length: int) -> None:
    """Sequences from their beginning."""
    T = count * length
    pools, q = [random(T, KV_HEADS, HEAD) for _ in range(2)], random(T, HEADS, HEAD)
    starts = np.arange(count) * length
    segments = np.stack([starts, np.full(count, length), np.zeros(count, dtype=np.int64)], axis=1)
    group = HEADS // KV_HEADS
    units = torch.from_numpy(plan_units(group, segments, starts)).cuda()
    slots = torch.arange(T, dtype=torch.int32, device=DEVICE)
    ours = seconds([partial(table_attention, q, *pools, TableWork(units, slots))])
    extents = np.stack([starts, np.full(count, length)], axis=1)
    work = PrefillWork.of(plan_prefill(group, segments, np.arange(1, count + 1), extents), DEVICE)
    theirs = seconds([partial(prefill_attention, q, *pools, work)])
    rate = prefill_flops(work, HEADS, HEAD) / ours / 1e12
    print(
        f"| prefill {count} x {length} | {ours * 1e6:.0f} | {rate:.0f} TFLOP/s "
        f"| {theirs * 1e6:.0f} | {ours / theirs:.2f} |"
    )


def main() -> None:
    print(torch.cuda.get_device_name(), "torch", torch.__version__)
    products()
    print("\n| attention | ours, us | | default, us | ours over default |\n" + "|---" * 5 + "|")
    for num_rows, length in ((1, 1000), (1, 4000), (16, 4000), (64, 1800), (512, 400)):
        decode(num_rows, length)
    for count, length in ((64, 128), (4, 2048), (1, 8192)):
        prefill(count, length)


if __name__ == "__main__":
    main()
