"""What checking fills in: the tables of `CheckedProgram` while they grow, and what checkers share.

Law: an entry is written once a node's meaning is known and never depends on who asks later.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sglc.compiler import declaration, syntax
from sglc.compiler.check.modules import Module
from sglc.compiler.check.report import Report
from sglc.compiler.checked import Callee, Meta
from sglc.ir.host.expr import Value
from sglc.ir.types import UNKNOWN, Type
from sglc.runtime.model.spec import ModelSpec

Function = declaration.Program | declaration.Fragment


@dataclass(frozen=True, slots=True)
class Known:
    """A value known while compiling (null is one)."""

    value: Value


@dataclass(slots=True)
class Tables:
    """`used` holds the declarations and imports that something refers to; `calls` who calls whom,
    with the calls in the order written."""

    report: Report
    spec: ModelSpec | None = None
    types: dict[syntax.Node, Type] = field(default_factory=dict)
    variables: dict[Function, dict[str, Type]] = field(default_factory=dict)
    callees: dict[syntax.Call, Callee] = field(default_factory=dict)
    consts: dict[syntax.Node, Value] = field(default_factory=dict)
    metas: dict[syntax.Attribute, Meta] = field(default_factory=dict)
    results: dict[Function | declaration.Extern, Type | None] = field(default_factory=dict)
    used: set[syntax.Node] = field(default_factory=set)
    homes: dict[syntax.Node, Module] = field(default_factory=dict)  # declaration -> its file

    def type_of(self, node: syntax.Node) -> Type:
        """The type of an expression that has been checked; unknown where that failed."""
        return self.types.get(node, UNKNOWN)
