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

import torch
from ceilings import copy_bandwidth
from torch import Tensor

from sglc.kernels import gated_silu_triton, linear, qkv_rope_write, rms_norm_triton, small_linear
from sglc.kernels.gated_silu import gated_silu_ref
from sglc.kernels.lane_tensors import LaneTensors
from sglc.kernels.rope import rope_table
from sglc.kernels.sample_step import sample_step, sample_step_ref
from sglc.kernels.testing import error_ratio

DTYPE = torch.bfloat16
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


def random(*shape: int, dtype: torch.dtype = DTYPE, scale: float = 1.0) -> Tensor:
    return (torch.randn(shape, device="cuda") * scale).to(dtype)


def line(name: str, T: int, took: float, num_bytes: float, peak: float, *more: str) -> None:
    share = num_bytes / took / peak
    print(f"| {name} | {T} | {took * 1e6:.1f} | {share:.0%} |", *(f"{x} |" for x in more))


def passes(peak: float) -> None:
    """Norm, activation and what stands before attention; checked at odd sizes first."""
    eps = 1e-5
    for T, E in ((1, 64), (7, 576), (33, 4096)):
        x, delta, weight = random(T, E), random(T, E), random(E)
        total = x.double() + delta.double()
        found = rms_norm_triton.rms_norm(x, weight, eps, delta)
        error = error_ratio(found, rms_norm_ref_64(total, weight, eps))
        gate_up = random(T, 2 * E)
        other = error_ratio(gated_silu_triton.gated_silu(gate_up), gated_silu_ref(gate_up.double()))
        assert max(error, other) < 4e-3, (T, E, error, other)
    check_rope()
    print("| pass | T | us | of copy |\n|---|---|---|---|")
    for T in (1, 64, 512, 4096):
        n = copies(T * HIDDEN * 8)
        weight = random(HIDDEN)
        xs = [random(T, HIDDEN) for _ in range(n)]
        moved = rms_norm_triton.bytes_moved(T, HIDDEN, 2, has_delta=False)
        took = seconds([partial(rms_norm_triton.rms_norm, x, weight, eps) for x in xs])
        line("norm", T, took, moved, peak)
        moved = rms_norm_triton.bytes_moved(T, HIDDEN, 2, has_delta=True)
        calls = [partial(rms_norm_triton.rms_norm, x, weight, eps, xs[0]) for x in xs[1:]]
        line("residual + norm", T, seconds(calls), moved, peak)
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


