"""What is said of a run's progress, on a pipe and on a terminal."""

import io

import pytest

from sglc.runtime import progress
from sglc.runtime.engine.request import EngineStats
from sglc.runtime.progress import FetchProgress, Progress


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


STATS = EngineStats(prompt_tokens=1000, prefilled_tokens=250, decoded_tokens=500)


def test_a_line_every_ten_seconds_on_a_pipe(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    told = Progress(STATS, num_before=5)
    for second in range(25):
        clock.now = 1000.0 + second
        told.update(5 + second, 105)
    told.close()
    assert capsys.readouterr().err.splitlines() == [
        "15 of 105 rows: 1 rows/s, prefill 25 tok/s, decode 50 tok/s, "
        "75% of prompt tokens saved, 0:01:30 left",
        "25 of 105 rows: 1 rows/s, prefill 12 tok/s, decode 25 tok/s, "
        "75% of prompt tokens saved, 0:01:20 left",
    ]


def test_a_stream_has_no_end_to_tell(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    told = Progress(EngineStats())
    clock.now += 10
    told.update(3, None)
    assert capsys.readouterr().err == "3 rows: 0.3 rows/s, prefill 0 tok/s, decode 0 tok/s\n"


def test_the_last_line(clock: Clock) -> None:
    told = Progress(STATS)
    clock.now += 3700
    assert told.summary(3700, 2).startswith("3,700 rows, 2 failed in 1:01:40: 1 rows/s, ")
    clock.now += 0.5
    assert Progress(STATS).summary(1, 0).startswith("1 row in 0.0 s: ")
    fast = Progress(STATS)
    clock.now += 0.5
    assert fast.summary(1234, 0).startswith("1,234 rows in 0.5 s: 2,468 rows/s, ")
    shared = Progress(EngineStats(requests=50, merged_requests=150))
    assert shared.summary(10, 0).endswith(", 75% of gens shared")


def test_a_bar_fits_a_terminal(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    told = Progress(STATS)
    clock.now += 1
    told.update(50, 200)
    told.close()
    assert "50/200" in terminal.getvalue()
    assert "50 rows/s, prefill 250/s, decode 500/s, 75% saved" in terminal.getvalue()


def test_a_download_is_one_line_on_a_pipe(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    told = FetchProgress()
    for done in (0, 40_000_000, 93_000_000):
        told("the model", done, 93_000_000)
    assert capsys.readouterr().err == "fetching the model (93 MB)\n"
