"""What kernels for Hopper share on the host: which devices these are, and tensor maps, by which the
copy engine finds the tiles of a tensor (CUtensorMap of the driver).

A map is a pure function of an address, sizes and strides, so equal ones are made once.
"""

from __future__ import annotations

import ctypes
import functools

import torch

from sglc.kernels.cuda_kernel import check, driver

TensorMap = ctypes.Array[ctypes.c_char]

_BYTES, _ALIGNMENT = 128, 64
_BFLOAT16 = 9  # CU_TENSOR_MAP_DATA_TYPE_...
_SWIZZLE_128B = 3
_L2_256B = 3
_PLAIN = 0  # no interleaving; zeros where a tile reaches past the tensor


@functools.lru_cache(maxsize=4096)
def tensor_map(
    address: int, sizes: tuple[int, ...], strides: tuple[int, ...], box: tuple[int, ...]
) -> TensorMap:
    """The map of a bf16 tensor, innermost dimension first, whose elements lie together there;
    `strides` of the others, in bytes, are multiples of 16. A tile of `box` is laid down with its
    rows of 128 bytes swizzled. Raises CudaError."""
    rank = len(sizes)
    memory = ctypes.create_string_buffer(_BYTES + _ALIGNMENT)
    there = (ctypes.c_char * _BYTES).from_buffer(memory, -ctypes.addressof(memory) % _ALIGNMENT)
    made = driver().cuTensorMapEncodeTiled(
        there,
        _BFLOAT16,
        rank,
        ctypes.c_void_p(address),
        (ctypes.c_uint64 * rank)(*sizes),
        (ctypes.c_uint64 * (rank - 1))(*strides),
        (ctypes.c_uint32 * rank)(*box),
        (ctypes.c_uint32 * rank)(*[1] * rank),
        _PLAIN,
        _SWIZZLE_128B,
        _L2_256B,
        _PLAIN,
    )
    check(made)
    return there


@functools.cache
def is_hopper(device: torch.device) -> bool:
    """True where there are wgmma and the copy engine; kernels are built for just these devices."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) == (9, 0)


@functools.cache
def num_processors(device: torch.device) -> int:
    """Multiprocessors of the device."""
    return int(torch.cuda.get_device_properties(device).multi_processor_count)
