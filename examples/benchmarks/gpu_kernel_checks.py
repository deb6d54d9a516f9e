"""Checks of gpu_kernels.py: every kernel against float64, or the reference on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sglc.kernels import gated_silu_triton, linear, qkv_rope_write, rms_norm_triton
from sglc.kernels.gated_silu import gated_silu_ref
from sglc.kernels.lane_tensors import LaneTensors
from sglc.kernels.rope import rope_table
from sglc.kernels.sample_step import sample_step, sample_step_ref
from sglc.kernels.testing import error_ratio

DTYPE = torch.bfloat16
STATES = 50  # of the constraint that is timed


def random(*shape: int, dtype: torch.dtype = DTYPE, scale: float = 1.0) -> Tensor:
    return (torch.randn(shape, device="cuda") * scale).to(dtype)


def passes() -> None:
    eps = 1e-5
    for T, E in ((1, 64), (7, 576), (33, 4096)):
        x, weight = random(T, E), random(E)
        found = rms_norm_triton.rms_norm(x, weight, eps)
        error = error_ratio(found, rms_norm_ref_64(x.double(), weight, eps))
        gate_up = random(T, 2 * E)
        other = error_ratio(gated_silu_triton.gated_silu(gate_up), gated_silu_ref(gate_up.double()))
        assert max(error, other) < 4e-3, (T, E, error, other)
    rope()


def rms_norm_ref_64(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight.double()


def rope() -> None:
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


def products() -> None:
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


def sampler(R: int = 256, V: int = 5003, steps: int = 4) -> str:
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


@dataclass(frozen=True)
class Table:
    """The arrays of a `TokenTable`."""

    token_class: NDArray[np.uint16]
    next: NDArray[np.int16]
    is_final: NDArray[np.bool_]
    distance: NDArray[np.int32]
    reach: NDArray[np.int32]


def loose_table(num_tokens: int) -> Table:
    """A third of 300 classes are allowed in every state."""
    numbers = np.random.default_rng(0)
    next = numbers.integers(0, STATES, (STATES, 300), dtype=np.int16)
    next[numbers.random(next.shape) < 2 / 3] = -1
    next[:, 1] = 1
    return Table(
        numbers.integers(1, 300, num_tokens, dtype=np.uint16),
        next,
        np.ones(STATES, dtype=np.bool_),
        np.zeros(STATES, dtype=np.int32),
        np.zeros(STATES, dtype=np.int32),
    )


def errors(peak: float) -> None:
    """Errors of bf16 logits against float64, ours and transformers', on one random model."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from sglc.runtime.model.config import config_from_hf
    from sglc.runtime.models.fused_transformer import FusedTransformer
    from sglc.runtime.models.parameters import empty_parameters, slots

    hf_config = LlamaConfig(
        hidden_size=1024,
        intermediate_size=2816,
        num_hidden_layers=12,
        num_attention_heads=16,
        num_key_value_heads=4,
        vocab_size=8192,
        initializer_range=0.04,
    )
    theirs = LlamaForCausalLM(hf_config).cuda().to(DTYPE).eval()
    fields = hf_config.to_dict() | {"architectures": ["LlamaForCausalLM"]}
    config = config_from_hf(fields | {"rope_theta": 10000.0})
    parameters = empty_parameters(config, torch.device("cuda"), DTYPE)
    places = slots(parameters, config)
    for name, tensor in theirs.state_dict().items():
        places[name].copy_(tensor)
    model = FusedTransformer(config, parameters)
    exact = LlamaForCausalLM(hf_config).cuda().double().eval()
    exact.load_state_dict(theirs.state_dict())
    print("| bf16 logits of | mean error | p99 | transformers: mean | p99 |")
    print("|---|---|---|---|---|")
    for T in (8, 128):
        found: list[Tensor] = []
        for _ in range(256 // T):
            ids = torch.randint(8192, (T,), device="cuda")
            rows = torch.arange(T, device="cuda")
            pools = [[random(T, 4, 64) for _ in range(12)] for _ in range(2)]
            ours = model.forward(ids, rows, rows, *pools, causal(pools), None)
            with torch.no_grad():
                their_logits = theirs(ids[None]).logits[0]
                expected = exact(ids[None]).logits[0]
            pair = [(x.double() - expected).abs().flatten() for x in (ours, their_logits)]
            found.append(torch.stack(pair))
        numbers = [
            f"{x:.4f}"
            for error in torch.cat(found, 1)
            for x in (error.mean(), error.sort().values[int(0.99 * len(error))])
        ]
        print(f"| {T} tokens |", " | ".join(numbers), "|")


def causal(pools: list[list[Tensor]]) -> Callable[[int, Tensor], Tensor]:
    from sglc.runtime.models.naive_attend import naive_attend

    return lambda layer, q: naive_attend(layer, q, pools[0][layer], pools[1][layer]).contiguous()
