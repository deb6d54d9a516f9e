"""How far a run is: one bar on a terminal, a line every ten seconds on a pipe, one line at the end.

Always on stderr; results have stdout. Knows nothing about rows but their number.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from sglc.runtime.engine.request import EngineStats

if TYPE_CHECKING:
    import rich.progress

_LINE_SECONDS = 10.0
_BAR_SECONDS = 0.2


class Progress:
    """`update` may be called as often as one likes. `num_before` rows were done by an earlier
    run."""

    def __init__(self, stats: EngineStats, *, num_before: int = 0) -> None:
        self._stats = stats
        self._num_before = num_before
        self._start = self._shown = time.monotonic()
        self._bar: rich.progress.Progress | None = None
        if sys.stderr.isatty():
            self._bar = _bar()
            self._task = self._bar.add_task("rows", total=None, talk="")
            self._bar.start()

    def update(self, num_done: int, num_rows: int | None) -> None:
        """`num_done` rows are done, of about `num_rows`."""
        now = time.monotonic()
        if now - self._shown < (_LINE_SECONDS if self._bar is None else _BAR_SECONDS):
            return
        self._shown = now
        if self._bar is not None:
            self._bar.update(
                self._task,
                completed=num_done,
                total=num_rows,
                # 80 columns hold it all
                talk=self._rates(num_done).replace(" tok/s", "/s").replace(" of prompt tokens", ""),
            )
        else:
            total = "" if num_rows is None else f" of {num_rows:,}"
            left = self._time_left(num_done, num_rows)
            print(f"{num_done:,}{total} rows: {self._rates(num_done)}{left}", file=sys.stderr)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def summary(self, num_done: int, num_failed: int) -> str:
        """The line that ends a run, and the engine's notes."""
        seconds = time.monotonic() - self._start
        failed = f", {num_failed:,} failed" if num_failed else ""
        asked = self._stats.requests + self._stats.merged_requests
        merged = self._stats.merged_requests / asked if asked else 0
        shared = f", {merged:.0%} of gens shared" if merged else ""
        rows = f"{counted(num_done, 'row')}{failed}"
        line = f"{rows} in {_clock(seconds)}: {self._rates(num_done)}{shared}"
        return "\n".join([line, *(f"note: {note}" for note in self._stats.notes)])

    def _rates(self, num_done: int) -> str:
        seconds = max(time.monotonic() - self._start, 1e-9)
        stats = self._stats
        rates = (
            f"{_rate((num_done - self._num_before) / seconds)} rows/s, "
            f"prefill {stats.prefilled_tokens / seconds:,.0f} tok/s, "
            f"decode {stats.decoded_tokens / seconds:,.0f} tok/s"
        )
        if not stats.prompt_tokens:
            return rates
        from_prompts = stats.prefilled_tokens - stats.forced_tokens
        saved = max(1 - from_prompts / stats.prompt_tokens, 0.0)
        return f"{rates}, {saved:.0%} of prompt tokens saved"

    def _time_left(self, num_done: int, num_rows: int | None) -> str:
        num_now = num_done - self._num_before
        if num_rows is None or not num_now:
            return ""
        seconds = (time.monotonic() - self._start) * max(num_rows - num_done, 0) / num_now
        return f", {_clock(seconds)} left"


class FetchProgress:
    """Tells of a download: a line that counts on a terminal, one line on a pipe."""

    def __init__(self) -> None:
        self._shown = 0.0

    def __call__(self, what: str, num_bytes: int, total: int | None) -> None:
        now = time.monotonic()
        is_over = num_bytes == total
        if not self._shown:
            size = "" if total is None else f" ({total / 1e6:,.0f} MB)"
            print(f"fetching {what}{size}", file=sys.stderr)
        if sys.stderr.isatty() and total and (is_over or now - self._shown > _BAR_SECONDS):
            end = "\n" if is_over else ""
            print(f"\r{num_bytes / total:4.0%}", end=end, file=sys.stderr, flush=True)
            self._shown = now
        self._shown = self._shown or now


def counted(number: int, noun: str) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _rate(rate: float) -> str:
    """Three digits, or all before the point."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def _bar() -> rich.progress.Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeftColumn

    return Progress(
        BarColumn(bar_width=8),
        MofNCompleteColumn(),
        TextColumn("{task.fields[talk]}"),
        TimeLeftColumn(),
        console=Console(stderr=True),
        transient=True,
    )