def rms_norm_ref_64(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight.double()


def check_rope() -> None:
    for H, K, D, T in ((9, 3, 64, 5), (32, 8, 128, 17), (4, 2, 96, 3)):
        for has_norm in (False, True):
            qkv = random(T, (H + 2 * K) * D)
            norms = [random(D), random(D)] if has_norm else [None, None]
            table = rope_table(tuple(0.9**i for i in range(D // 2)), 100, 1.0).cuda()
            positions = torch.randint(100, (T,), device="cuda")
            slots = torch.randperm(50, device="cuda")[:T]
            slots[0] = -1
            pools = [torch.full((50, K, D), 7.0, device="cuda", dtype=DTYPE) for _ in range(2)]
            exact = [pool.double() for pool in pools]
            y = qkv_rope_write.qkv_rope_write(qkv, positions, slots, table, *pools, *norms, 1e-6)
            wide = [norm if norm is None else norm.double() for norm in norms]
            expected = qkv_rope_write.qkv_rope_write_ref(
                qkv.double(), positions, slots, table.double(), *exact, *wide, 1e-6
            )
            errors = [
                error_ratio(a, b) for a, b in zip((y, *pools), (expected, *exact), strict=True)
            ]
            assert max(errors) < 4e-3, (H, K, D, has_norm, errors)


def products(peak: float) -> None:
    """Products of few rows, of ours and of the vendor's with the passes around it."""
    check_products()
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


def check_products() -> None:
    eps = 1e-5
    for N, K in ((48, 64), (576, 1536), (1000, 576), (4096, 4096)):
        for M in (1, 3, 8, 9, 16):
            x, norm = random(M, K), random(K)
            w, b = random(2 * N, K, scale=0.05), random(2 * N)
            h = rms_norm_ref_64(x.double(), norm, eps)
            w64, b64 = w.double(), b.double()
            y = random(M, N)
            added = y.double() + x.double() @ w64[:N].T + b64[:N]
            linear.add_linear_(y, x, w[:N], b[:N])
            pairs = [
                (y, added),
                (linear.normed_linear(x, norm, eps, w, b), h @ w64.T + b64),
                (linear.gated_linear(x, norm, eps, w, b), gated_silu_ref(h @ w64.T + b64)),
                (linear.logits(x, norm, eps, w), h @ w64.T),
            ]
            errors = [error_ratio(a, e) for a, e in pairs]
            assert max(errors) < 5e-3, (M, N, K, errors)


def sampling(peak: float) -> None:
    """The sampler: tokens equal to the reference's, then its times."""
    print("sampler, tokens that differ from the reference:", sampler_differences())
    print("| sampler | rows | us | of copy |\n|---|---|---|---|")
    kinds = {
        "greedy": {},
        "drawn": {"temperature": 1.0},
        "drawn, top-p 0.9": {"temperature": 1.0, "top_p": 0.9},
        "drawn, top-k 50, top-p 0.9": {"temperature": 1.0, "top_k": 50, "top_p": 0.9},
    }
    for kind, options in kinds.items():
        for R in (1, 8, 64, 512):
            lanes = LaneTensors.new(R, 4096, VOCAB, torch.device("cuda"))
            for name, value in options.items():
                getattr(lanes, name).fill_(value)
            rows = torch.arange(R, dtype=torch.int32, device="cuda")
            n = copies(R * VOCAB * 4)
            logits = [random(R, VOCAB, dtype=torch.float32, scale=3.0) for _ in range(min(n, 64))]
            took = seconds([partial(sample_step, x, rows, lanes) for x in logits])
            line(kind, R, took, R * VOCAB * 4, peak)


def sampler_differences(R: int = 256, V: int = 5003, steps: int = 4) -> str:
    """Rows with random options, several steps: of how many tokens."""
    generator = torch.Generator().manual_seed(0)

    def draw(low: float, high: float) -> Tensor:
        return torch.rand(R, generator=generator) * (high - low) + low

    def either(a: Tensor, b: float) -> Tensor:
        return torch.where(torch.rand(R, generator=generator) < 0.5, a, torch.tensor(b))

    differing = total = 0
    for vocabulary in (V, 8192):
        lanes = LaneTensors.new(R, steps, vocabulary, torch.device("cpu"))
        lanes.seeds.copy_(torch.randint(1 << 62, (R,), generator=generator))
        lanes.temperature.copy_(either(draw(0.3, 2), 0.0))
        lanes.top_k.copy_(either(draw(1, 300).floor(), 0).int())
        lanes.top_p.copy_(either(draw(0.2, 1), 1.0))
        lanes.min_p.copy_(either(draw(0, 0.2), 0.0))
        lanes.repetition.copy_(either(draw(1, 1.5), 1.0))
        lanes.frequency.copy_(either(draw(0, 1), 0.0))
        on_device = to_device(lanes)
        rows = torch.arange(R, dtype=torch.int32)
        for _ in range(steps):
            logits = torch.randn(R, vocabulary, generator=generator) * 3
            sample_step(logits.cuda(), rows.cuda(), on_device, logits.cuda())
            sample_step_ref(logits.clone(), rows, lanes, logits)
        differing += int((on_device.sampled.cpu() != lanes.sampled).sum())
        total += lanes.sampled.numel()
        same = on_device.sampled.cpu() == lanes.sampled
        assert (on_device.logprobs.cpu() - lanes.logprobs)[same].abs().max() < 1e-4
    return f"{differing} of {total}"


def to_device(lanes: LaneTensors) -> LaneTensors:
    """A copy on the GPU."""
    N, L = lanes.sampled.shape
    moved = LaneTensors.new(N, L, lanes.stop_codes.shape[1], torch.device("cuda"))
    for name in LaneTensors.__slots__:
        if name not in ("tables", "pointers"):
            setattr(moved, name, getattr(lanes, name).cuda())
    for name in type(lanes.tables).__slots__:
        setattr(moved.tables, name, getattr(lanes.tables, name).cuda())
    moved.refresh()
    return moved


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
    fill_randomly(parameters, 0)
    model = FusedTransformer(config, parameters)
    moved = parameters.num_bytes - parameters.embedding.numel() * 2
    pools = [[random(8192, KV_HEADS, HEAD) for _ in range(8)] for _ in range(2)]
    print("| forward without attention, 8 layers | T | us | of copy |\n|---|---|---|---|")
    for T in (1, 2, 4, 8, 16, 32, 64, 512):
        tokens = torch.randint(VOCAB, (T,), device="cuda")
        slots = torch.arange(T, device="cuda")
        call = partial(model.forward, tokens, slots, slots, *pools, lambda layer, q: q, None)
        line("forward", T, seconds([call]), moved, peak)


PARTS = {"passes": passes, "products": products, "sampling": sampling, "forward": forward}


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
