"""Where one gen is in its constraint, and what the constraint asks for there.

Knows nothing of lanes, logits or KV.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Forced:
    """These tokens come next: they are appended without sampling."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """The value is whole and the gen over. The text ends at byte `end` of what was generated (None:
    at its end); then comes `completion`, which no token was spent on."""

    end: int | None = None
    completion: str = ""


class Walk(Protocol):
    @property
    def fewest_tokens(self) -> int:
        """The fewest tokens from here to a whole value."""
        ...

    @property
    def most_tokens(self) -> int | None:
        """No value takes more tokens from here, the one that ends it included; None: not known."""
        ...

    def look(self, generated: bytes, left: int) -> Forced | Ended | None:
        """What comes next; None: a token is sampled. `generated` is all that the gen has written,
        `left` is how many more tokens it may. Forced tokens are behind the walk when they are
        returned."""
        ...
