"""How rows share memory that is too short for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Way(Enum):
    """SAVE_TOKENS: a row begins when it can come to its end beside those that have begun.
    SAVE_STEPS: requests run as early as they fit, depth-first; what is needed last makes room.
    CACHE: what a server does that knows no program: the request with most of its prefix in memory
    goes first, what was used longest ago makes room."""

    SAVE_TOKENS = "save tokens"
    SAVE_STEPS = "save steps"
    CACHE = "cache"


@dataclass(frozen=True, slots=True)
class Limits:
    """Of an engine: KV slots, requests that run together, prompt tokens of a step, and whether it
    is a device's (`device/engine.py`)."""

    num_slots: int
    max_batch: int
    step_tokens: int
    is_device: bool
