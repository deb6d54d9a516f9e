"""Times and checks every kernel of the forward pass and the sampler on a CUDA device.

    python examples/benchmarks/gpu_kernels.py [PART ...]     (parts: see PARTS at the end)

Each line says microseconds and the share of the copy bandwidth that the bytes it must move reach;
copies are counted read plus written. Inputs rotate, so that nothing is found in the cache that a
run of the model would not find there. Checks are against float64 or the CPU's reference.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import gpu_kernel_checks as checks
import numpy as np
import torch
import torch.nn.functional as F
from ceilings import copy_bandwidth
from gpu_kernel_checks import DTYPE, random

from sglc.kernels import (
    gated_linear_hopper,
    gated_silu_triton,
    linear,
    qkv_rope_write,
    rms_norm,
    rms_norm_triton,
    small_linear,
)
from sglc.kernels.lane_tensors import ConstraintTables, LaneTensors
from sglc.kernels.rope import rope_table
from sglc.kernels.sample_step import sample_step

HIDDEN, INNER, HEADS, KV_HEADS, HEAD, VOCAB = 4096, 14336, 32, 8, 128, 49152
CACHE = 50e6  # bytes of L2: rotated inputs take several times as much
CALLS = 20  # a captured graph, at least


def seconds(calls: Sequence[Callable[[], object]]) -> float:
    """Of one call: the median of replays of a graph that holds all of `calls`, once or more."""
    for call in calls:
        call()
    torch.cuda.synchronize()
    times = -(-CALLS // len(calls))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(times):
            for call in calls:
                call()
    graph.replay()
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(8)]
    marks[0].record()
    for mark in marks[1:]:
        graph.replay()
        mark.record()
    torch.cuda.synchronize()
    spans = sorted(a.elapsed_time(b) for a, b in itertools.pairwise(marks))
    return spans[len(spans) // 2] / 1e3 / (times * len(calls))


def copies(num_bytes: float) -> int:
    return max(2, int(4 * CACHE / num_bytes) + 1)


def line(name: str, T: int, took: float, num_bytes: float, peak: float, *more: str) -> None:
    share = num_bytes / took / peak
    print(f"| {name} | {T} | {took * 1e6:.1f} | {share:.0%} |", *(f"{x} |" for x in more))


def passes(peak: float) -> None:
    """Norm, activation and what stands before attention; checked at odd sizes first."""
    eps = 1e-5
    checks.passes()
    print("| pass | T | us | of copy |\n|---|---|---|---|")
    for T in (1, 64, 512, 4096):
        n = copies(T * HIDDEN * 8)
        weight = random(HIDDEN)
        xs = [random(T, HIDDEN) for _ in range(n)]
        moved = rms_norm.bytes_moved(T, HIDDEN, 2)
        took = seconds([partial(rms_norm_triton.rms_norm, x, weight, eps) for x in xs])
        line("norm", T, took, moved, peak)
        xs = [random(T, 2 * INNER) for _ in range(copies(T * INNER * 6))]
        took = seconds([partial(gated_silu_triton.gated_silu, x) for x in xs])
        line("gated silu", T, took, 3 * T * INNER * 2, peak)
        width = (HEADS + 2 * KV_HEADS) * HEAD
        xs = [random(T, width) for _ in range(copies(T * width * 4))]
        pools = [random(8192, KV_HEADS, HEAD) for _ in range(2)]
        table = rope_table(tuple(0.9**i for i in range(HEAD // 2)), 8192, 1.0).cuda()
        slots = torch.randperm(8192, device="cuda")[:T]
        calls = [partial(qkv_rope_write.qkv_rope_write, x, slots, slots, table, *pools) for x in xs]
        moved = qkv_rope_write.bytes_moved(T, HEADS, KV_HEADS, HEAD, 2)
        line("split, rope, KV write", T, seconds(calls), moved, peak)


def products(peak: float) -> None:
    """Products of few rows, of ours and of the vendor's with the passes around it."""
    checks.products()
    print("| product | rows | ours, us | of copy | vendor, us | of copy |\n" + "|---" * 6 + "|")
    shapes = (
        ("norm, qkv", small_linear.Result.STORE, 6144, HIDDEN),
        ("output, add", small_linear.Result.ADD, HIDDEN, HIDDEN),
        ("norm, gate/up, gate", small_linear.Result.GATE, INNER, HIDDEN),
        ("down, add", small_linear.Result.ADD, HIDDEN, INNER),
        ("norm, head", small_linear.Result.STORE_FP32, VOCAB, HIDDEN),
    )
    for name, result, N, K in shapes:
        rows = 2 * N if result == small_linear.Result.GATE else N
        moved = rows * K * 2
        weights = [random(rows, K, scale=0.02) for _ in range(copies(moved))]
        norm = random(K)
        for M in (1, 2, 4, 8, 16, 32):
            x, y = random(M, K), random(M, N)
            function = {
                small_linear.Result.STORE: partial(linear.normed_linear, x, norm, 1e-5),
                small_linear.Result.ADD: partial(linear.add_linear_, y, x),
                small_linear.Result.GATE: partial(linear.gated_linear, x, norm, 1e-5),
                small_linear.Result.STORE_FP32: partial(linear.logits, x, norm, 1e-5),
            }[result]
            calls = [partial(function, weight) for weight in weights]
            most = small_linear.MOST_ROWS
            ours = seconds(calls) if most >= M else float("nan")
            small_linear.MOST_ROWS = 0
            vendor = seconds(calls)
            small_linear.MOST_ROWS = most
            line(name, M, ours, moved, peak, f"{vendor * 1e6:.1f}", f"{moved / vendor / peak:.0%}")


