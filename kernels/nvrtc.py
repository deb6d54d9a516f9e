"""CUDA C++ to machine code at run time, with the NVRTC that comes with torch: no nvcc is needed.

Machine code is kept on disk under a name that is a hash of all it depends on: the source, the
definitions, the architecture and the compiler's version. Files are written aside and renamed, so
any number of processes may build the same kernel at once.
Knows nothing of devices that are present: any architecture can be compiled for.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import os
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

SOURCES = Path(__file__).parent / "cuda"
_OPTIONS = ("--std=c++17", "--extra-device-vectorization")


class NvrtcError(RuntimeError):
    """There is no NVRTC, or it refused a source: a fault of ours or of the installation."""


def machine_code(source: str, defines: Mapping[str, int], architecture: str) -> bytes:
    """The cubin of `kernels/cuda/<source>.cu` for an architecture like "sm_90", from the disk where
    it was built before. Raises NvrtcError."""
    text = (SOURCES / f"{source}.cu").read_text(encoding="utf-8")
    headers = _headers(text)
    options = [*_OPTIONS, f"--gpu-architecture={architecture}"]
    options += [f"-D{name}={value}" for name, value in sorted(defines.items())]
    version = ".".join(map(str, nvrtc_version()))
    parts = (text, *headers.values(), *options, version)
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    path = _cache_folder() / f"{source}-{key[:32]}.cubin"
    try:
        return path.read_bytes()
    except OSError:
        pass
    code = _compile(source, text, headers, options)
    _keep(path, code)
    return code


def _headers(text: str) -> dict[str, str]:
    """The sources that `text` includes, and those that they do, by name."""
    found: dict[str, str] = {}
    for name in re.findall(r'^#include "([\w.]+)"', text, re.MULTILINE):
        header = (SOURCES / name).read_text(encoding="utf-8")
        found |= {name: header, **_headers(header)}
    return found


def nvrtc_version() -> tuple[int, int]:
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(_library(), _library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return major.value, minor.value


def _compile(name: str, text: str, headers: Mapping[str, str], options: list[str]) -> bytes:
    nvrtc = _library()
    program = ctypes.c_void_p()
    source, file = text.encode(), f"{name}.cu".encode()
    included, names = _strings(headers.values()), _strings(headers)
    created = nvrtc.nvrtcCreateProgram(
        ctypes.byref(program), source, file, len(headers), included, names
    )
    _check(nvrtc, created)
    try:
        if nvrtc.nvrtcCompileProgram(program, len(options), _strings(options)) != 0:
            log = _read(nvrtc, program, "ProgramLog").rstrip(b"\0").decode(errors="replace")
            raise NvrtcError(f"NVRTC refused kernels/cuda/{name}.cu:\n{log}")
        return _read(nvrtc, program, "CUBIN")
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _strings(texts: Collection[str]) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * len(texts))(*(text.encode() for text in texts))


def _read(nvrtc: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _check(nvrtc, getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    data = ctypes.create_string_buffer(size.value)
    _check(nvrtc, getattr(nvrtc, f"nvrtcGet{what}")(program, data))
    return data.raw


def _check(nvrtc: ctypes.CDLL, result: int) -> None:
    if result != 0:
        nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
        raise NvrtcError(f"NVRTC: {nvrtc.nvrtcGetErrorString(result).decode()}")


@functools.cache
def _library() -> ctypes.CDLL:
    for path in _candidates():
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    raise NvrtcError("no NVRTC library was found; the package nvidia-cuda-nvrtc has one")


def _candidates() -> Iterator[str]:
    """The library of the wheels that torch requires, newest first, then the system's."""
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        found = Path(folder).glob("*/lib/libnvrtc.so.*")
        # libnvrtc.so.12 and .13, not libnvrtc.alt.so.13
        yield from sorted(map(str, found), key=lambda path: int(path.rpartition(".")[2]))[::-1]
    yield from ("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so")


def _cache_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("sglc")) / "kernels"


def _keep(path: Path, code: bytes) -> None:
    """Write whole or not at all; a disk that cannot be written to only costs the next build."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, aside = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(code)
            os.replace(aside, path)
        except OSError:
            os.unlink(aside)
    except OSError:
        return
