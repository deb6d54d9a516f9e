"""What each step of a run did, as a JSON file: `sglc run --profile FILE`.

The file: {"format": 1, "program", "model", "rows", "seconds": wall clock of the run without loading
the model, "totals": the engine's counts, "phases": its seconds by phase, "model_phases": those of
the model by prefill and decode, "steps": columns with an entry a step: "at" (seconds since the
start, when it ended), "prefilled", "recomputed", "scored", "decoded" and "forced" tokens, "kv"
(tokens in use at its end), and "seconds" by phase, again columns}.
Law: a step costs some 15 numbers, whatever ran in it.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from sglc.runtime.engine.request import EngineStats

FORMAT = 1

# column of the file -> what counts it
COUNTS = {
    "prefilled": "prefilled_tokens",
    "recomputed": "recomputed_tokens",
    "scored": "scored_tokens",
    "decoded": "decoded_tokens",
    "forced": "forced_tokens",
}


class ProfileError(Exception):
    """A file is no profile of this version; the text is a sentence for the user."""


class Recorder:
    """Watches an engine's counts; `note` is called after each step. Raises OSError at once where
    the file cannot be written."""

    def __init__(self, path: str, stats: EngineStats) -> None:
        with open(path, "a", encoding="utf-8"):
            self._path = path
        self._stats = stats
        self._begin = perf_counter()
        self._num_steps = stats.steps
        self._at = array("d")
        self._kv = array("q")
        self._counts = {name: array("q") for name in COUNTS}
        self._seconds: dict[str, array[float]] = {}
        self._before = {name: getattr(stats, field) for name, field in COUNTS.items()}
        self._seconds_before = dict(stats.seconds)

    def note(self) -> None:
        """Add what was done since the last call, if the engine made a step."""
        stats = self._stats
        if stats.steps == self._num_steps:
            return
        self._num_steps = stats.steps
        self._at.append(perf_counter() - self._begin)
        self._kv.append(stats.kv_tokens)
        for name, field in COUNTS.items():
            now = getattr(stats, field)
            self._counts[name].append(now - self._before[name])
            self._before[name] = now
        for phase, spent in stats.seconds.items():
            if phase not in self._seconds:
                self._seconds[phase] = array("d", bytes(8 * (len(self._at) - 1)))
            self._seconds[phase].append(spent - self._seconds_before.get(phase, 0.0))
            self._seconds_before[phase] = spent

    def write(self, program: str, model: str, num_rows: int) -> None:
        """Write the file, over what was in it."""
        totals = asdict(self._stats)
        phases, model_phases = totals.pop("seconds"), totals.pop("model_seconds")
        steps: dict[str, Any] = {"at": _rounded(self._at), "kv": self._kv.tolist()}
        steps |= {name: column.tolist() for name, column in self._counts.items()}
        steps["seconds"] = {phase: _rounded(column) for phase, column in self._seconds.items()}
        record = {
            "format": FORMAT,
            "program": program,
            "model": model,
            "rows": num_rows,
            "seconds": perf_counter() - self._begin,
            "totals": totals,
            "phases": phases,
            "model_phases": model_phases,
            "steps": steps,
        }
        text = json.dumps(record, separators=(",", ":"))
        Path(self._path).write_text(text + "\n", encoding="utf-8")


def _rounded(seconds: array[float]) -> list[float]:
    return [round(each, 7) for each in seconds]


@dataclass(frozen=True, slots=True)
class Profile:
    """A run that was recorded. Fields are the file's."""

    program: str
    model: str
    rows: int
    seconds: float
    totals: Mapping[str, int]
    phases: Mapping[str, float]
    model_phases: Mapping[str, float]
    steps: Mapping[str, Any]


def read_profile(path: str) -> Profile:
    """Read a file that `Recorder.write` wrote. Raises ProfileError, OSError."""
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        if record.pop("format") != FORMAT:
            raise ProfileError(f"{path} is a profile of another version of sglc: record it again")
        return Profile(**record)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ProfileError(f"{path} is no profile: `sglc run --profile FILE` writes one") from None
