"""From model files to what a program needs: the spec for compiling, the transformer for running.

`load_spec` needs no torch; `load_model` imports it when called.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sglc.codegen.plan import ModelIdentity
from sglc.runtime.model.chat import derive_markup, end_of_turn
from sglc.runtime.model.config import ModelConfig, config_from_gguf, config_from_hf
from sglc.runtime.model.errors import ModelError
from sglc.runtime.model.gguf_file import GgufFile, open_gguf
from sglc.runtime.model.gguf_vocabulary import gguf_vocabulary
from sglc.runtime.model.hf_vocabulary import hf_vocabulary
from sglc.runtime.model.json_file import read_json, read_json_if_there
from sglc.runtime.model.locate import Layout, ModelFiles
from sglc.runtime.model.spec import ModelSpec
from sglc.runtime.model.tokenizer import BpeTokenizer

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from sglc.runtime.models.transformer import Transformer

LOAD_FORMATS = ("auto", "dummy")


def load_config(files: ModelFiles) -> ModelConfig:
    """The model's geometry. Raises ModelError."""
    if files.layout is Layout.GGUF:
        return _gguf_config(open_gguf(files.path))
    return config_from_hf(read_json(files.path / "config.json"))


def _gguf_config(file: GgufFile) -> ModelConfig:
    factors = None
    if "rope_freqs.weight" in file.tensors:
        factors = tuple(file.read("rope_freqs.weight").tolist())
    has_output = "output.weight" in file.tensors
    return config_from_gguf(file.metadata, has_output=has_output, rope_factors=factors)


def load_spec(files: ModelFiles) -> ModelSpec:
    """What the compiler needs: identity, tokenizer, markup. Raises ModelError."""
    if files.layout is Layout.GGUF:
        file = open_gguf(files.path)
        config, vocabulary = _gguf_config(file), gguf_vocabulary(file.metadata)
        template = file.metadata.get("tokenizer.chat_template")
    else:
        config = load_config(files)
        vocabulary, template = hf_vocabulary(files.path), _folder_template(files.path)
    markup = derive_markup(template, vocabulary)
    vocabulary = vocabulary.with_eos(end_of_turn(markup))
    digest = hashlib.sha256(f"{vocabulary.hash()}\n{template or ''}".encode())
    identity = ModelIdentity(
        reference=files.reference,
        architecture=config.architecture,
        config_hash=config.hash(),
        tokenizer_hash=digest.hexdigest(),
        context_len=config.context_len,
    )
    return ModelSpec(identity, BpeTokenizer(vocabulary, config.vocab_size), markup)


def _folder_template(folder: Path) -> str | None:
    """The folder's chat template, wherever its version of transformers put it."""
    path = folder / "chat_template.jinja"
    if path.exists():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ModelError(f"{path} cannot be read: {error}") from error
    for name in ("chat_template.json", "tokenizer_config.json"):
        found = read_json_if_there(folder / name).get("chat_template")
        if isinstance(found, list):
            named = {entry["name"]: entry["template"] for entry in found}
            found = named.get("default")
        if isinstance(found, str):
            return found
    return None


def load_model(
    files: ModelFiles,
    *,
    device: torch.device | str = "auto",
    dtype: torch.dtype | str = "auto",
    load_format: str = "auto",
) -> Transformer:
    """The model on `device` in `dtype`, ready to run.

    `load_format` "dummy" draws random weights on the device instead of reading them.
    dtype "auto" is bfloat16 where the device multiplies it natively, else float32 (float16 on a
    GPU without it). Raises ModelError, also where the weights are more than the memory.
    """
    import torch

    from sglc.runtime.models.device import free_bytes, resolve_device, resolve_dtype
    from sglc.runtime.models.parameters import empty_parameters, slots
    from sglc.runtime.models.transformer import Transformer

    if load_format not in LOAD_FORMATS:
        raise ModelError(f"no load format `{load_format}`; known: {', '.join(LOAD_FORMATS)}")
    place = resolve_device(device)
    config = load_config(files)
    kind = resolve_dtype(dtype, place)
    size, free = empty_parameters(config, torch.device("meta"), kind).num_bytes, free_bytes(place)
    if size > free:
        raise ModelError(
            f"the weights take {size / 1e9:.1f} GB as {str(kind).removeprefix('torch.')}, but "
            f"{free / 1e9:.1f} GB of memory are free on the device: take a smaller model, or "
            "another --device or --dtype"
        )
    parameters = empty_parameters(config, place, kind)
    if load_format == "dummy":
        from sglc.runtime.models.dummy import fill_randomly

        fill_randomly(parameters)
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
