"""The settings of an ablation: what a run loses when one idea is switched off.

They mirror those of SGLang's paper (arXiv 2312.07104, figure 8c); there is no hint to switch off,
since a plan needs none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sglc.runtime.session import EngineOptions


@dataclass(frozen=True, slots=True)
class Setting:
    """`options` replace those of the run with all on."""

    name: str
    what: str
    options: Mapping[str, bool | str]

    def apply(self, options: EngineOptions) -> EngineOptions:
        changes: dict[str, Any] = dict(self.options)
        return replace(options, **changes)


ALL_ON = Setting("all on", "all on", {})
SETTINGS = (
    Setting("no sharing", "nothing shared between requests", {"share": False}),
    Setting("no tree", "attention that reads a shared prefix once a row", {"tree": False}),
    Setting("arrival order", "rows in the order of the input", {"order": "arrival"}),
    Setting("random order", "rows in a random order", {"order": "random"}),
    Setting("no parallelism", "branches and calls one after another", {"parallel": False}),
)
