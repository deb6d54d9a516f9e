"""The element-wise kernels of the dense part against their meaning, exact in float64."""

import pytest
import torch

from sglc.kernels import gated_silu, rms_norm, rope

# largest difference over the largest value
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 1e-2, torch.float16: 2e-3}
SHAPES = [(1, 64), (7, 48), (33, 576)]


def draw(*shape, dtype=torch.float32, seed=5):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def assert_near(actual, expected, dtype):
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    error = (actual.double() - expected.double()).abs().max() / expected.double().abs().max()
    assert error < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rms_norm(shape, dtype):
    x, weight = draw(*shape, dtype=dtype), draw(shape[-1], dtype=dtype, seed=6)
    x64 = x.double()
    exact = x64 / (x64.square().mean(-1, keepdim=True) + 1e-5).sqrt() * weight.double()
    assert_near(rms_norm.rms_norm(x, weight, 1e-5), exact, dtype)
    assert_near(rms_norm.rms_norm_ref(x, weight, 1e-5), exact, dtype)


def test_rms_norm_of_heads_in_a_wider_tensor():
    """The strided views that the q/k norm gets."""
    heads, weight = draw(9, 8, 16), draw(16, seed=6)
    part = heads[:, 2:5]
    expected = rms_norm.rms_norm_ref(part, weight, 1e-6)
    assert_near(rms_norm.rms_norm(part, weight, 1e-6), expected, torch.float32)


def test_rms_norm_keeps_rows_apart():
    x, weight = draw(33, 576), draw(576, seed=6)
    whole = rms_norm.rms_norm(x, weight, 1e-6)
    for row in (0, 17, 32):
        assert torch.equal(rms_norm.rms_norm(x[row : row + 1], weight, 1e-6)[0], whole[row])


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("heads", [1, 3, 12])
def test_rope_turns_pairs_by_their_angle(heads, dtype):
    T, D = 11, 32
    frequencies = tuple(1000.0 ** (-2 * i / D) for i in range(D // 2))
    cos, sin = rope.rope_table(frequencies, 40, 1.0)
    positions = torch.tensor([0, 1, 2, 39, 5, 5, 7, 8, 30, 31, 3])
    x = draw(T, heads + 2, D, dtype=dtype)[:, 1:-1]  # strided, as inside qkv
    # a pair as a complex number, turned by position * frequency
    pairs = torch.complex(x[..., : D // 2].double(), x[..., D // 2 :].double())
    angles = positions[:, None].double() * torch.tensor(frequencies, dtype=torch.float64)
    turned = pairs * torch.polar(torch.ones_like(angles), angles)[:, None]
    exact = torch.cat((turned.real, turned.imag), dim=-1)
    for function in (rope.rope, rope.rope_ref):
        assert_near(function(x, cos[positions], sin[positions]), exact, dtype)


def test_rope_table_scales_by_the_factor():
    plain, scaled = rope.rope_table((1.0, 0.5), 6, 1.0), rope.rope_table((1.0, 0.5), 6, 1.5)
    assert plain.shape == (2, 6, 2)
    torch.testing.assert_close(scaled, plain * 1.5)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gated_silu(shape, dtype):
    T, inner = shape
    gate_up = draw(T, 2 * inner, dtype=dtype)
    gate, up = gate_up.double().split(inner, dim=-1)
    exact = gate / (1 + (-gate).exp()) * up
    assert_near(gated_silu.gated_silu_ref(gate_up), exact, dtype)
    result = gated_silu.gated_silu_(gate_up)
    assert_near(result, exact, dtype)
    assert result.data_ptr() == gate_up.data_ptr()
    torch.testing.assert_close(gate_up[:, inner:].double(), up, rtol=0, atol=0)


def test_bytes_moved():
    assert rms_norm.bytes_moved(10, 4, 2) == 2 * (40 + 40 + 4)
    assert rope.bytes_moved(10, 3, 8, 2) == 10 * 3 * 8 * 2 * 2 + 10 * 8 * 4
    assert gated_silu.bytes_moved(10, 6, 4) == 3 * 60 * 4
