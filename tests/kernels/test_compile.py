"""The attention kernels compile for a GPU, and their products go to its matrix units."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("compile_for_gpu.py")


@pytest.mark.slow
def test_attention_compiles_for_hopper() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, str(PROGRAM)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == [
        "decode, groups False: wgmma True",
        "decode, groups True: wgmma True",
        "prefill: wgmma True",
    ]
