"""Compiles the attention kernels for a GPU that need not be there, and prints how each ends.

The interpreter, which the other tests use, takes what the compiler may refuse; a process has one of
them, so this is a program of its own.
"""

from __future__ import annotations

import torch
from triton import JITFunction, compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from sglc.kernels import decode_attention_triton, prefill_attention
from sglc.kernels.decode_work import BLOCK, NARROW, WIDE
from sglc.kernels.prefill_work import QUERIES

HOPPER = GPUTarget("cuda", 90, 32)
HEADS = {"K": 8, "G": 4, "D": 128}


def assembly(fn: JITFunction, constants: dict[str, object], bf16: tuple[str, ...]) -> str:
    """PTX of `fn` with pools in bf16, partial results in fp32 and tables in int32."""
    options = {name: constants.pop(name) for name in ("num_warps", "maxnreg") if name in constants}
    signature = {}
    for name in fn.arg_names:
        if name in constants:
            signature[name] = "constexpr"
        elif name.endswith("_ptr"):
            partial = name in ("y_ptr", "lse_ptr") and name not in bf16
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


if __name__ == "__main__":
    main()
