"""The cost model's attention on a CPU, and what is measured for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sglc.bench.tiny_model import write_tiny_model
from sglc.runtime.model.load import load_config
from sglc.runtime.model.locate import locate
from sglc.runtime.planner import costs, measuring
from sglc.runtime.planner.costs import Calibration, step_seconds
from sglc.runtime.planner.facts import StepFacts

GPU = Calibration("x", "float32", 1e10, ((1, 1e9), (64, 1e10)), 1e-6, 1e-9)
CPU = replace(GPU, block_seconds=1e-5, attention_rate=1e9)
DECODE = StepFacts(0, 0, 0, 4, 4, 4000, 4000, 4000, 0)


def test_on_a_cpu_each_block_takes_its_time(tmp_path: Path) -> None:
    write_tiny_model(tmp_path)
    config = load_config(locate(str(tmp_path)))

    def seconds(step: StepFacts) -> float:
        return step_seconds(config, step, 4, CPU)[0]

    heads = config.num_layers * config.num_kv_heads * config.head_size / costs.HEAD_SIZE
    more = seconds(replace(DECODE, read_tokens=4000 + 32 * 50)) - seconds(DECODE)
    assert more == pytest.approx(50 * heads * CPU.block_seconds)
    assert seconds(replace(DECODE, seen_tokens=9000)) == seconds(DECODE)
    prompt = StepFacts(10, 0, 0, 0, 1, 100, 1000, 100, 0)
    twice = seconds(replace(prompt, seen_tokens=2000)) - seconds(prompt)
    operations = 4 * config.num_layers * config.num_heads * config.head_size * 1000
    assert twice == pytest.approx(operations / CPU.attention_rate)


def test_a_cpu_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "device.json"
    monkeypatch.setattr(costs, "_cache_file", lambda name: file)
    monkeypatch.setattr(measuring, "ROWS", (1, 4))
    monkeypatch.setattr(measuring, "REPEATS", 1)
    for name in ("STREAMED", "COPIED"):
        monkeypatch.setitem(getattr(measuring, name), "cpu", 1 << 23)
    found = costs.calibration("cpu", "float32")
    assert 0 < found.block_seconds < 1e-2 and found.attention_rate > 1e6
    monkeypatch.setattr(measuring, "measure", None)
    assert costs.calibration("cpu", "float32") == found
