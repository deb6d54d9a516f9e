"""The CUDA sources build, where there is NVRTC; what is built is kept, whole, and found again."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from sglc.kernels import nvrtc
from sglc.kernels.lane_tensors import ConstraintTables, LaneTensors

SMALL_LINEAR = {"COLUMN_TILES": 1, "ROW_TILES": 2, "WARPS": 4, "DEPTH": 2, "NORMED": 1}
BUILDS = [
    ("sample_step", {"THREADS": 256}, "sm_90a"),
    *[("small_linear", SMALL_LINEAR | {"RESULT": result}, "sm_90a") for result in range(5)],
    ("small_linear", SMALL_LINEAR | {"RESULT": 3}, "sm_80"),
    ("gated_linear", {"STAGES": 4}, "sm_90a"),
    ("prefill_attention", {"D": 128, "G": 4, "STAGES": 2}, "sm_90a"),
    ("prefill_attention", {"D": 64, "G": 3, "STAGES": 4}, "sm_90a"),
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(nvrtc, "_cache_folder", lambda: tmp_path / "kernels")
    return tmp_path / "kernels"


@pytest.fixture
def compiler() -> None:
    try:
        nvrtc.nvrtc_version()
    except nvrtc.NvrtcError:
        pytest.skip("no NVRTC here")


@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize(("source", "defines", "architecture"), BUILDS, ids=str)
def test_builds(source, defines, architecture) -> None:
    code = nvrtc.machine_code(source, defines, architecture)
    assert code.startswith(b"\x7fELF")


def test_a_build_is_found_again(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def build(name: str, text: str, headers: dict[str, str], options: list[str]) -> bytes:
        built.append(options)
        return b"code %d" % len(built)

    monkeypatch.setattr(nvrtc, "_compile", build)
    monkeypatch.setattr(nvrtc, "nvrtc_version", lambda: (13, 0))
    first = nvrtc.machine_code("sample_step", {"THREADS": 256}, "sm_90a")
    assert nvrtc.machine_code("sample_step", {"THREADS": 256}, "sm_90a") == first
    assert nvrtc.machine_code("sample_step", {"THREADS": 512}, "sm_90a") != first
    assert nvrtc.machine_code("sample_step", {"THREADS": 256}, "sm_80") != first
    monkeypatch.setattr(nvrtc, "nvrtc_version", lambda: (13, 1))
    assert nvrtc.machine_code("sample_step", {"THREADS": 256}, "sm_90a") != first
    assert len(built) == 4
    assert all(path.suffix == ".cubin" for path in own_cache.iterdir())  # nothing half written


def test_a_changed_header_is_another_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    monkeypatch.setattr(nvrtc, "SOURCES", tmp_path)
    monkeypatch.setattr(nvrtc, "nvrtc_version", lambda: (13, 0))
    monkeypatch.setattr(
        nvrtc, "_compile", lambda _name, _text, headers, _options: built.append(headers) or b"code"
    )
    (tmp_path / "a.cu").write_text('#include "b.cuh"\n')
    (tmp_path / "b.cuh").write_text('#include "c.cuh"\n')
    for version in ("1", "2", "2"):
        (tmp_path / "c.cuh").write_text(version)
        nvrtc.machine_code("a", {}, "sm_80")
    assert [headers["c.cuh"] for headers in built] == ["1", "2"]


def test_a_folder_that_cannot_be_written_costs_only_time(monkeypatch, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(nvrtc, "_cache_folder", lambda: tmp_path / "file" / "kernels")
    monkeypatch.setattr(nvrtc, "_compile", lambda *_: b"code")
    monkeypatch.setattr(nvrtc, "nvrtc_version", lambda: (13, 0))
    assert nvrtc.machine_code("sample_step", {}, "sm_90a") == b"code"


@pytest.mark.usefixtures("compiler")
def test_a_source_that_is_refused(tmp_path, monkeypatch) -> None:
    (tmp_path / "bad.cu").write_text('extern "C" __global__ void bad() { nonsense; }')
    monkeypatch.setattr(nvrtc, "SOURCES", tmp_path)
    with pytest.raises(nvrtc.NvrtcError, match=r"refused kernels/cuda/bad\.cu:\n(.|\n)*nonsense"):
        nvrtc.machine_code("bad", {}, "sm_80")


def test_the_struct_of_lanes_is_in_the_order_of_the_tensors() -> None:
    text = (nvrtc.SOURCES / "sample_step.cu").read_text()
    body = text[text.index("struct Lanes {") : text.index("long long L;")]
    body = re.sub(r"//.*", "", body)
    found = re.findall(r"\*(\w+)", body)
    own = [field.name for field in fields(LaneTensors) if field.name not in ("tables", "pointers")]
    assert found == own + [field.name for field in fields(ConstraintTables)]
