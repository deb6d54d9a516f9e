"""What a program asks becomes calls: which wait for which, and records in one go."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from sglc.bench.bench import record_calls
from sglc.bench.calls import Call, GenCall, ScoreCall, waves_of
from sglc.bench.work import Work
from sglc.compiler.driver import compile_file
from sglc.runtime.model.load import load_config
from sglc.runtime.model.locate import locate
from sglc.runtime.session import EngineOptions, open_session

SMALL = "max_tokens=3, temperature=0, ignore_eos=true"


@pytest.fixture(scope="module")
def calls_of_program(tiny_model: Path):
    files = locate(str(tiny_model))
    session = open_session(str(tiny_model))

    def calls(source: str, rows: list) -> list[Call]:
        plan = compile_file(None, source, spec=session.spec).plan
        options = EngineOptions("cpu", "float32", "dummy")
        return record_calls(Work(plan, session, files, load_config(files), rows, options))

    return calls


def test_waves_follow_the_longest_chain_of_gens(calls_of_program) -> None:
    calls = calls_of_program(
        f"""
program main(a: str):
    "{{a}}"
    gen first({SMALL})
    fork word in ["x", "y", "z"] as words:
        "{{word}}"
        gen second({SMALL})
        if word == "x":
            "more"
            gen third({SMALL})
    join words
    select last from [" a", " mill"]
    return last
""",
        [{"a": "the river"}, {"a": "a boat"}],
    )
    by_wave = Counter((call.wave, type(call).__name__) for call in calls)
    assert by_wave == {
        (0, "GenCall"): 2,
        (1, "GenCall"): 6,
        (2, "GenCall"): 2,
        (3, "ScoreCall"): 2,
    }
    assert [len(wave) for wave in waves_of(calls)] == [2, 6, 2, 2]
    assert all(call.num_tokens == 3 for call in calls if isinstance(call, GenCall))
    # what comes later goes on from what came before
    firsts = {call.row: call for call in calls if call.wave == 0}
    for call in calls:
        first = firsts[call.row].prompt
        assert call.prompt[: len(first)] == first
    scored = [call for call in calls if isinstance(call, ScoreCall)]
    assert all(len(call.choices) == 2 for call in scored)


def test_a_record_is_one_call(calls_of_program) -> None:
    calls = calls_of_program(
        """
type Inner:
    size: int(0..9)
    kind: "old" | "new"
type Outer:
    name: str(max_length=4)
    inner: Inner
program main(a: str):
    "{a}: "
    gen thing: Outer (max_tokens=80, temperature=0)
    " and "
    gen word(max_tokens=2, temperature=0, ignore_eos=true)
    return thing
""",
        [{"a": "a mill"}, {"a": "boats"}],
    )
    assert Counter((call.row, call.wave) for call in calls) == {
        (row, wave): 1 for row in (0, 1) for wave in (0, calls[-1].wave)
    }
    for call in calls:
        assert isinstance(call, GenCall)
        # {"name":"","inner":{"size":1,"kind":"old"}} is at least so many tokens
        assert call.num_tokens == 2 or call.num_tokens > 10
