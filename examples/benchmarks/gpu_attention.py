"""Times attention on the GPU: decode over a grid of shared prefixes, prefill against the library's.

    python examples/benchmarks/gpu_attention.py [check] [decode] [prefill]

Heads as in Llama-3.1-8B (32 query heads, 8 kv heads of 128), bf16. Decode: each row sees a prefix,
which `sharers` rows have in common, and OWN tokens of its own. `tree` reads each prefix once,
`groups` once for a few rows, `plain` once a row; a star marks what the gate chooses, `of best` is
the best one's time over the choice's. The floor is each distinct byte once at the copy bandwidth.
Times are of CUDA graphs, with KV that is not in the cache.
"""

from __future__ import annotations

import functools
import math
import statistics
import sys
import time
from collections.abc import Sequence

import numpy as np
import torch
from gpu_attention_library import Launch, library_decode, library_prefill
from torch import Tensor

from sglc.kernels.decode_attention import decode_attention, visible_slots
from sglc.kernels.decode_plan import plan_decode
from sglc.kernels.decode_work import BLOCK, DecodePlan, DecodeWork, Geometry
from sglc.kernels.prefill_attention import prefill_attention, prefill_flops
from sglc.kernels.prefill_work import PrefillWork, plan_prefill
from sglc.kernels.row_groups import sibling_groups
from sglc.kernels.testing import ERROR_RATIO, error_ratio

DEVICE = torch.device("cuda")
H, K, D = 32, 8, 128
GEOMETRY = Geometry(H, K, D, 2)
OWN = 64
CACHE = 128 << 20  # bytes after which nothing of before is left in the cache


def seconds(launches: Sequence[Launch], repeats: int = 5, least: float = 0.01) -> float:
    """Seconds of one launch: the median of `repeats` graphs of all of them, replayed."""
    for launch in launches[:2]:
        launch()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for launch in launches:
            launch()
    graph.replay()
    times, replays = [], 1
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    while len(times) < repeats:
        start.record()
        for _ in range(replays):
            graph.replay()
        end.record()
        end.synchronize()
        total = start.elapsed_time(end) / 1000
        if total < least and replays < 1000:
            replays = min(1000, math.ceil(replays * 1.2 * least / max(total, 1e-5)))
            continue
        times.append(total / replays / len(launches))
    return statistics.median(times)


