"""Which device and number type a model runs in when the user leaves it open; what is free there."""

from __future__ import annotations

import os

import torch

from sglc.runtime.model.errors import ModelError

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def resolve_device(device: torch.device | str) -> torch.device:
    """ "auto" is the GPU where there is one. Raises ModelError for one that is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ModelError(f"there is no device `{device}`; known: auto, cpu, cuda") from error
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise ModelError("no CUDA device is usable on this machine; use --device cpu")
    return resolved


def resolve_dtype(dtype: torch.dtype | str, device: torch.device) -> torch.dtype:
    """ "auto" is bfloat16 where the device multiplies it natively. Raises ModelError."""
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float16
        return torch.bfloat16 if cpu_multiplies_bf16() else torch.float32
    if dtype not in _DTYPES:
        raise ModelError(f"there is no dtype `{dtype}`; known: auto, {', '.join(_DTYPES)}")
    return _DTYPES[dtype]


def cpu_multiplies_bf16() -> bool:
    """True when the processor has bfloat16 products (AVX512-BF16 or AMX)."""
    capabilities = torch.backends.cpu.get_cpu_capability() if hasattr(torch.backends, "cpu") else ""
    if not capabilities.startswith("AVX512"):
        return False
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def free_bytes(device: torch.device) -> int:
    """Memory of the device that can be had now."""
    if device.type == "cuda":
        # what torch keeps for later tensors counts as free
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            fields = dict(line.split(":", 1) for line in lines)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        # no such file outside Linux: take half of what the machine has for free
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
