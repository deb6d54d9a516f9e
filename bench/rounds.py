"""Runs of a program with one setting after another, again and again.

Law: settings take turns, so that what slows the machine for a while slows all of them; of each the
fastest run counts.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Sequence
from time import perf_counter

from sglc.bench.measure import Measured, TookTooLong, measure
from sglc.bench.settings import Setting
from sglc.bench.work import Work

Fastest = dict[str, Measured | None]
"""By the setting's name; None is a run that was given up."""


def take_turns(
    work: Work,
    settings: Sequence[Setting],
    rounds: int,
    *,
    say: Callable[[str], None],
    until: float = math.inf,
    patience: float = math.inf,
) -> Fastest:
    """The fastest of `rounds` runs with each setting. What would not be done by the time `until`,
    as earlier runs tell, is not begun, but for the first run of all. A run that takes over
    `patience` times the first setting's is given up, and its setting not tried again."""
    fastest: Fastest = {}
    base = math.inf  # seconds of the first setting's fastest run
    for number in range(1, rounds + 1):
        gc.collect()  # machines of earlier runs, which are cycles, hold their engines' KV
        for setting in settings:
            known = fastest.get(setting.name)
            is_given_up = known is None and setting.name in fastest
            guess = base if known is None else known.seconds
            if is_given_up or (fastest and perf_counter() + guess > until):
                continue
            say(f"round {number} of {rounds}: {setting.what}")
            try:
                run = measure(work, setting.apply(work.options), patience * base)
            except TookTooLong:
                fastest.setdefault(setting.name, None)
                continue
            if known is None or run.seconds < known.seconds:
                fastest[setting.name] = run
            if setting is settings[0]:
                base = min(base, run.seconds)
    return fastest
