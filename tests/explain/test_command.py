"""`sglc explain` and `sglc run --profile` as commands, with a tiny model of random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from sglc.bench.tiny_model import write_tiny_model
from sglc.cli import main
from sglc.explain import page
from sglc.runtime.planner import costs

SCHEMA = json.loads(Path(page.__file__).with_name("schema.json").read_text())
PROGRAM = """
program rate(text: str):
    defaults temperature=0, ignore_eos=true
    system "You rate what you read."
    user "{text}"
    fork aspect in ["wit", "care"] as views:
        user "Rate its {aspect}."
        assistant:
            gen words(max_tokens=6)
    return [v.words for v in views]
"""

Sglc = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder)
    return folder


@pytest.fixture
def sglc(
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Sglc:
    """Runs a command in a folder with prog.sgl, plan.bin and data.jsonl."""
    device = costs.Calibration("test", "float32", 1e10, ((1, 1e9), (64, 1e10)), 1e-6, 1e-9)
    monkeypatch.setattr(costs, "calibration", lambda device_type, dtype: device)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prog.sgl").write_text(PROGRAM)
    rows = [{"text": text} for text in ("One.", "One and two.", "Quite another.", "One.")]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["compile", "prog.sgl", "--model", str(tiny_model), "-o", "plan.bin"]) == 0
    capfd.readouterr()

    def call(*args: str) -> tuple[int, str, str]:
        return main(args), *capfd.readouterr()

    return call


RUN = ("run", "plan.bin", "--inputs", "data.jsonl", "--load-format", "dummy", "-o", "out.jsonl")


def test_what_is_predicted_is_what_happens(sglc: Sglc) -> None:
    """With lengths that are known, all counts are those of the run."""
    code, _, err = sglc(*RUN, "--profile", "profile.json")
    assert code == 0, err
    batch = ("explain", "plan.bin", "--inputs", "data.jsonl", "--profile", "profile.json")
    code, out, err = sglc(*batch, "--json")
    assert code == 0, err
    found = json.loads(out)
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    assert found["batch"]["lengths_are_known"]
    compared = {each["what"]: each for each in found["compared"]}
    for what in ("rows", "prompt tokens", "prefilled", "decoded", "peak KV", "steps"):
        assert compared[what]["predicted"] == compared[what]["actual"] > 0, what
    assert compared["prefill"]["actual"] > 0 and compared["decode"]["actual"] > 0
    text = sglc(*batch)[1]
    assert "predicted against actual:" in text and "trie:" in text


def test_a_profile_adds_up(sglc: Sglc, tmp_path: Path) -> None:
    assert sglc(*RUN, "--profile", "profile.json")[0] == 0
    profile = json.loads((tmp_path / "profile.json").read_text())
    steps, totals = profile["steps"], profile["totals"]
    assert totals["steps"] == len(steps["at"]) == len(steps["kv"]) >= 6
    for name in ("prefilled", "decoded", "scored", "recomputed", "forced"):
        assert sum(steps[name]) == totals[f"{name}_tokens"]
    assert steps["at"] == sorted(steps["at"])
    assert max(steps["kv"]) == totals["peak_kv_tokens"]
    for phase, seconds in profile["phases"].items():
        assert sum(steps["seconds"][phase]) == pytest.approx(seconds, abs=1e-4)
    assert sum(profile["phases"].values()) < profile["seconds"]


def test_the_page_is_written(sglc: Sglc, tmp_path: Path) -> None:
    code, out, err = sglc("explain", "prog.sgl", "--model", "{}", "--html", "page.html")
    assert code == 2 and "page.html" not in err
    code, out, err = sglc("explain", "plan.bin", "--inputs", "data.jsonl", "--html", "page.html")
    assert (code, out) == (0, "") and err == "sglc: wrote page.html\n"
    text = (tmp_path / "page.html").read_text()
    assert text.startswith("<!doctype html>") and "You rate what you read." in text


def test_a_plan_alone(sglc: Sglc) -> None:
    code, out, _ = sglc("explain", "plan.bin")
    assert code == 0
    blocks = [line for line in out.splitlines() if line.endswith(":") and line[0] != " "]
    assert blocks[:4] == [
        "model:",
        "context length:",
        "dataflow:",
        "KV of one row at its peak, in tokens:",
    ]
    assert json.loads(sglc("explain", "plan.bin", "--json")[1])["batch"] is None


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--profile", "profile.json"], "give the run's --inputs"),
        (["--inputs", "data.jsonl", "--profile", "missing.json"], "missing.json"),
        (["--inputs", "data.jsonl", "--profile", "data.jsonl"], "is no profile"),
        (["--inputs", "data.jsonl", "--profile", "other.json"], "another version"),
        (["--inputs", "missing.jsonl"], "missing.jsonl"),
        (["--html", "no/such/folder.html"], "no/such/folder.html"),
        (["--sample", "data.jsonl"], "--sample is for .sgl files"),
    ],
)
def test_what_is_wrong_is_told(sglc: Sglc, tmp_path: Path, args: list[str], told: str) -> None:
    (tmp_path / "other.json").write_text('{"format": 99}')
    code, out, err = sglc("explain", "plan.bin", *args)
    assert (code, out) == (2, "") and told in err
    assert "Traceback" not in err


def test_a_profile_that_cannot_be_written_is_told_before_the_run(sglc: Sglc) -> None:
    code, _, err = sglc(*RUN, "--profile", "no/such/profile.json")
    assert code == 2 and "no/such/profile.json" in err
