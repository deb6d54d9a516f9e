"""Settings take turns, what is slow is given up, and outcomes are compared as people would."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from sglc.bench import rounds
from sglc.bench.measure import TookTooLong
from sglc.bench.outcomes import num_changed
from sglc.bench.settings import Setting
from sglc.runtime.row import RowDone, RowFailed
from sglc.runtime.session import EngineOptions

A, B, C = (Setting(name, name, {"order": name}) for name in "abc")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch):
    """A clock and runs that take as long as they are told: by setting, one after another."""
    clock = SimpleNamespace(now=0.0, took={}, begun=[])

    def measure(work, options: EngineOptions, limit: float = math.inf):
        times = clock.took[options.order]
        seconds = times[clock.begun.count(options.order) % len(times)]
        clock.begun.append(options.order)
        clock.now += min(seconds, limit)
        if seconds > limit:
            raise TookTooLong
        return SimpleNamespace(seconds=seconds)

    monkeypatch.setattr(rounds, "measure", measure)
    monkeypatch.setattr(rounds, "perf_counter", lambda: clock.now)
    return clock


def take_turns(count: int, **limits: float):
    work = SimpleNamespace(options=EngineOptions())
    return rounds.take_turns(work, [A, B, C], count, say=lambda what: None, **limits)


def test_settings_take_turns_and_the_fastest_counts(runs) -> None:
    runs.took = {"a": [3.0, 2.0], "b": [1.0, 5.0], "c": [4.0, 4.0]}
    fastest = take_turns(2)
    assert runs.begun == list("abcabc")
    assert {name: run.seconds for name, run in fastest.items()} == {"a": 2.0, "b": 1.0, "c": 4.0}


def test_a_slow_one_is_given_up_once(runs) -> None:
    runs.took = {"a": [1.0, 1.0], "b": [9.0, 1.0], "c": [1.0, 1.0]}
    fastest = take_turns(2, patience=4)
    assert runs.begun == list("abcac") and runs.now == 8.0
    assert fastest["b"] is None


def test_nothing_is_begun_that_would_end_too_late(runs) -> None:
    runs.took = {"a": [2.0], "b": [1.0], "c": [2.0]}
    assert set(take_turns(9, until=4.5)) == {"a", "b"}
    assert runs.begun == list("abb")
    runs.begun.clear()
    # but the first run
    assert set(take_turns(9, until=-1.0)) == {"a"} and runs.begun == ["a"]


@pytest.mark.parametrize(
    ("a", "b", "changed"),
    [
        ({"x": [1.0, "y"]}, {"x": [1.00002, "y"]}, 0),
        ({"x": [1.0, "y"]}, {"x": [1.0, "z"]}, 1),
        ([-250.0], [-250.1], 0),
        ([0.5], [0.51], 1),
        (1, 1.0, 1),
        (1, True, 1),
        ([1], [1, 1], 1),
        (math.inf, math.inf, 0),
        (None, None, 0),
    ],
)
def test_changed_is_what_one_would_call_so(a, b, changed: int) -> None:
    assert num_changed([RowDone(0, a)], [RowDone(0, b)]) == changed


def test_failures_are_alike_if_they_say_the_same() -> None:
    one, two = RowFailed(0, "E1", "no"), RowFailed(0, "E1", "never")
    assert num_changed([one, one, RowDone(2, None)], [one, two, one]) == 2
