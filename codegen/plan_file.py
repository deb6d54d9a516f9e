"""A plan as one file: a safetensors container, read by mapping it.

    8 bytes   length of the header, little endian
    header    JSON: {"__metadata__": {"format", "version", "checksum"}, one entry a tensor}
    tensors   constants.offsets I64 [C+1], constants.ids I32 [N], those of constraints
              (`constraint_file.py`), document U8 [D]; wide items first, so that all are aligned

The document is the plan as JSON (`ir/host/codec.py`), but for the constants' token ids and the
constraints' tables. The checksum is the sha256 of the whole file with the checksum's own digits as
zeros. What is read of tensors are views of the file's bytes.
Laws: the same plan gives the same bytes; a file that is foreign, cut off, damaged or of another
version is refused with one sentence that says so and what to do.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import mmap
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sglc.codegen.constraint_file import Stored, Tensors, pack, unpack
from sglc.codegen.plan import FORMAT_VERSION, Plan
from sglc.ir.host.codec import CodecError, codec

_FORMAT = "sglc-plan"
_START = b'{"__metadata__":{"format":"' + _FORMAT.encode()
_NO_CHECKSUM = "0" * 64
_DTYPES: dict[str, np.dtype[Any]] = {
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


@dataclass(frozen=True, slots=True)
class _Document:
    """The plan without what is in tensors, and what these are."""

    plan: Plan
    constraints: tuple[Stored, ...]


class PlanError(Exception):
    """The bytes are no plan that this sglc can run; the text is one sentence for the user."""


def write_plan(plan: Plan) -> bytes:
    """The plan's file; equal plans give equal bytes."""
    ids = [constant.ids for constant in plan.constants]
    offsets = list(itertools.accumulate((len(i) for i in ids), initial=0))
    bare = tuple(replace(constant, ids=()) for constant in plan.constants)
    stored, tables = pack(plan.constraints)
    document = _Document(replace(plan, constants=bare, constraints=()), stored)
    text = json.dumps(codec(_Document).encode(document), separators=(",", ":")).encode("ascii")
    tensors = {
        "constants.offsets": np.array(offsets, "<i8"),
        "constants.ids": np.fromiter(itertools.chain.from_iterable(ids), "<i4", offsets[-1]),
        **tables,
        "document": np.frombuffer(text, np.uint8),
    }
    tensors = dict(sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize))
    header = _header(tensors)
    body = b"".join(tensor.tobytes() for tensor in tensors.values())
    digest = _checksum(header, body)
    return header.replace(_NO_CHECKSUM.encode(), digest.encode(), 1) + body


def read_plan(source: bytes | Path) -> Plan:
    """The plan that `write_plan` wrote. Raises PlanError."""
    if isinstance(source, bytes):
        return _parse(source, "the plan")
    name = f"`{source.name}`"
    try:
        with source.open("rb") as file:
            if file.seek(0, 2) == 0:
                raise PlanError(f"{name} is empty, so it is no plan: compile the program again")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _parse(data, name)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PlanError(f"{name} cannot be read: {reason}") from error


def is_plan(path: Path) -> bool:
    """Whether a file begins as a plan does; no when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(8 + len(_START))[8:] == _START
    except OSError:
        return False


def _parse(data: bytes | mmap.mmap, name: str) -> Plan:
    """`name` is what the sentences call the file."""
    if data[8 : 8 + len(_START)] != _START:
        raise PlanError(
            f"{name} is not a plan of sglc: `sglc compile program.sgl -o plan.bin` makes one "
            "(a program's name ends in .sgl)"
        )
    damaged = PlanError(f"{name} is damaged: copy it anew or compile the program again")
    (header_len,) = struct.unpack("<Q", data[:8])
    header = data[8 : 8 + header_len]
    try:
        entries = json.loads(header)
        metadata = entries.pop("__metadata__")
        version, checksum = int(metadata["version"]), str(metadata["checksum"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        if header_len > len(data) - 8 and header_len < 1 << 24:
            raise _cut_off(name, len(data), None) from None
        raise damaged from None
    if version != FORMAT_VERSION:
        age, act = (
            ("a newer", "update sglc, or compile the program again with this one")
            if version > FORMAT_VERSION
            else ("an older", "compile the program again")
        )
        raise PlanError(
            f"{name} was written by {age} sglc (plan format {version}, this one reads "
            f"{FORMAT_VERSION}): {act}"
        )
    try:
        size = 8 + header_len + max(int(entry["data_offsets"][1]) for entry in entries.values())
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise damaged from None
    if len(data) < size:
        raise _cut_off(name, len(data), size)
    body = data[8 + header_len :]
    unsigned = data[:8] + header.replace(checksum.encode(), _NO_CHECKSUM.encode(), 1)
    if len(data) > size or _checksum(unsigned, body) != checksum:
        raise damaged
    try:
        return _plan({tensor: _view(entry, body) for tensor, entry in entries.items()})
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        reason = f" ({error})" if isinstance(error, CodecError) else ""
        raise PlanError(
            f"{name} holds what this sglc does not know{reason}: compile the program again"
        ) from error


def _plan(tensors: Tensors) -> Plan:
    """Raises ValueError, TypeError or KeyError where the tensors are not those of a plan."""
    document: _Document = codec(_Document).decode(json.loads(tensors["document"].tobytes()))
    bounds, ids = tensors["constants.offsets"].tolist(), tensors["constants.ids"].tolist()
    plan = document.plan
    constants = tuple(
        replace(constant, ids=tuple(ids[start:end]))
        for constant, (start, end) in zip(plan.constants, itertools.pairwise(bounds), strict=True)
    )
    constraints = unpack(document.constraints, tensors)
    return replace(plan, constants=constants, constraints=constraints)


def _view(entry: dict[str, Any], body: bytes) -> NDArray[Any]:
    """A tensor of the body. Raises ValueError, TypeError or KeyError where there is none."""
    dtype, (start, end) = _DTYPES[entry["dtype"]], entry["data_offsets"]
    view: NDArray[Any] = np.ndarray(entry["shape"], dtype, body, start)
    if start + view.nbytes != end:
        raise ValueError("a tensor of another size than its place")
    return view


def _header(tensors: Tensors) -> bytes:
    """Length and JSON of a header without its checksum, padded so that tensors are aligned."""
    entries: dict[str, object] = {
        "__metadata__": {
            "format": _FORMAT,
            "version": str(FORMAT_VERSION),
            "checksum": _NO_CHECKSUM,
        }
    }
    start = 0
    names = {dtype: name for name, dtype in _DTYPES.items()}
    for name, tensor in tensors.items():
        end = start + tensor.nbytes
        shape, places = list(tensor.shape), [start, end]
        entries[name] = {"dtype": names[tensor.dtype], "shape": shape, "data_offsets": places}
        start = end
    text = json.dumps(entries, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _checksum(header: bytes, body: bytes) -> str:
    digest = hashlib.sha256(header)
    digest.update(body)
    return digest.hexdigest()


def _cut_off(name: str, found: int, expected: int | None) -> PlanError:
    of = f" of {expected:,}" if expected is not None else ""
    return PlanError(
        f"{name} is cut off: {found:,}{of} bytes are there; "
        "copy it anew or compile the program again"
    )
