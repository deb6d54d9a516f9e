"""Kernels of ours in CUDA C++: loaded once a device, launched on torch's current stream.

A launch is one call of the driver: nothing waits, nothing is allocated, and a stream that is being
captured takes it into the graph. The first launch on a device builds and loads the kernel, so it
comes before any capture.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Mapping

import torch
from torch import Tensor

from sglc.kernels.nvrtc import machine_code

Argument = Tensor | int | float | ctypes.Array[ctypes.c_char] | None
"""Pointers, 32-bit numbers, bytes as they are, null pointers."""

_MAX_DYNAMIC_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
_PROGRAMMATIC_STREAM_SERIALIZATION = 6  # CU_LAUNCH_ATTRIBUTE_...
_FREE_SHARED = 48 * 1024  # bytes a block gets without asking


class CudaError(RuntimeError):
    """The driver refused to load or launch a kernel."""


class _Attribute(ctypes.Structure):
    """CUlaunchAttribute: an id, padding, and a union of 64 bytes."""

    _fields_ = (
        ("id", ctypes.c_int),
        ("pad", ctypes.c_char * 4),
        ("value", ctypes.c_int),
        ("rest", ctypes.c_char * 60),
    )


class _LaunchConfig(ctypes.Structure):
    """CUlaunchConfig."""

    _fields_ = (
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared", ctypes.c_uint),
        ("stream", ctypes.c_void_p),
        ("attributes", ctypes.POINTER(_Attribute)),
        ("num_attributes", ctypes.c_uint),
    )


class CudaKernel:
    """The function `entry` of `kernels/cuda/<source>.cu`, built with `defines`."""

    def __init__(self, source: str, entry: str, defines: Mapping[str, int]) -> None:
        self._source, self._entry, self._defines = source, entry, dict(defines)
        self._functions: dict[int, ctypes.c_void_p] = {}  # by device
        self._shared: dict[int, int] = {}  # dynamic shared bytes asked for, by device

    def __call__(
        self,
        grid: tuple[int, int, int],
        block: int,
        *arguments: Argument,
        shared: int = 0,
        overlaps: bool = False,
    ) -> None:
        """Launch on the current device and stream. A kernel that `overlaps` may start before the
        one ahead of it is over: it executes griddepcontrol.wait before it touches what others
        write. Raises CudaError."""
        device = torch.cuda.current_device()
        function = self._functions.get(device)
        if function is None:
            function = self._functions[device] = self._load(device)
        if shared > max(_FREE_SHARED, self._shared.get(device, 0)):
            check(driver().cuFuncSetAttribute(function, _MAX_DYNAMIC_SHARED, shared))
            self._shared[device] = shared
        values = [_as_c(argument) for argument in arguments]
        pointers = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
        config = _LaunchConfig(grid, (block, 1, 1), shared, torch.cuda.current_stream().cuda_stream)
        if overlaps:
            attribute = _Attribute(_PROGRAMMATIC_STREAM_SERIALIZATION, b"", 1)
            config.attributes, config.num_attributes = ctypes.pointer(attribute), 1
        check(driver().cuLaunchKernelEx(ctypes.byref(config), function, pointers, None))

    def _load(self, device: int) -> ctypes.c_void_p:
        torch.cuda.current_stream().synchronize()  # torch makes the device's context current
        major, minor = torch.cuda.get_device_capability(device)
        # wgmma and its like need the `a` target, which exists from Hopper on
        architecture = f"sm_{major}{minor}" + ("a" if major >= 9 else "")
        code = machine_code(self._source, self._defines, architecture)
        library = driver()
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        check(library.cuModuleLoadData(ctypes.byref(module), code))
        check(library.cuModuleGetFunction(ctypes.byref(function), module, self._entry.encode()))
        return function


def cuda_kernel(source: str, entry: str, **defines: int) -> CudaKernel:
    """The kernel, one for all who ask for the same."""
    return _kernel(source, entry, tuple(sorted(defines.items())))


@functools.cache
def _kernel(source: str, entry: str, defines: tuple[tuple[str, int], ...]) -> CudaKernel:
    return CudaKernel(source, entry, dict(defines))


def _as_c(
    argument: Argument,
) -> ctypes.c_void_p | ctypes.c_int32 | ctypes.c_float | ctypes.Array[ctypes.c_char]:
    if isinstance(argument, ctypes.Array):
        return argument
    if isinstance(argument, Tensor):
        return ctypes.c_void_p(argument.data_ptr())
    if isinstance(argument, float):
        return ctypes.c_float(argument)
    return ctypes.c_void_p(None) if argument is None else ctypes.c_int32(argument)


@functools.cache
def driver() -> ctypes.CDLL:
    """The CUDA driver's library."""
    return ctypes.CDLL("libcuda.so.1")


def check(result: int) -> None:
    """Raises CudaError unless a call of the driver has succeeded."""
    if result != 0:
        text = ctypes.c_char_p()
        driver().cuGetErrorString(result, ctypes.byref(text))
        raise CudaError(f"CUDA: {(text.value or b'unknown error').decode()} ({result})")
