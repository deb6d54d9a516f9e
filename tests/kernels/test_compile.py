"""Attention and fixed products compile for a GPU, and their products go to its matrix units."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("compile_for_gpu.py")


@pytest.mark.slow
def test_kernels_compile_for_hopper() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, str(PROGRAM)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == [
        "decode, groups False: wgmma True",
        "decode, groups True: wgmma True",
        "prefill: wgmma True",
        "tables, cut False: m64n128k16 m64n64k16",
        "tables, cut True: m64n128k16 m64n64k16",
        "fixed product 128 x 128: m64n128k16",
        "fixed product 64 x 64: m64n64k16",
        "fixed product 64 x 32: m64n32k16",
        "row log-sum-exp",
    ]
