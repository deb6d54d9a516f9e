"""From a model's name to the files it lies in, fetching them when they are not on this machine.

A name is one of: None or "smollm2-135m-instruct" (the embedded model), a folder in Hugging Face
layout, a .gguf file, a hub id "org/name". Knows nothing of what is inside the files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from sglc.runtime.model.errors import ModelError

DEFAULT_MODEL = "smollm2-135m-instruct"

Progress = Callable[[str, int, int | None], None]
"""(what is being fetched, bytes so far, bytes in all or None)."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_HUB_FILES = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model"]
_HUB_SKIPPED = ["consolidated*", "original/*", "onnx/*", "*/*.safetensors"]


class Layout(Enum):
    FOLDER = "Hugging Face folder"
    GGUF = "GGUF file"


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where a model lies. `reference` is the name that finds it again (absolute for a path)."""

    reference: str
    layout: Layout
    path: Path


def locate(name: str | None, *, fetch: bool = True, progress: Progress | None = None) -> ModelFiles:
    """The files of the model called `name`. With `fetch` False nothing is downloaded.

    Raises ModelError when there is no such model, or it cannot be fetched.
    """
    if name is None or name == DEFAULT_MODEL:
        from sglc.runtime.model.embedded import embedded_model

        path = embedded_model(fetch=fetch, progress=progress)
        return ModelFiles(DEFAULT_MODEL, Layout.GGUF, path)
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"{path} is not a model: it has no config.json")
        return ModelFiles(os.path.abspath(path), Layout.FOLDER, path)
    if path.is_file():
        if path.suffix.lower() != ".gguf":
            raise ModelError(f"{path} is not a model: give a folder or a .gguf file")
        return ModelFiles(os.path.abspath(path), Layout.GGUF, path)
    if path.suffix.lower() == ".gguf" or not _HUB_ID.fullmatch(name):
        raise ModelError(
            f"there is no model `{name}`: give {DEFAULT_MODEL}, a folder in Hugging Face layout, "
            "a .gguf file, or a hub id such as org/name"
        )
    return ModelFiles(name, Layout.FOLDER, _hub_folder(name, fetch, progress))


def _hub_folder(name: str, fetch: bool, progress: Progress | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    if progress is not None:
        progress(name, 0, None)
    try:
        folder = snapshot_download(
            name,
            allow_patterns=_HUB_FILES,
            ignore_patterns=_HUB_SKIPPED,
            local_files_only=not fetch,
        )
    except LocalEntryNotFoundError as error:
        why = "the hub cannot be reached" if fetch else "fetching is off"
        raise ModelError(
            f"`{name}` is not on this machine, and {why}; a folder or a .gguf file needs no hub"
        ) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"`{name}` cannot be fetched from the hub: {reason}") from error
    if not (Path(folder) / "config.json").is_file():
        raise ModelError(f"`{name}` is not a model that can be run here: it has no config.json")
    return Path(folder)
