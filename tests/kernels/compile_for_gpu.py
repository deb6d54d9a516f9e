"""Compiles attention and fixed products for a GPU that need not be there, and prints how each ends.

The interpreter, which the other tests use, takes what the compiler may refuse; a process has one of
them, so this is a program of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import torch
from triton import JITFunction, compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from sglc.kernels import (
    decode_attention_triton,
    fixed_linear_triton,
    prefill_attention,
    row_logsumexp_triton,
    table_attention_triton,
    table_work,
)
from sglc.kernels.decode_work import BLOCK, NARROW, WIDE
from sglc.kernels.prefill_work import QUERIES

HOPPER = GPUTarget("cuda", 90, 32)
HEADS = {"K": 8, "G": 4, "D": 128}
FLOATS = ("x_ptr", "y_ptr", "lse_ptr", "total_ptr", "peak_ptr")  # fp32 unless they are bf16


def assembly(
    fn: JITFunction,
    constants: dict[str, object],
    bf16: tuple[str, ...],
    others: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """PTX of `fn` with pools in bf16, partial results in fp32, tables in int32, and `others` with
    their types."""
    names = ("num_warps", "num_stages", "maxnreg")
    options = {name: constants.pop(name) for name in names if name in constants}
    signature = {}
    for name in fn.arg_names:
        if name in constants:
            signature[name] = "constexpr"
        elif name in others:
            signature[name] = others[name]
        elif name.endswith("_ptr"):
            partial = name in FLOATS and name not in bf16
            signature[name] = "*bf16" if name in bf16 else "*fp32" if partial else "*i32"
        else:
            signature[name] = "fp32" if name == "scale" else "i32"
    source = ASTSource(fn=fn, signature=signature, constexprs=constants)
    ptx: str = compile(source, target=HOPPER, options=options).asm["ptx"]
    return ptx


def main() -> None:
    for has_groups in (False, True):
        constants = {
            **HEADS, "HAS_GROUPS": has_groups, "GROUP": 4, "BLOCK": BLOCK, "NARROW": NARROW,
            "WIDE": WIDE, "MERGE": 2, **decode_attention_triton._tiles(torch.bfloat16, 128),
        }  # fmt: skip
        ptx = assembly(
            decode_attention_triton._decode_kernel,
            constants,
            ("q_ptr", "k_ptr", "v_ptr", "out_ptr"),
        )
        print(f"decode, groups {has_groups}: wgmma {'wgmma' in ptx}")
    constants = {**HEADS, "M": QUERIES, **prefill_attention._tiles(torch.bfloat16, 128)}
    ptx = assembly(
        prefill_attention._prefill_kernel, constants, ("q_ptr", "k_ptr", "v_ptr", "y_ptr")
    )
    print(f"prefill: wgmma {'wgmma' in ptx}")
    deterministic()


def deterministic() -> None:
    """Kernels whose rows must be the same bits, and the sizes of the products they are made of:
    sums of as many numbers, whatever the tile."""
    for is_cut in (False, True):
        constants = {
            **HEADS, "IS_CUT": is_cut, "M": table_work.QUERIES, "SPAN": table_work.SPAN,
            **table_attention_triton._tiles(torch.bfloat16, 128),
        }  # fmt: skip
        ptx = assembly(
            table_attention_triton._table_kernel, constants, ("q_ptr", "k_ptr", "v_ptr", "out_ptr")
        )
        print(f"tables, cut {is_cut}: {products(ptx)}")
    for tile in fixed_linear_triton.HALF_TILES:
        constants = {
            "COME_WHOLE": tile.come_whole, "IS_EVEN": False, "HAS_BIAS": True, "ADDS": True,
            "TILE_M": tile.M, "TILE_N": tile.N, "TILE_K": tile.K,
            "GROUP": fixed_linear_triton.GROUP, "PRECISION": "tf32",
            "num_warps": tile.num_warps, "num_stages": tile.num_stages,
        }  # fmt: skip
        sources = {"x_from": "*bf16", "weight_from": "*bf16"}
        if tile.come_whole:
            rows = {"x_from": tile.M, "weight_from": tile.N}
            sources = {name: f"tensordesc<bf16[{n}, {tile.K}]>" for name, n in rows.items()}
        kernel = fixed_linear_triton._fixed_linear_kernel
        ptx = assembly(kernel, constants, ("bias_ptr", "y_ptr"), sources)
        print(f"fixed product {tile.M} x {tile.N}: {products(ptx)}")
    constants = {"BLOCK": row_logsumexp_triton.BLOCK, "num_warps": 8}
    assembly(row_logsumexp_triton._row_logsumexp_kernel, constants, ())
    print("row log-sum-exp")


def products(ptx: str) -> str:
    """The kinds of products on the matrix units."""
    return " ".join(sorted(set(re.findall(r"wgmma.mma_async\S*\.(m\d+n\d+k\d+)", ptx))))


if __name__ == "__main__":
    main()
