"""A program on a model with rows: what all runs of a benchmark have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sglc.codegen.plan import Plan
from sglc.ir.host.expr import Value
from sglc.runtime.model.config import ModelConfig
from sglc.runtime.model.locate import ModelFiles
from sglc.runtime.session import EngineOptions, Session


@dataclass(frozen=True, slots=True)
class Work:
    """`rows` are as read from the input, unchecked. `options` are of the runs with all on."""

    plan: Plan
    session: Session
    files: ModelFiles
    config: ModelConfig
    rows: Sequence[Mapping[str, Value]]
    options: EngineOptions
    externs: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    seed: int = 0
