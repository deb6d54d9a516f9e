"""A plan from the final IR, the model's identity and markup, and the facts that analyses found.

Law: a plan is a function of source, model and version: no paths, dates or hash orders in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sglc.codegen.constants import Tokenizer, constants
from sglc.codegen.constraints import ConstrainedProgram
from sglc.codegen.emit import emit
from sglc.codegen.plan import ExternDecl, LengthBounds, Markup, ModelIdentity, Param, Plan
from sglc.ir import module as ir
from sglc.ir.host.evaluate import evaluate
from sglc.ir.span import Source
from sglc.ir.text import print_module
from sglc.ir.value_type import BranchesType, ContextType


@dataclass(frozen=True, slots=True)
class Facts:
    """What the plan states beside its code. `stages` are (name of a value, its stage)."""

    doc: str | None
    bounds: LengthBounds
    stages: tuple[tuple[str, str], ...]
    sources: tuple[Source, ...]
    compiler_version: str
    passes: tuple[str, ...]
    reuses_results: bool = True


def build_plan(
    module: ir.Module,
    constrained: ConstrainedProgram,
    facts: Facts,
    identity: ModelIdentity,
    markup: Markup,
    tokenizer: Tokenizer,
) -> Plan:
    """The plan of a module whose calls are inlined, and of its program as `constrained` has it."""
    program = module.program
    emitted = emit(constrained.program, constrained.gens)
    return Plan(
        program=program.name,
        doc=facts.doc,
        params=tuple(_param(param, reg) for reg, param in enumerate(program.params)),
        result=program.result,
        result_is_names=program.returns_names,
        externs=tuple(_extern(extern) for extern in module.externs),
        code=emitted.code,
        num_regs=emitted.num_regs,
        model=identity,
        markup=markup,
        constants=constants(constrained.program, markup, tokenizer),
        bounds=facts.bounds,
        sources=facts.sources,
        stages=facts.stages,
        ir=print_module(module),
        compiler_version=facts.compiler_version,
        passes=facts.passes,
        constraints=constrained.constraints,
        notes=module.notes,
        reuses_results=facts.reuses_results,
    )


def _param(param: ir.Param, reg: int) -> Param:
    value, has_default = param.value, param.default is not None
    assert not isinstance(value.type, ContextType | BranchesType)
    default = None if param.default is None else evaluate(param.default)
    return Param(value.name, value.type, reg, has_default, default)


def _extern(extern: ir.ExternDecl) -> ExternDecl:
    return ExternDecl(
        extern.name,
        extern.params,
        extern.result,
        extern.is_pure,
        extern.timeout,
        extern.retries,
    )
