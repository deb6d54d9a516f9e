"""A model folder without weights, for all tests of sglc bench."""

from __future__ import annotations

from pathlib import Path

import pytest

from sglc.bench.tiny_model import write_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny_model")
    write_tiny_model(folder)
    return folder
