"""A checked program as an IR module: its program, and a function for each fragment that it reaches.

A context's type says which role stands open in it, so a fragment that is called both inside a role
and outside of one becomes two functions, `name` and `name@role`. So does one that is called both
under defaults that keep records whole and without: the first is `name@whole`.
Law: the module is a function of the checked program alone; nothing depends on hashes or on time.
"""

from __future__ import annotations

from sglc.compiler import declaration
from sglc.compiler.checked import CheckedProgram
from sglc.compiler.lower import facts
from sglc.compiler.lower.constant import constant_expr, constant_value
from sglc.compiler.lower.expressions import lower_expr
from sglc.compiler.lower.fit import holds_floats
from sglc.compiler.lower.frame import CONTEXT, Frame, FunctionScope
from sglc.compiler.lower.statements import lower_block, lower_return
from sglc.compiler.sample import Sample
from sglc.ir import ops
from sglc.ir.host import expr as host
from sglc.ir.module import ExternDecl, Function, Module, Param
from sglc.ir.note import PassNote, summed
from sglc.ir.types import NULL
from sglc.passes.stages import Stage


def lower(checked: CheckedProgram, sample: Sample | None = None) -> Module:
    """The IR of a checked program. Never fails on one that the checker passed. Of a `sample`, the
    order of `any_order` blocks depends on how many values inputs take in it."""
    return _Lowering(checked, sample).module()


class _Lowering:
    """`wanted` are the fragments met so far, each with the role that stands open at the call, and
    whether what it inherits there keeps records whole."""

    def __init__(self, checked: CheckedProgram, sample: Sample | None) -> None:
        self.checked = checked
        self.sample = sample
        self.notes: list[PassNote] = []
        self.wanted: dict[tuple[declaration.Fragment, str | None, bool], str] = {}

    def fragment(self, fragment: declaration.Fragment, role: str | None, keeps_whole: bool) -> str:
        marks = [] if role is None else [role]
        marks += ["whole"] if keeps_whole else []
        name = "@".join((self.checked.fragments[fragment], *marks))
        return self.wanted.setdefault((fragment, role, keeps_whole), name)

    def module(self) -> Module:
        program = self._program(self.checked.program)
        functions: list[Function] = []
        while len(functions) < len(self.wanted):
            # lowering a fragment may ask for more of them
            wanted, name = list(self.wanted.items())[len(functions)]
            functions.append(self._fragment(*wanted, name))
        externs, notes = tuple(self._externs()), summed(self.notes)
        return Module(program, tuple(functions), externs, self.checked.sources, notes)

    def _scope(self, owner: facts.Owner, role: str | None, keeps_whole: bool) -> FunctionScope:
        nodes = facts.body_nodes(owner)
        return FunctionScope(
            self,
            owner,
            role,
            lower_expr,
            lower_block,
            facts.sites(nodes, self.checked),
            facts.joined_groups(nodes),
            facts.metas(owner, nodes, self.checked),
            keeps_whole,
        )

    def _enter(
        self, owner: facts.Owner, role: str | None, keeps_whole: bool = False
    ) -> tuple[Frame, list[ops.Value], ops.Value]:
        """A frame with the parameters bound; also their values, and one for the first context."""
        frame = Frame(self._scope(owner, role, keeps_whole), {})
        context = frame.new_context(role)
        params = []
        for param in owner.params:
            value = frame.value(self.checked.types[param.type], param.name.text)
            frame.scope.stages[value.id] = Stage.INPUT
            # what a fragment is called with is not known here, so it is under no parameter's name
            name = value.name if isinstance(owner, declaration.Program) else ""
            frame.scope.origins[value.id] = frozenset([name])
            frame.names[param.name.text] = value
            params.append(value)
        frame.names[CONTEXT] = context
        return frame, params, context

    def _fragment(
        self, fragment: declaration.Fragment, role: str | None, keeps_whole: bool, name: str
    ) -> Function:
        frame, params, context = self._enter(fragment, role, keeps_whole)
        end = lower_block(frame, fragment.body) or lower_return(frame, fragment)
        body = frame.region(end, (context, *params))
        return Function(name, body, result=self.checked.results[fragment])

    def _program(self, program: declaration.Program) -> Function:
        frame, params, context = self._enter(program, None)
        frame.emit(ops.Start(context, program.name.span))
        end = lower_block(frame, program.body) or lower_return(frame, program)
        return Function(
            program.name.text,
            frame.region(end, params),
            is_program=True,
            params=tuple(
                Param(value, _default(param, self.checked))
                for param, value in zip(program.params, params, strict=True)
            ),
            result=self.checked.results[program],
            returns_names=self.checked.results[program] is None,
        )

    def _externs(self) -> list[ExternDecl]:
        declared: dict[str, ExternDecl] = {}  # two files may declare one, alike
        for extern, name in self.checked.externs.items():
            options = {o.name.text: constant_value(o.value, self.checked) for o in extern.options}
            timeout, retries = options.get("timeout"), options.get("retries", 0)
            assert isinstance(timeout, int | float | None)
            assert isinstance(retries, int)
            params = tuple((p.name.text, self.checked.types[p.type]) for p in extern.params)
            result = self.checked.results[extern] or NULL
            declared[name] = ExternDecl(name, params, result, extern.is_pure, timeout, retries)
        return list(declared.values())


def _default(param: declaration.Param, checked: CheckedProgram) -> host.Expr | None:
    if param.default is None:
        return None
    value, wanted = constant_expr(param.default, checked), checked.types[param.type]
    return host.Conform(value, wanted, param.default.span) if holds_floats(wanted) else value
