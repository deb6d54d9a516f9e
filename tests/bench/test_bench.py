"""`sglc bench` from the command line, on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sglc.bench.ceilings import Ceilings
from sglc.bench.floor import floor_seconds
from sglc.cli import main
from sglc.runtime.model.load import load_config
from sglc.runtime.model.locate import locate

PROGRAM = """
program main(word: str):
    defaults temperature=0, ignore_eos=true
    "the old river runs past a mill and {word}"
    gen first(max_tokens=4)
    fork side in ["a", "b"] as sides:
        "{side}"
        gen more(max_tokens=3)
    select last from [" boat", " mill"]
    gen size: int(1..99)
    return [first, [s.more for s in sides], last, size]
"""
ROWS = [{"word": word} for word in ("boats", "clear", "wait", "12", "judge")]


@pytest.fixture
def bench(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    program, inputs = tmp_path / "main.sgl", tmp_path / "rows.jsonl"
    program.write_text(PROGRAM)
    inputs.write_text("".join(json.dumps(row) + "\n" for row in ROWS))

    def run(*more: str) -> tuple[int, str, str]:
        code = main(
            ["bench", str(program), "--inputs", str(inputs), "--model", str(tiny_model),
             "--load-format", "dummy", "--device", "cpu", "--dtype", "float32", *more]
        )  # fmt: skip
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_counts_are_the_programs(bench) -> None:
    code, out, _ = bench("--json", "--repeat", "2")
    result = json.loads(out)
    assert code == 0
    best = result["best"]
    assert (best["rows"], best["failed"], best["requests"]) == (5, 0, 5 * 5)
    tokens = best["tokens"]
    assert tokens["decoded"] + tokens["forced"] >= 5 * (4 + 2 * 3 + 1)
    assert 0 < tokens["prefilled"] < tokens["prompt"] and tokens["saved"] > 0
    assert tokens["scored"] > 0 and best["peak_kv_tokens"] > 0
    # keys and values of 2 layers x 2 heads x 16 numbers of 4 bytes
    assert best["peak_kv_bytes"] == best["peak_kv_tokens"] * 2 * 2 * 2 * 16 * 4
    assert 0 < best["first_row_seconds"] <= best["seconds"]
    shares = best["shares"]
    parts = [shares[name] for name in ("prefill", "decode", "sampling", "masks", "host")]
    assert all(0 <= part <= 1 for part in parts)
    assert sum(parts) == pytest.approx(1, abs=1e-6)
    assert shares["prefill"] + shares["decode"] == pytest.approx(shares["model"])
    assert 0 < best["ceiling_share"] < 1
    assert result["ceilings"]["copy_bandwidth"] > 1e8


def test_the_report_has_a_line_of_each(bench) -> None:
    code, out, err = bench("--repeat", "1", "--limit", "3", "--baseline", "transformers")
    assert code == 0 and "run 1 of 1" in err
    for what in (
        "rows      3 in",
        "first run",
        "saved",
        "KV",
        "prefill",
        "ceilings",
        "generate: 3",
    ):
        assert what in out
    assert "no constraints" in out


def test_settings_change_times_and_nothing_else(bench) -> None:
    code, out, _ = bench("--json", "--repeat", "1", "--ablate")
    assert code == 0
    result = json.loads(out)
    runs = {each["setting"]: each["run"] for each in result["ablations"]}
    assert list(runs) == [
        "no sharing", "no tree", "arrival order", "random order", "no parallelism",
    ]  # fmt: skip
    assert [each["changed_rows"] for each in result["ablations"]] == [0] * 5
    best = result["best"]
    prefilled = best["tokens"]["prefilled"]
    assert runs["no sharing"]["tokens"]["prefilled"] > 2 * prefilled
    assert runs["no tree"]["tokens"]["prefilled"] == prefilled
    assert runs["no parallelism"]["steps"] > best["steps"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--baseline", "openai"], "--baseline openai and --base-url URL go together"),
        (["--base-url", "http://x"], "--baseline openai and --base-url URL go together"),
        (["--baseline", "openai", "--base-url", "http://127.0.0.1:9"], "cannot reach http://127"),
        (["--inputs", "nowhere.jsonl"], "cannot read nowhere.jsonl"),
    ],
)
def test_mistakes_are_sentences(bench, arguments: list[str], sentence: str) -> None:
    code, out, err = bench(*arguments)
    assert code == 2 and out == "" and sentence in err


def test_the_floor_is_the_larger_of_reading_and_multiplying(tiny_model: Path) -> None:
    config = load_config(locate(str(tiny_model)))
    # by hand: 2 layers of q, k, v, o and three products; a head of 64 x vocabulary
    layers = 2 * (64 * 64 + 2 * 64 * 32 + 64 * 64 + 3 * 64 * 128)
    head = 64 * config.vocab_size
    ceilings = Ceilings(copy_bandwidth=1e6, matmul_rate=1e9)
    reading = (layers + head) * 4 / 1e6
    few = floor_seconds(config, 4, ceilings, {1: 3}, 0)
    assert few == pytest.approx(3 * reading)
    rows = 100_000
    many = floor_seconds(config, 4, ceilings, {rows: 1}, 10)
    assert many == pytest.approx(2 * layers * rows / 1e9 + 2 * head * 10 / 1e9)
