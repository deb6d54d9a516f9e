"""From model files to what a program needs: the spec for compiling, the transformer for running.

`load_spec` needs no torch; `load_model` imports it when called.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sglc.runtime.model.config import ModelConfig, config_from_gguf, config_from_hf
from sglc.runtime.model.errors import ModelError
from sglc.runtime.model.gguf_file import GgufFile, open_gguf
from sglc.runtime.model.locate import Layout, ModelFiles

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from sglc.runtime.models.transformer import Transformer

LOAD_FORMATS = ("auto", "dummy")


def load_config(files: ModelFiles) -> ModelConfig:
    """The model's geometry. Raises ModelError."""
    if files.layout is Layout.GGUF:
        return _gguf_config(open_gguf(files.path))
    return config_from_hf(read_json(files, "config.json"))


def _gguf_config(file: GgufFile) -> ModelConfig:
    factors = None
    if "rope_freqs.weight" in file.tensors:
        factors = tuple(file.read("rope_freqs.weight").tolist())
    has_output = "output.weight" in file.tensors
    return config_from_gguf(file.metadata, has_output=has_output, rope_factors=factors)


def read_json(files: ModelFiles, name: str) -> dict[str, Any]:
    """One of the folder's JSON files. Raises ModelError when it is missing or damaged."""
    path = files.path / name
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} does not hold a JSON object")
    return content


def load_model(
    files: ModelFiles,
    *,
    device: torch.device | str = "auto",
    dtype: torch.dtype | str = "auto",
    load_format: str = "auto",
    seed: int = 0,
) -> Transformer:
    """The model on `device` in `dtype`, ready to run.

    `load_format` "dummy" draws random weights from `seed` on the device instead of reading them.
    dtype "auto" is bfloat16 where the device multiplies it natively, else float32 (float16 on a
    GPU without it). Raises ModelError.
    """
    from sglc.runtime.models.device import resolve_device, resolve_dtype
    from sglc.runtime.models.parameters import empty_parameters, slots
    from sglc.runtime.models.transformer import Transformer

    if load_format not in LOAD_FORMATS:
        raise ModelError(f"no load format `{load_format}`; known: {', '.join(LOAD_FORMATS)}")
    place = resolve_device(device)
    config = load_config(files)
    parameters = empty_parameters(config, place, resolve_dtype(dtype, place))
    if load_format == "dummy":
        from sglc.runtime.models.dummy import fill_randomly

        fill_randomly(parameters, seed)
    else:
        _fill(slots(parameters, config), _checkpoint(files, config), files)
    return Transformer(config, parameters)


def _checkpoint(files: ModelFiles, config: ModelConfig) -> Iterator[tuple[str, Tensor]]:
    from sglc.runtime.model.weights import gguf_stream, safetensors_stream

    if files.layout is Layout.GGUF:
        return gguf_stream(open_gguf(files.path), config)
    return safetensors_stream(files.path)


def _fill(
    places: dict[str, Tensor], checkpoint: Iterator[tuple[str, Tensor]], files: ModelFiles
) -> None:
    """Copy each tensor to its place; every place must be filled and every tensor placed."""
    from sglc.runtime.models.parameters import is_redundant

    empty = dict(places)
    for name, tensor in checkpoint:
        place = empty.pop(name, None)
        if place is None:
            if is_redundant(name, places):
                continue
            raise ModelError(
                f"{files.path} holds a tensor `{name}` that this architecture does not have"
            )
        if place.shape != tensor.shape:
            raise ModelError(
                f"{files.path}: `{name}` is {list(tensor.shape)}, "
                f"but the config asks for {list(place.shape)}"
            )
        place.copy_(tensor)
    if empty:
        few = ", ".join(sorted(empty)[:3])
        raise ModelError(f"{files.path} lacks {len(empty)} tensors, {few} among them")
