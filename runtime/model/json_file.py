"""Reading the JSON objects that lie beside a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sglc.runtime.model.errors import ModelError


def read_json(path: Path) -> dict[str, Any]:
    """Raises ModelError when the file is missing, damaged or not an object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} does not hold a JSON object")
    return content


def read_json_if_there(path: Path) -> dict[str, Any]:
    """An empty object for a file that is not there."""
    return read_json(path) if path.exists() else {}
