"""fixed_linear.py on a GPU.

A program makes a tile of y and goes over all of K. `Tile` says how large it is and who brings the
blocks of x and W, which follows from the shapes; but each number of y is the same chain of the same
instructions in all of them: products of 16 columns (bf16, fp16) or 1 (fp32) are added to one fp32
sum, in order. That this holds on a device `tiles_for` tries when it is first asked, and takes a
single tile where it does not.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

GROUP = 8  # tiles of rows that go over the columns together: they find the weights in the L2 cache
FILL = 90  # programs that are enough for a device of 132 multiprocessors


class Tile(NamedTuple):
    """Rows and columns of y, and columns of x a step; warps, and steps on their way. If they
    `come_whole` the device's copy engine brings the blocks, from rows of whole 16 bytes; which is
    fast for rows that are there, and slow for those that would only fill up."""

    M: int
    N: int
    K: int
    num_warps: int
    num_stages: int
    come_whole: bool


# from large to small: of ten the best for an 8B model's matrices (H100, 1 to 8192 rows, 2026-11)
HALF_TILES = (
    Tile(128, 128, 64, 4, 4, come_whole=True),
    Tile(64, 64, 128, 4, 3, come_whole=False),
    Tile(64, 32, 128, 4, 4, come_whole=False),
)
FLOAT_TILES = (Tile(64, 64, 32, 4, 2, come_whole=False),)


# values that differ between batches must not make another kernel
@triton.jit(do_not_specialize=["T"])
def _fixed_linear_kernel(
    x_from, weight_from, bias_ptr, y_ptr, T, N, K,
    COME_WHOLE: tl.constexpr, IS_EVEN: tl.constexpr, HAS_BIAS: tl.constexpr, ADDS: tl.constexpr,
    TILE_M: tl.constexpr, TILE_N: tl.constexpr, TILE_K: tl.constexpr, GROUP: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """`x_from` and `weight_from` are descriptors of blocks if these `COME_WHOLE`, else pointers;
    `IS_EVEN` says that the steps of K come out even."""
    program = tl.program_id(0)
    across = tl.cdiv(N, TILE_N)
    first = program // (GROUP * across) * GROUP
    size = tl.minimum(tl.cdiv(T, TILE_M) - first, GROUP)
    within = program % (GROUP * across)
    first_row = (first + within % size) * TILE_M
    first_column = within // size * TILE_N
    m = first_row + tl.arange(0, TILE_M)
    n = first_column + tl.arange(0, TILE_N)
    k = tl.arange(0, TILE_K)
    sums = tl.zeros([TILE_M, TILE_N], tl.float32)
    for start in range(0, K, TILE_K):
        # zeros beyond the edges; columns beyond N are made from any weights, and not stored
        if COME_WHOLE:
            x = x_from.load([first_row, start])
            weight = weight_from.load([first_column, start])
        else:
            is_there = ((start + k < K) | IS_EVEN)[None, :]
            x_at = m.to(tl.int64)[:, None] * K + (start + k)[None, :]
            weight_at = (n % N).to(tl.int64)[:, None] * K + (start + k)[None, :]
            x = tl.load(x_from + x_at, mask=(m < T)[:, None] & is_there, other=0.0)
            weight = tl.load(weight_from + weight_at, mask=is_there, other=0.0)
        sums = tl.dot(x, tl.trans(weight), sums, input_precision=PRECISION)
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
    T, N = len(x), len(weight)
    y = x.new_empty((T, N), dtype=dtype) if adds_to is None else adds_to
    if T:
        tile = tile or _tile(tiles_for(x.device, x.dtype), x, N)
        _launch(tile, x, weight, bias, y, adds=adds_to is not None)
    return y


def _launch(
    tile: Tile, x: Tensor, weight: Tensor, bias: Tensor | None, y: Tensor, *, adds: bool
) -> None:
    (T, K), N = x.shape, len(weight)
    _fixed_linear_kernel[(_num_programs(tile, T, N),)](
        TensorDescriptor.from_tensor(x, [tile.M, tile.K]) if tile.come_whole else x,
        TensorDescriptor.from_tensor(weight, [tile.N, tile.K]) if tile.come_whole else weight,
        bias, y, T, N, K,
        COME_WHOLE=tile.come_whole, IS_EVEN=K % tile.K == 0,
        HAS_BIAS=bias is not None, ADDS=adds,
        TILE_M=tile.M, TILE_N=tile.N, TILE_K=tile.K, GROUP=GROUP,
        PRECISION="ieee" if x.dtype == torch.float32 else "tf32",
        num_warps=tile.num_warps, num_stages=tile.num_stages,
    )  # fmt: skip


def _num_programs(tile: Tile, T: int, N: int) -> int:
    return -(-T // tile.M) * -(-N // tile.N)


def _tile(tiles: tuple[Tile, ...], x: Tensor, N: int) -> Tile:
    """The largest tile that the rows fill by half and whose programs fill the device, else the
    smallest."""
    T, K = x.shape
    can_come = K * x.itemsize % 16 == 0
    for tile in tiles:
        fills = 2 * T > tile.M and _num_programs(tile, T, N) >= FILL
        if fills and (can_come or not tile.come_whole):
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
    return HALF_TILES if is_same else HALF_TILES[1:2]
