"""The GPU's forward pass against the plain one: in Triton's interpreter where there is no GPU."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("triton")

from sglc.kernels import fixed_products, linear
from sglc.runtime.model.config import ModelConfig, config_from_hf
from sglc.runtime.models.fused_transformer import AttendQueries, FusedTransformer, Products
from sglc.runtime.models.naive_attend import naive_attend
from sglc.runtime.models.parameters import Parameters, empty_parameters, named_tensors
from sglc.runtime.models.transformer import Transformer

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SIZES = {
    "vocab_size": 97,
    "hidden_size": 128,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
CASES = {
    "llama": {"architectures": ["LlamaForCausalLM"]},
    "biases": {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": True,
        "mlp_bias": True,
        "tie_word_embeddings": True,
    },
    "qwen2": {"architectures": ["Qwen2ForCausalLM"]},
    "qwen3": {"architectures": ["Qwen3ForCausalLM"], "head_dim": 32},
}


def random_model(case: str, dtype: torch.dtype) -> tuple[ModelConfig, Parameters]:
    config = config_from_hf({**SIZES, **CASES[case]})
    parameters = empty_parameters(config, DEVICE, dtype)
    generator = torch.Generator().manual_seed(2)
    for _, tensor in named_tensors(parameters):
        noise = torch.randn(tensor.shape, generator=generator)
        tensor.copy_(1 + 0.3 * noise if tensor.dim() == 1 else 0.15 * noise)
    return config, parameters


def pools_of(config: ModelConfig, dtype: torch.dtype, N: int = 32) -> list[list[torch.Tensor]]:
    shape = (N, config.num_kv_heads, config.head_size)
    return [
        [torch.zeros(shape, dtype=dtype, device=DEVICE) for _ in range(config.num_layers)]
        for _ in range(2)
    ]


def attend_from(pools: list[list[torch.Tensor]], slots: torch.Tensor) -> AttendQueries:
    """Causal attention among the tokens whose KV lies at `slots`."""

    def attend(layer: int, q: torch.Tensor) -> torch.Tensor:
        k, v = (pool[layer][slots] for pool in pools)
        return naive_attend(layer, q, k, v).contiguous()

    return attend


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("products", "every_row"), [(linear, True), (linear, False), (fixed_products, False)]
)
def test_equals_the_plain_pass(case: str, products: Products, every_row: bool) -> None:
    config, parameters = random_model(case, torch.float32)
    T = 9
    ids = torch.arange(T, device=DEVICE) * 7 % 97
    positions = torch.arange(T, device=DEVICE)
    slots = torch.tensor([3, 30, 4, 0, 9, 11, 12, 20, 1], device=DEVICE)
    rows = torch.tensor([8, 2], device=DEVICE)
    expected = Transformer(config, parameters).forward(
        ids, positions, naive_attend, positions if every_row else rows
    )
    pools = pools_of(config, torch.float32)
    found = FusedTransformer(config, parameters, products).forward(
        ids, positions, slots, *pools, attend_from(pools, slots), None if every_row else rows
    )
    assert found.dtype == torch.float32
    assert expected.abs().max() > 0.5
    assert (found - expected).abs().max() < 2e-4
    unused = [slot for slot in range(32) if slot not in slots.tolist()]
    assert all(pool[layer][unused].abs().max() == 0 for pool in pools for layer in range(2))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("T", [1, 8, 16, 33])
def test_a_captured_pass_follows_its_inputs(case: str, T: int) -> None:
    """A graph captured with some tokens gives, with others, what an eager call gives; in bf16 both
    are as near to float64 as bf16 allows."""
    config, parameters = random_model(case, torch.bfloat16)
    model = FusedTransformer(config, parameters)
    pools = pools_of(config, torch.bfloat16, N=64)
    positions, slots = torch.arange(T, device="cuda"), torch.arange(T, device="cuda") + 5
    ids = torch.zeros(T, dtype=torch.int64, device="cuda")
    attend = attend_from(pools, slots)
    model.forward(ids, positions, slots, *pools, attend, None)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = model.forward(ids, positions, slots, *pools, attend, None)
    ids.copy_(torch.arange(T) * 5 % 97)
    graph.replay()
    eager = model.forward(ids, positions, slots, *pools, attend, None)
    assert torch.equal(captured, eager)
    exact = empty_parameters(config, DEVICE, torch.float64)
    for (_, wide), (_, narrow) in zip(named_tensors(exact), named_tensors(parameters), strict=True):
        wide.copy_(narrow)
    expected = Transformer(config, exact).forward(ids, positions, naive_attend, positions)
    error = (captured - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    assert error < 0.02
