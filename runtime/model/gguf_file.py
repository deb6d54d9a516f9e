"""Reading a GGUF file: metadata at once, tensors one by one.

The layout is the public GGUF specification's, versions 2 and 3, little endian. Metadata is parsed
here because a compile needs it within a fraction of a second; the values of quantized tensors are
the `gguf` package's business. Knows nothing of what the keys mean.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sglc.runtime.model.errors import ModelError

if TYPE_CHECKING:
    import numpy as np

# value type -> struct code; 8 is a string, 9 an array
_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_STRING, _ARRAY = 8, 9
_MOST_DIMENSIONS = 4


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """`shape` is in row-major order, the reverse of the file's; `offset` counts from the data."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int


@dataclass(frozen=True, slots=True)
class GgufFile:
    """An open file. `data_start` is where the tensors' bytes begin."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, TensorInfo]
    data_start: int
    content: mmap.mmap

    def read(self, name: str) -> np.ndarray[Any, Any]:
        """The tensor's values as float32 (dequantized where needed), in row-major shape."""
        import numpy as np
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
        from gguf.quants import dequantize

        info = self.tensors[name]
        try:
            kind = GGMLQuantizationType(info.type)
            block_len, block_bytes = GGML_QUANT_SIZES[kind]
            count = prod(info.shape) // block_len * block_bytes
            start = self.data_start + info.offset
            raw = np.frombuffer(self.content, np.uint8, count, start)
            rows = raw.reshape(*info.shape[:-1], info.shape[-1] // block_len * block_bytes)
            values: np.ndarray[Any, Any] = dequantize(rows, kind)
        except (ValueError, KeyError, NotImplementedError) as error:
            raise ModelError(f"{self.path}: tensor `{name}` cannot be read: {error}") from error
        return np.require(values.reshape(info.shape), requirements="W")


def open_gguf(path: Path) -> GgufFile:
    """Map the file and parse everything but the tensors. Raises ModelError for what is not GGUF."""
    try:
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    cursor = _Cursor(content)
    try:
        if content[:4] != b"GGUF":
            raise ModelError(f"{path} is not a GGUF file")
        cursor.at = 4
        version = cursor.scalar("I")
        if version not in (2, 3):
            raise ModelError(f"{path} is GGUF version {version}; known: 2, 3 (little endian)")
        num_tensors, num_pairs = cursor.scalar("Q"), cursor.scalar("Q")
        metadata = {cursor.string(): cursor.value(cursor.scalar("I")) for _ in range(num_pairs)}
        tensors = [cursor.tensor_info() for _ in range(num_tensors)]
    except (struct.error, KeyError, UnicodeDecodeError, OverflowError) as error:
        raise ModelError(f"{path} is damaged or cut short") from error
    alignment = int(metadata.get("general.alignment", 32))
    return GgufFile(
        path=path,
        metadata=metadata,
        tensors={info.name: info for info in tensors},
        data_start=-(-cursor.at // alignment) * alignment,
        content=content,
    )


@dataclass(slots=True)
class _Cursor:
    """A place in the file that moves as things are read."""

    content: mmap.mmap
    at: int = 0

    def scalar(self, code: str) -> Any:
        (value,) = struct.unpack_from(f"<{code}", self.content, self.at)
        self.at += struct.calcsize(f"<{code}")
        return value

    def string(self) -> str:
        length = self.scalar("Q")
        start, self.at = self.at, self.at + length
        if self.at > len(self.content):
            raise struct.error("a string runs past the end")
        return self.content[start : self.at].decode("utf-8", errors="replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            return self.scalar(_SCALARS[kind])
        element, length = self.scalar("I"), self.scalar("Q")
        if length > len(self.content):
            raise struct.error("an array runs past the end")
        if element in (_STRING, _ARRAY):
            return [self.value(element) for _ in range(length)]
        layout = f"<{length}{_SCALARS[element]}"
        values = struct.unpack_from(layout, self.content, self.at)
        self.at += struct.calcsize(layout)
        return list(values)

    def tensor_info(self) -> TensorInfo:
        name, num_dimensions = self.string(), self.scalar("I")
        if num_dimensions > _MOST_DIMENSIONS:
            raise struct.error("a tensor with too many dimensions")
        shape = tuple(self.scalar("Q") for _ in range(num_dimensions))
        return TensorInfo(name, shape[::-1], self.scalar("I"), self.scalar("Q"))
