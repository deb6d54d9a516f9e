"""fixed_linear.py on a GPU.

A program makes a tile of y and goes over all of K; blocks of x and W are brought by the device's
copy engine, where it has one, and need rows of whole 16 bytes for it. `Tile` says how large they
are, which follows from the shapes; but each number of y is the same chain of the same instructions
in all of them: products of 16 columns (bf16, fp16) or 1 (fp32) are added to one fp32 sum, in order.
That this holds on a device `tiles_for` tries when it is first asked, and takes a single tile where
it does not.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from sglc.kernels.contract import require

GROUP = 8  # tiles of rows that go over the columns together: they find the weights in the L2 cache
FILL = 120  # programs that nearly fill a device of 132 multiprocessors


class Tile(NamedTuple):
    """Rows and columns of y and columns of x a step; warps, and steps on their way."""

    M: int
    N: int
    K: int
    num_warps: int
    num_stages: int


# from large to small
HALF_TILES = (Tile(128, 256, 64, 8, 3), Tile(128, 128, 64, 8, 4), Tile(64, 64, 128, 4, 3),
              Tile(64, 32, 128, 4, 4))  # fmt: skip
FLOAT_TILES = (Tile(64, 64, 32, 4, 2),)


# values that differ between batches must not make another kernel
@triton.jit(do_not_specialize=["T"])
def _fixed_linear_kernel(
    x_block, weight_block, bias_ptr, y_ptr, T, N, K,
    HAS_BIAS: tl.constexpr, ADDS: tl.constexpr,
    TILE_M: tl.constexpr, TILE_N: tl.constexpr, TILE_K: tl.constexpr, GROUP: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    across = tl.cdiv(N, TILE_N)
    first = program // (GROUP * across) * GROUP
    size = tl.minimum(tl.cdiv(T, TILE_M) - first, GROUP)
    within = program % (GROUP * across)
    first_row = (first + within % size) * TILE_M
    first_column = within // size * TILE_N
    sums = tl.zeros([TILE_M, TILE_N], tl.float32)
    for start in range(0, K, TILE_K):
        # zeros beyond the edges
        x = x_block.load([first_row, start])
        weight = weight_block.load([first_column, start])
        sums = tl.dot(x, tl.trans(weight), sums, input_precision=PRECISION)
    m = first_row + tl.arange(0, TILE_M)
    n = first_column + tl.arange(0, TILE_N)
    if HAS_BIAS:
        sums += tl.load(bias_ptr + n, mask=n < N, other=0.0).to(tl.float32)[None, :]
    at = y_ptr + m.to(tl.int64)[:, None] * N + n[None, :]
    is_inside = (m < T)[:, None] & (n < N)[None, :]
    if ADDS:
        sums += tl.load(at, mask=is_inside, other=0.0).to(tl.float32)
    tl.store(at, sums.to(y_ptr.dtype.element_ty), mask=is_inside)


def fixed_linear_triton(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    adds_to: Tensor | None = None,
    dtype: torch.dtype | None = None,
    tile: Tile | None = None,
) -> Tensor:
    """`fixed_linear` in Triton, wherever the tensors are: its interpreter takes the CPU's. `tile`
    is for tests."""
    (T, K), N = x.shape, len(weight)
    require(K * x.itemsize % 16 == 0, "fixed_linear", f"rows of whole 16 bytes, got {K} columns")
    y = x.new_empty((T, N), dtype=dtype) if adds_to is None else adds_to
    if T:
        tile = tile or _tile(tiles_for(x.device, x.dtype), T, N)
        _launch(tile, x, weight, bias, y, adds=adds_to is not None)
    return y


def _launch(
    tile: Tile, x: Tensor, weight: Tensor, bias: Tensor | None, y: Tensor, *, adds: bool
) -> None:
    (T, K), N = x.shape, len(weight)
    _fixed_linear_kernel[(_num_programs(tile, T, N),)](
        TensorDescriptor.from_tensor(x, [tile.M, tile.K]),
        TensorDescriptor.from_tensor(weight, [tile.N, tile.K]),
        bias, y, T, N, K,
        HAS_BIAS=bias is not None, ADDS=adds,
        TILE_M=tile.M, TILE_N=tile.N, TILE_K=tile.K, GROUP=GROUP,
        PRECISION="ieee" if x.dtype == torch.float32 else "tf32",
        num_warps=tile.num_warps, num_stages=tile.num_stages,
    )  # fmt: skip


def _num_programs(tile: Tile, T: int, N: int) -> int:
    return -(-T // tile.M) * -(-N // tile.N)


def _tile(tiles: tuple[Tile, ...], T: int, N: int) -> Tile:
    """The largest tile that T rows fill by half and whose programs fill the device, else the
    smallest."""
    for tile in tiles:
        if 2 * T > tile.M and _num_programs(tile, T, N) >= FILL:
            return tile
    return tiles[-1]


@cache
def tiles_for(device: torch.device, dtype: torch.dtype) -> tuple[Tile, ...]:
    """The tiles that give the same bits on `device`, from large to small."""
    if dtype == torch.float32:
        return FLOAT_TILES
    if device.type != "cuda":
        return HALF_TILES[-1:]
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(n, 1088, generator=generator).to(device, dtype) for n in (200, 300))
    smallest = fixed_linear_triton(x, weight, tile=HALF_TILES[-1], dtype=torch.float32)
    is_same = all(
        torch.equal(smallest, fixed_linear_triton(x, weight, tile=tile, dtype=torch.float32))
        for tile in HALF_TILES[:-1]
    )
    return HALF_TILES if is_same else HALF_TILES[2:3]