def ceilings() -> tuple[float, float]:
    """Copy bandwidth in bytes a second, read and written; bf16 matmul rate in FLOP a second."""
    x = torch.randn(1 << 29, device=DEVICE, dtype=torch.bfloat16)
    y = torch.empty_like(x)
    # a kernel's copy: in a graph, copy_ becomes a transfer that reaches less
    bandwidth = 2 * x.nbytes / seconds([lambda: torch.neg(x, out=y)])
    a, b = (torch.randn(8192, 8192, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    c = torch.empty_like(a)
    return bandwidth, 2 * 8192**3 / seconds([lambda: torch.mm(a, b, out=c)])


# ---- decode


KINDS = ("tree", "groups", "plain")


def kind_of(plan: DecodePlan) -> str:
    if len(plan.units):
        return "tree"
    return "groups" if len(plan.groups) else "plain"


def decode_plan(
    geometry: Geometry, prefix: int, sharers: int, batch: int, own: int, kind: str | None
) -> tuple[DecodePlan, int]:
    """A plan of the kind, the gate's for None, and the number of slots it needs."""
    groups = -(-batch // sharers)
    blocks = -(-own // BLOCK)
    extents = np.stack([np.arange(groups) * prefix, np.full(groups, prefix)], axis=1)
    ends = np.minimum(np.arange(1, groups + 1) * sharers, batch)
    if not prefix:
        extents, ends = extents[:0], ends[:0]
    rows = np.arange(batch if prefix else 0)
    tail = np.stack(
        [
            np.repeat(np.arange(batch), blocks),
            groups * prefix + np.arange(batch * blocks) * BLOCK,
        ]
    )
    is_unit = None if kind is None else np.full(len(extents), kind == "tree")
    families = np.arange(batch) // sharers if kind == "groups" else np.zeros(0, dtype=np.int64)
    groups_of_rows = None if kind is None else sibling_groups(families, geometry.group_size)
    plan = plan_decode(
        geometry, extents, ends, rows, np.zeros((3, 0), np.int64), tail,
        np.full(batch, own), is_unit, groups_of_rows,
    )  # fmt: skip
    return plan, groups * prefix + batch * blocks * BLOCK


def decode_work(geometry: Geometry, plan: DecodePlan) -> DecodeWork:
    B, M = plan.own_slots.shape
    work = DecodeWork.empty(
        geometry, B, M, len(plan.units), len(plan.entries), DEVICE,
        max_near=plan.near_slots.shape[1] if len(plan.groups) else 0,
    )  # fmt: skip
    work.load(plan)
    return work


class Pools:
    """One large pool; a layer's is a window of it, so that layers do not lie in the cache."""

    def __init__(self, num_slots: int) -> None:
        self.num_slots = num_slots
        self.k, self.v = (
            torch.randn(num_slots, K, D, device=DEVICE, dtype=torch.bfloat16) for _ in range(2)
        )

    def layers(self, num_slots: int) -> list[tuple[Tensor, Tensor]]:
        slot_bytes = 4 * K * D
        count = max(2, min(32, -(-CACHE // (num_slots * slot_bytes))))
        count = max(1, min(count, self.num_slots // num_slots))
        return [
            (self.k[first : first + num_slots], self.v[first : first + num_slots])
            for first in range(0, count * num_slots, num_slots)
        ]


def time_decode(pools: Pools, prefix: int, sharers: int, batch: int, own: int, kind: str) -> float:
    plan, num_slots = decode_plan(GEOMETRY, prefix, sharers, batch, own, kind)
    work = decode_work(GEOMETRY, plan)
    q = torch.randn(batch, H, D, device=DEVICE, dtype=torch.bfloat16)
    out = torch.empty_like(q)
    return seconds(
        [
            lambda k=k, v=v: decode_attention(q, k, v, work, out=out)
            for k, v in pools.layers(num_slots)
        ]
    )


def compared(libraries: dict[str, list[Launch]], ours: float) -> str:
    """What each library takes, and over ours; why, where it refuses."""
    told = []
    for name, launches in libraries.items():
        try:
            theirs = seconds(launches)
            told.append(f"{name} {theirs * 1e6:.1f} ({theirs / ours:.2f})")
        except RuntimeError as error:
            told.append(f"{name}: {str(error).splitlines()[0][:60]}")
    return " ".join(told)


def decode_floor(prefix: int, sharers: int, batch: int, own: int, bandwidth: float) -> float:
    slots = -(-batch // sharers) * prefix + batch * own
    return (slots * 4 * K * D + 4 * batch * H * D) / bandwidth


def decode_table(bandwidth: float) -> None:
    pools = Pools(1_200_000)
    print("\ndecode, nothing shared: batch, length, µs, floor µs, of the copy bandwidth | library")
    for batch, length in [(1, 128), (1, 400), (1, 4096), (4, 400), (8, 400), (8, 4096), (16, 400),
                          (32, 400), (64, 400), (128, 400), (512, 400), (512, 2048)]:  # fmt: skip
        took = time_decode(pools, 0, 1, batch, length, "plain")
        floor = decode_floor(0, 1, batch, length, bandwidth)
        row = f"{batch:5} {length:6} {took * 1e6:9.1f} {floor * 1e6:9.1f} {floor / took:7.1%} |"
        theirs = library_decode(H, pools.layers(batch * length), batch, length)
        print(row, compared(theirs, took))
    print(f"\ndecode, a shared prefix and {OWN} own tokens")
    print("prefix sharers batch |   tree µs  groups µs   plain µs   of best |  floor µs")
    worst = 1.0
    for batch in (8, 64, 256, 512):
        for prefix in (16, 64, 256, 1024, 4096):
            for sharers in (2, 3, 4, 8, 32, 512):
                if sharers > batch or -(-batch // sharers) * prefix > 1_000_000:
                    continue
                took = {
                    kind: time_decode(pools, prefix, sharers, batch, OWN, kind) for kind in KINDS
                }
                chosen = kind_of(decode_plan(GEOMETRY, prefix, sharers, batch, OWN, None)[0])
                of_best = min(took.values()) / took[chosen]
                worst = min(worst, of_best)
                floor = decode_floor(prefix, sharers, batch, OWN, bandwidth)
                times = " ".join(f"{took[kind] * 1e6:9.1f}{' *'[kind == chosen]}" for kind in KINDS)
                print(
                    f"{prefix:6} {sharers:7} {batch:5} |{times} {of_best:8.2f} | {floor * 1e6:9.1f}"
                )
    print(f"the gate's worst choice: {worst:.2f} of the best one")


# ---- prefill


def prefill_work(prefix: int, groups: int, count: int, length: int, tokens: int) -> PrefillWork:
    """`groups` prefixes in the pool, `count` new segments of `length` below each; the segments' KV
    from slot `groups * prefix` on."""
    n = groups * count
    first = np.arange(n) * length
    own = np.stack([groups * prefix + first, np.full(n, length)], axis=1)
    if prefix:
        above = np.stack([np.arange(n) // count * prefix, np.full(n, prefix)], axis=1)
        own = np.stack([above, own], axis=1).reshape(-1, 2)
    per_segment = 2 if prefix else 1
    segments = np.stack([first, np.full(n, length), np.full(n, prefix)], axis=1)
    plan = plan_prefill(H // K, segments, np.arange(1, n + 1) * per_segment, own)
    assert n * length == tokens
    return PrefillWork.of(plan, DEVICE)


def prefill_table(matmul: float) -> None:
    print(
        "\nprefill: prefix, groups, segments below each, length | µs, TFLOP/s, of matmul | library"
    )
    for prefix, groups, count, length in [
        (0, 8, 1, 2048), (0, 2, 1, 8192), (0, 64, 1, 256), (0, 16, 1, 1024), (0, 256, 1, 64),
        (1024, 1, 256, 64), (1024, 8, 8, 96), (836, 1, 64, 100), (1024, 16, 4, 8),
    ]:  # fmt: skip
        T = groups * count * length
        work = prefill_work(prefix, groups, count, length, T)
        pools = Pools(groups * prefix + T)
        q = torch.randn(T, H, D, device=DEVICE, dtype=torch.bfloat16)
        out = torch.empty_like(q)
        launch = functools.partial(prefill_attention, q, pools.k, pools.v, work, out=out)
        took = seconds([launch])
        rate = prefill_flops(work, H, D) / took
        row = f"{prefix:5} {groups:4} {count:4} {length:5} | {took * 1e6:8.1f} {rate / 1e12:6.0f} "
        row += f"{rate / matmul:6.1%} |"
        if not prefix:
            row += compared(library_prefill(q, pools.k, pools.v, T // length, length), took)
        print(row)


# ---- correctness at full size


def exact(q: Tensor, k_pool: Tensor, v_pool: Tensor, slots: Tensor) -> Tensor:
    """One row's attention [H, D] in fp64."""
    K, G = k_pool.shape[1], len(q) // k_pool.shape[1]
    k, v = k_pool[slots].double(), v_pool[slots].double()
    scores = torch.einsum("kgd,skd->kgs", q.double().view(K, G, -1), k) / math.sqrt(q.shape[-1])
    return torch.einsum("kgs,skd->kgd", scores.softmax(-1), v).reshape(q.shape)


def check_decode(heads: tuple[int, int, int], dtype: torch.dtype, case: tuple[int, ...]) -> None:
    H, K, D = heads
    geometry = Geometry(H, K, D, dtype.itemsize)
    prefix, sharers, batch, own = case
    kind = None if not prefix else "groups" if sharers < 5 else "tree"
    plan, num_slots = decode_plan(geometry, prefix, sharers, batch, own, kind)
    # lengths of all kinds, an empty own part among them
    plan.own_len[:] = (own - np.arange(batch) * 7) % (own + 1 if prefix else own) + (not prefix)
    work = decode_work(geometry, plan)
    visible = [slots.to(DEVICE) for slots in visible_slots(work)]
    k, v = (torch.full((num_slots, K, D), math.nan, device=DEVICE, dtype=dtype) for _ in range(2))
    seen = torch.cat(visible).unique()
    for pool in (k, v):
        pool[seen] = torch.randn(len(seen), K, D, device=DEVICE, dtype=dtype)
    q = torch.randn(batch, H, D, device=DEVICE, dtype=dtype)
    graph, out = torch.cuda.CUDAGraph(), torch.full_like(q, math.nan)
    decode_attention(q, k, v, work, out=out)
    with torch.cuda.graph(graph):
        decode_attention(q, k, v, work, out=out)
    out.fill_(math.nan)
    graph.replay()
    expected = torch.stack([exact(q[row], k, v, slots) for row, slots in enumerate(visible)])
    ratio = error_ratio(out, expected)
    bits = out.clone()
    graph.replay()
    again = "" if torch.equal(bits, out) else " NOT THE SAME TWICE"
    verdict = "ok" if ratio < ERROR_RATIO[dtype] and not work.num_done.any() else "FAULT"
    print(f"decode {heads} {str(dtype)[6:]} {case}: {ratio:.1e} {verdict}{again}")


def check_prefill(heads: tuple[int, int, int], dtype: torch.dtype, case: tuple[int, ...]) -> None:
    H, K, D = heads
    prefix, count, length = case
    n, T = count, count * length
    own = np.stack([np.full(n, 3), np.full(n, prefix), prefix + 5 + np.arange(n) * (length + 1),
                    np.full(n, length)], axis=1).reshape(-1, 2)  # fmt: skip
    segments = np.stack([np.arange(n) * length, np.full(n, length), np.full(n, prefix)], axis=1)
    work = PrefillWork.of(plan_prefill(H // K, segments, np.arange(1, n + 1) * 2, own), DEVICE)
    N = prefix + 5 + n * (length + 1)
    k, v = (torch.randn(N, K, D, device=DEVICE, dtype=dtype) for _ in range(2))
    for pool in (k, v):  # slots between the extents
        pool[:3] = pool[prefix + 3 : prefix + 5] = math.nan
        pool[prefix + 5 + length :: length + 1] = math.nan
    q = torch.randn(T, H, D, device=DEVICE, dtype=dtype)
    out = prefill_attention(q, k, v, work, out=torch.full_like(q, math.nan))
    path = torch.arange(3, 3 + prefix, device=DEVICE)
    rows = list(range(0, T, max(1, T // 97)))
    expected = []
    for row in rows:
        first = prefix + 5 + row // length * (length + 1)
        new = torch.arange(first, first + row % length + 1, device=DEVICE)
        expected.append(exact(q[row], k, v, torch.cat([path, new])))
    ratio = error_ratio(out[rows], torch.stack(expected))
    verdict = "ok" if ratio < ERROR_RATIO[dtype] and bool(out.isfinite().all()) else "FAULT"
    print(f"prefill {heads} {str(dtype)[6:]} {case}: {ratio:.1e} {verdict}")


def check() -> None:
    llama, smol = (32, 8, 128), (9, 3, 64)
    for heads, dtype, case in [
        (llama, torch.bfloat16, (1000, 512, 512, 130)),
        (llama, torch.bfloat16, (4000, 4, 64, 70)),
        (llama, torch.bfloat16, (150, 3, 512, 130)),
        (llama, torch.float32, (150, 3, 60, 130)),
        (smol, torch.bfloat16, (333, 4, 100, 70)),
        (llama, torch.bfloat16, (0, 1, 1, 400)),
        (llama, torch.bfloat16, (4096, 1, 1, 100)),
        (llama, torch.float16, (333, 16, 100, 64)),
        (llama, torch.float32, (700, 8, 24, 100)),
        (smol, torch.bfloat16, (1000, 64, 128, 65)),
        (smol, torch.float32, (100, 5, 31, 40)),
        ((8, 8, 128), torch.bfloat16, (500, 100, 200, 50)),
        ((16, 2, 64), torch.bfloat16, (500, 9, 33, 200)),
    ]:
        check_decode(heads, dtype, case)
    for heads, dtype, case in [
        (llama, torch.bfloat16, (0, 3, 2048)),
        (llama, torch.bfloat16, (1000, 40, 61)),
        (llama, torch.float16, (77, 9, 300)),
        (llama, torch.float32, (200, 7, 130)),
        (smol, torch.bfloat16, (300, 5, 200)),
        (smol, torch.float32, (300, 5, 50)),
    ]:
        check_prefill(heads, dtype, case)


def main() -> None:
    wanted = sys.argv[1:] or ["check", "decode", "prefill"]
    torch.manual_seed(0)
    start = time.perf_counter()
    bandwidth, matmul = ceilings()
    name = torch.cuda.get_device_name()
    print(f"{name}: copy {bandwidth / 1e12:.2f} TB/s, matmul {matmul / 1e12:.0f} TFLOP/s")
    if "check" in wanted:
        check()
    if "decode" in wanted:
        decode_table(bandwidth)
    if "prefill" in wanted:
        prefill_table(matmul)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
