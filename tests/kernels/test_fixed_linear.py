"""Fixed products against float64, and the same bits in any batch and any tile; through Triton's
interpreter where there is no GPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from devices import DEVICE, DTYPES, NEEDS_GPU

from sglc.kernels import fixed_products, qkv_rope_write
from sglc.kernels.contract import KernelError
from sglc.kernels.fixed_linear import fixed_linear, fixed_linear_ref
from sglc.kernels.fixed_linear_triton import (
    HALF_TILES,
    Tile,
    _tile,
    fixed_linear_triton,
    tiles_for,
)
from sglc.kernels.rope import rope_table
from sglc.kernels.testing import ERROR_RATIO, error_ratio

SHAPES = [(1, 16, 16), (7, 97, 48), (65, 130, 200), (130, 33, 128)]  # T, N, K
EPS = 1e-5


def draw(*shape: int, dtype: torch.dtype, seed: int, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=generator) * scale).to(dtype).to(DEVICE)


@pytest.fixture(autouse=True)
def poisoned_outputs() -> Iterator[None]:
    """New tensors are full of NaN (torch does that on request): what a kernel leaves out shows."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("run", [fixed_linear_triton, fixed_linear_ref])
def test_equals_float64(run, shape, dtype) -> None:
    T, N, K = shape
    x, weight = draw(T, K, dtype=dtype, seed=1), draw(N, K, dtype=dtype, seed=2)
    bias, y = draw(N, dtype=dtype, seed=3), draw(T, N, dtype=dtype, seed=4)
    exact = x.double() @ weight.double().T
    added = y.double() + exact + bias.double()
    limit = ERROR_RATIO[dtype] / 2
    assert error_ratio(run(x, weight, bias), exact + bias.double()) < limit
    in_fp32 = run(x, weight, dtype=torch.float32)
    assert in_fp32.dtype == torch.float32
    assert error_ratio(in_fp32, exact) < 2 * ERROR_RATIO[torch.float32]
    assert run(x, weight, bias, adds_to=y) is y
    assert error_ratio(y, added) < limit


@pytest.mark.usefixtures("ordered_products")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_row_is_the_same_bits_in_any_batch(dtype) -> None:
    """Alone, at other places, among other rows, with NaN beside it."""
    N, K = 70, 200
    x, weight = draw(150, K, dtype=dtype, seed=1), draw(N, K, dtype=dtype, seed=2)
    expected = fixed_linear_triton(x, weight, dtype=torch.float32)
    for first, count in ((0, 1), (5, 3), (64, 64), (3, 140), (149, 1)):
        rows = slice(first, first + count)
        found = fixed_linear_triton(x[rows].clone(), weight, dtype=torch.float32)
        assert torch.equal(found, expected[rows])
    order = torch.randperm(150, generator=torch.Generator().manual_seed(5)).to(DEVICE)
    assert torch.equal(fixed_linear_triton(x[order], weight, dtype=torch.float32), expected[order])
    x[::2] = torch.nan
    assert torch.equal(fixed_linear_triton(x, weight, dtype=torch.float32)[1::2], expected[1::2])


@pytest.mark.parametrize("tile", HALF_TILES, ids=str)
def test_every_tile_is_right(tile: Tile) -> None:
    dtype = torch.float16
    x, weight = draw(131, 144, dtype=dtype, seed=1), draw(259, 144, dtype=dtype, seed=2)
    y = fixed_linear_triton(x, weight, tile=tile)
    assert error_ratio(y, x.double() @ weight.double().T) < ERROR_RATIO[dtype] / 2


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_stands_around_the_products(dtype) -> None:
    """The products of a layer against float64."""
    T, H, K, D, inner = 9, 4, 2, 16, 40
    E = H * D
    x, norm = draw(T, E, dtype=dtype, seed=1), draw(E, dtype=dtype, seed=2)
    wide = x.double()
    h = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + EPS) * norm.double()
    weight = draw(2 * inner, E, dtype=dtype, seed=3, scale=0.1)
    gate, up = (h @ weight.double().T).chunk(2, -1)
    limit = ERROR_RATIO[dtype]
    assert error_ratio(fixed_products.gated_linear(x, norm, EPS, weight), F.silu(gate) * up) < limit
    logits = fixed_products.logits(x, norm, EPS, weight)
    assert logits.dtype == torch.float32
    assert error_ratio(logits, h @ weight.double().T) < limit
    qkv = draw((H + 2 * K) * D, E, dtype=dtype, seed=4, scale=0.1)
    pools, exact_pools = ([torch.zeros(20, K, D, dtype=d, device=DEVICE) for _ in range(2)]
                          for d in (dtype, torch.float64))  # fmt: skip
    places = torch.arange(T, device=DEVICE)
    table = rope_table(tuple(0.9**i for i in range(D // 2)), 32, 1.0).to(DEVICE)
    place = qkv_rope_write.Place(places, places + 3, table, *pools)
    q = fixed_products.rotated_qkv(x, norm, EPS, qkv, None, place, None, None)
    exact = qkv_rope_write.qkv_rope_write_ref(
        h @ qkv.double().T, places, places + 3, table, *exact_pools
    )
    assert error_ratio(q, exact) < limit
    for pool, exact_pool in zip(pools, exact_pools, strict=True):
        assert error_ratio(pool, exact_pool) < limit


@pytest.mark.parametrize(
    ("T", "N", "K", "chosen"),
    [
        (1, 28672, 4096, 2),
        (40, 28672, 4096, 1),
        (40, 4096, 4096, 2),  # too few programs of the larger ones
        (512, 4096, 4096, 0),
        (512, 4096, 4100, 1),  # rows that the copy engine does not take
    ],
)
def test_the_tile_follows_from_shapes(T: int, N: int, K: int, chosen: int) -> None:
    x = torch.empty(T, K, dtype=torch.float16)
    assert _tile(HALF_TILES, x, N) == HALF_TILES[chosen]


def test_refuses_shapes() -> None:
    x = torch.zeros(2, 16)
    with pytest.raises(KernelError, match="weights of 16 columns"):
        fixed_linear(x, torch.zeros(3, 8))
    with pytest.raises(KernelError, match=r"sums \[2, 3\]"):
        fixed_linear(x, torch.zeros(3, 16), adds_to=torch.zeros(3, 3))


# an 8B model's products, one of a small model, and one that no tile divides
LARGE = [(6144, 4096), (4096, 14336), (28672, 4096), (49152, 576), (1000, 1000)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("N", "K"), [pytest.param(*shape, marks=NEEDS_GPU) for shape in LARGE])
def test_no_tile_changes_a_bit(N: int, K: int, dtype: torch.dtype) -> None:
    """At full size: every tile, every number of rows that changes the tile, and other places."""
    assert tiles_for(DEVICE, dtype) == HALF_TILES
    x, weight = draw(700, K, dtype=dtype, seed=1), draw(N, K, dtype=dtype, seed=2, scale=0.02)
    expected = fixed_linear_triton(x, weight, tile=HALF_TILES[-1], dtype=torch.float32)
    assert error_ratio(expected, x.double() @ weight.double().T) < 1e-4
    for tile in HALF_TILES:
        assert torch.equal(fixed_linear_triton(x, weight, tile=tile, dtype=torch.float32), expected)
    for count in (1, 16, 33, 64, 65, 200, 512, 699):
        last = x[-count:].clone()
        found = fixed_linear_triton(last, weight, dtype=torch.float32)
        assert torch.equal(found, expected[-count:])
