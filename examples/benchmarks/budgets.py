"""Recomputed tokens and steps where memory is short, of rehearsed random programs whose rows go on
after gens: as on a CPU, as on a GPU, and a cache (LRU, longest prefix first).

    python examples/benchmarks/budgets.py [PROGRAMS] [ROWS]
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import sglc

sys.path.insert(0, str(Path(sglc.__file__).parent / "tests" / "runtime" / "planner"))

from lru_engine import LruRehearsal
from random_programs import MODEL, RandomProgram, random_rows, rehearse
from test_budgets import StepsAreDear

from sglc.runtime.planner.rehearsal import Rehearsal

ENGINES = {"CPU": Rehearsal, "GPU": StepsAreDear, "cache": LruRehearsal}


def main(num_programs: int = 40, num_rows: int = 48) -> None:
    torch.set_num_threads(1)
    programs = [
        (sglc.compile(RandomProgram(seed).source(), model=MODEL), random_rows(seed, num_rows, 8))
        for seed in range(num_programs)
    ]
    peaks = [rehearse(Rehearsal, *each, None)[0].stats.peak_kv_tokens for each in programs]
    print("| of the peak | engine | recomputed | prefilled | steps | more than the cache | steps |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for share in (0.5, 0.25, 0.1):
        budgets = [round(peak * share) for peak in peaks]
        found = {
            name: [
                rehearse(cls, *each, slots)[0].stats
                for each, slots in zip(programs, budgets, strict=True)
            ]
            for name, cls in ENGINES.items()
        }
        for name, stats in found.items():
            recomputed = sum(each.recomputed_tokens for each in stats)
            prefilled = sum(each.prefilled_tokens for each in stats)
            steps = sum(each.steps for each in stats)
            worse = sum(
                each.recomputed_tokens > other.recomputed_tokens
                for each, other in zip(stats, found["cache"], strict=True)
            )
            longest = max(
                each.steps / other.steps for each, other in zip(stats, found["cache"], strict=True)
            )
            print(
                f"| {share:.0%} | {name} | {recomputed:,} | {prefilled:,} | {steps:,} "
                f"| {worse} | {longest:.2f} |"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