def sampling(peak: float) -> None:
    """The sampler: tokens equal to the reference's, then its times."""
    print("sampler, tokens that differ from the reference:", checks.sampler())
    print("| sampler | rows | us | of copy |\n|---|---|---|---|")
    device, zeros = torch.device("cuda"), np.zeros(checks.STATES, dtype=np.int32)
    kinds = {
        "greedy": {},
        "drawn": {"temperature": 1.0},
        "drawn, constrained": {"temperature": 1.0, "table": 0},
        "drawn, top-p 0.9": {"temperature": 1.0, "top_p": 0.9},
        "drawn, top-k 50, top-p 0.9": {"temperature": 1.0, "top_k": 50, "top_p": 0.9},
    }
    for kind, options in kinds.items():
        for R in (1, 8, 64, 512):
            lanes = LaneTensors.new(R, 4096, VOCAB, device)
            for name, value in options.items():
                getattr(lanes, name).fill_(value)
            if "table" in options:
                table = checks.loose_table(VOCAB)
                lanes.tables = ConstraintTables.pack([table], [zeros], [True], device)
                lanes.refresh()
            rows = torch.arange(R, dtype=torch.int32, device="cuda")
            n = copies(R * VOCAB * 4)
            logits = [random(R, VOCAB, dtype=torch.float32, scale=3.0) for _ in range(min(n, 64))]
            took = seconds([partial(sample_step, x, rows, lanes) for x in logits])
            line(kind, R, took, R * VOCAB * 4, peak)


def forward(peak: float) -> None:
    """A decode step of the 8B geometry without attention, eight layers of it, in one graph."""
    from speed_model import GEOMETRIES

    from sglc.runtime.model.config import config_from_hf
    from sglc.runtime.models.dummy import fill_randomly
    from sglc.runtime.models.fused_transformer import FusedTransformer
    from sglc.runtime.models.parameters import empty_parameters

    geometry = dict(GEOMETRIES["8b"], num_hidden_layers=8, vocab_size=VOCAB, rms_norm_eps=1e-5)
    geometry |= {"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 8192}
    config = config_from_hf(geometry)
    parameters = empty_parameters(config, torch.device("cuda"), DTYPE)
    fill_randomly(parameters)
    model = FusedTransformer(config, parameters)
    moved = parameters.num_bytes - parameters.embedding.numel() * 2
    pools = [[random(8192, KV_HEADS, HEAD) for _ in range(8)] for _ in range(2)]
    print("| forward without attention, 8 layers | T | us | of copy |\n|---|---|---|---|")
    for T in (1, 2, 4, 8, 16, 32, 64, 512):
        tokens = torch.randint(VOCAB, (T,), device="cuda")
        slots = torch.arange(T, device="cuda")
        call = partial(model.forward, tokens, slots, slots, *pools, lambda layer, q: q, None)
        line("forward", T, seconds([call]), moved, peak)


def large_products(peak: float) -> None:
    """Products of a prefill or a large batch at the power that they settle at, and a layer's: the
    vendor's with a pass for the gate, and with the gated product of ours."""
    names = ("qkv", "output, add", "gate/up, pass", "gate/up, gate", "down, add")
    print("| rows |", " | ".join(names), "| layer, TFLOP/s | with ours |\n" + "|---" * 8 + "|")
    qkv, output, gate_up, down = (
        random(N, K, scale=0.02)
        for N, K in ((6144, HIDDEN), (HIDDEN, HIDDEN), (2 * INNER, HIDDEN), (HIDDEN, INNER))
    )
    work = 2 * sum(weight.numel() for weight in (qkv, output, gate_up, down))
    for T in (512, 1024, 2048, 4096, 8192):
        x, inner, y = random(T, HIDDEN), random(T, INNER), random(T, HIDDEN)
        calls = [
            partial(F.linear, x, qkv),
            partial(linear.add_linear_, y, x, output),
            lambda x=x: gated_silu_triton.gated_silu(F.linear(x, gate_up)),
            partial(gated_linear_hopper.run, x, gate_up),
            partial(linear.add_linear_, y, inner, down),
        ]
        is_taken = gated_linear_hopper.takes(x, gate_up)
        took = [settled(call) for call in calls[: 3 + is_taken]] + [settled(calls[4])]
        times = [f"{t * 1e6:.0f}" for t in took]
        rates = [settled(*(calls[i] for i in (0, 1, gate, 4))) for gate in (2, 3)[: 1 + is_taken]]
        rates = [f"{T * work / rate / 1e12:.0f}" for rate in rates]
        if not is_taken:
            times.insert(3, "")
            rates.append("")
        print("|", " | ".join([str(T), *times, *rates]), "|")


def settled(*calls: Callable[[], object]) -> float:
    """Seconds of all `calls`, over half a second in which nothing else runs, after as long."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    for _ in range(2):
        start, count = time.perf_counter(), 0
        begin.record()
        while time.perf_counter() - start < 0.5:
            for call in calls * 4:
                call()
            count += 4
            end.record()
            end.synchronize()
    return begin.elapsed_time(end) / 1e3 / count


PARTS = {
    "passes": passes,
    "products": products,
    "large": large_products,
    "sampling": sampling,
    "forward": forward,
    "errors": checks.errors,
}


def main() -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.manual_seed(0)
    peak = copy_bandwidth()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, copy {peak / 1e12:.2f} TB/s")
    for name in sys.argv[1:] or PARTS:
        start = time.perf_counter()
        try:
            PARTS[name](peak)
        except Exception as error:  # the other parts are still worth their device time
            print(f"{name} failed: {type(error).__name__}: {error}")
        torch.cuda.empty_cache()
        print(f"({name}: {time.perf_counter() - start:.1f} s)\n", flush=True)


if __name__ == "__main__":
    main()
