"""The settings of an ablation: what a run loses when one idea is switched off.

They mirror those of SGLang's paper (arXiv 2312.07104, figure 8c); there is no hint to switch off,
since a plan needs none.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sglc.ir.host.expr import Value
from sglc.runtime.session import EngineOptions

SEED = 0  # of the random order

Row = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Setting:
    """`options` replace those of the run with all on. `order` is "input" or "random"."""

    name: str
    what: str
    options: Mapping[str, Any] = field(default_factory=dict)
    order: str = "input"

    def apply(self, options: EngineOptions) -> EngineOptions:
        return replace(options, **self.options)


SETTINGS = (
    Setting("no sharing", "nothing shared between requests", {"share": False}),
    Setting("no tree", "attention that reads a shared prefix once a row", {"tree": False}),
    Setting("arrival order", "rows in the order of the input", {"order": "arrival"}),
    Setting("random order", "rows in a random order", {"order": "arrival"}, order="random"),
    Setting("no parallelism", "branches one after another", {"parallel": False}),
)


def rows_in_order(rows: Sequence[Row], order: str) -> tuple[list[Row], list[int]]:
    """The rows in an order, and the place in `rows` of each."""
    places = list(range(len(rows)))
    if order == "random":
        random.Random(SEED).shuffle(places)
    return [rows[place] for place in places], places
