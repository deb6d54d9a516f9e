"""A plan as one file: a safetensors container, read by mapping it.

    8 bytes   length of the header, little endian
    header    JSON: {"__metadata__": {"format", "version", "checksum"}, one entry a tensor}
    tensors   constants.offsets I64 [C+1], constants.ids I32 [N], document U8 [D]

The document is the plan as JSON (`ir/host/codec.py`), but for the constants' token ids, which are
tensors. The checksum is the sha256 of the whole file with the checksum's own digits as zeros.
Laws: the same plan gives the same bytes; a file that is foreign, cut off, damaged or of another
version is refused with one sentence that says so and what to do.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import mmap
import struct
from dataclasses import replace
from pathlib import Path

from sglc.codegen.plan import FORMAT_VERSION, Plan
from sglc.ir.host.codec import CodecError, codec

_FORMAT = "sglc-plan"
_START = b'{"__metadata__":{"format":"' + _FORMAT.encode()
_NO_CHECKSUM = "0" * 64
_ITEM_SIZE = {"I64": 8, "I32": 4, "U8": 1}
_TENSORS = {"constants.offsets": "I64", "constants.ids": "I32", "document": "U8"}


class PlanError(Exception):
    """The bytes are no plan that this sglc can run; the text is one sentence for the user."""


def write_plan(plan: Plan) -> bytes:
    """The plan's file; equal plans give equal bytes."""
    ids = [constant.ids for constant in plan.constants]
    offsets = list(itertools.accumulate((len(i) for i in ids), initial=0))
    bare = replace(plan, constants=tuple(replace(c, ids=()) for c in plan.constants))
    document = json.dumps(codec(Plan).encode(bare), separators=(",", ":")).encode("ascii")
    tensors = {
        "constants.offsets": struct.pack(f"<{len(offsets)}q", *offsets),
        "constants.ids": struct.pack(f"<{offsets[-1]}i", *itertools.chain.from_iterable(ids)),
        "document": document,
    }
    header = _header(tensors)
    body = b"".join(tensors.values())
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
        raise PlanError(f"{name} cannot be read: {error.strerror or error}") from error


def _parse(data: bytes | mmap.mmap, name: str) -> Plan:
    """`name` is what the sentences call the file."""
    if data[8 : 8 + len(_START)] != _START:
        raise PlanError(
            f"{name} is not a plan of sglc: `sglc compile program.sgl -o plan.bin` makes one"
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
        ends = [entries[tensor]["data_offsets"] for tensor in _TENSORS]
        size = 8 + header_len + int(ends[-1][1])
    except (ValueError, KeyError, TypeError, IndexError):
        raise damaged from None
    if len(data) < size:
        raise _cut_off(name, len(data), size)
    body = data[8 + header_len :]
    unsigned = data[:8] + header.replace(checksum.encode(), _NO_CHECKSUM.encode(), 1)
    if len(data) > size or _checksum(unsigned, body) != checksum:
        raise damaged
    try:
        offsets, ids, document = (body[start:end] for start, end in ends)
        bounds = struct.unpack(f"<{len(offsets) // 8}q", offsets)
        all_ids = struct.unpack(f"<{len(ids) // 4}i", ids)
        plan: Plan = codec(Plan).decode(json.loads(document))
        constants = tuple(
            replace(constant, ids=all_ids[start:end])
            for constant, (start, end) in zip(
                plan.constants, itertools.pairwise(bounds), strict=True
            )
        )
    except (ValueError, TypeError, struct.error, RecursionError) as error:
        reason = f" ({error})" if isinstance(error, CodecError) else ""
        raise PlanError(
            f"{name} holds what this sglc does not know{reason}: compile the program again"
        ) from error
    return replace(plan, constants=constants)


def _header(tensors: dict[str, bytes]) -> bytes:
    """Length and JSON of a header without its checksum, padded so that tensors are aligned."""
    entries: dict[str, object] = {
        "__metadata__": {
            "format": _FORMAT,
            "version": str(FORMAT_VERSION),
            "checksum": _NO_CHECKSUM,
        }
    }
    start = 0
    for name, dtype in _TENSORS.items():
        end = start + len(tensors[name])
        shape = [len(tensors[name]) // _ITEM_SIZE[dtype]]
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
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
