"""What an SSA value of the IR can be: a host value of a type, a context, or a fork's contexts.

Law: two contexts are of one type only if the same role stands open in them.
Knows nothing about operations.
"""

from __future__ import annotations

from dataclasses import dataclass

from sglc.ir.types import Type


@dataclass(frozen=True, slots=True)
class ContextType:
    """A context; `role` is the role that stands open in it (part of the type), or None."""

    role: str | None = None

    def __str__(self) -> str:
        return f"ctx<{self.role}>" if self.role else "ctx"


@dataclass(frozen=True, slots=True)
class BranchesType:
    """The contexts of a fork's branches, in order."""

    role: str | None = None

    def __str__(self) -> str:
        return f"ctxs<{self.role}>" if self.role else "ctxs"


ValueType = Type | ContextType | BranchesType
