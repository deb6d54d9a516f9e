"""Roles: which one is open, followed through blocks, branches, forks, joins and calls.

The state of roles is part of a context's type, and a fragment is checked once for each state that
it is called in. Leaving a role's block, by `return`, `break` or `continue` too, closes the role.
Law: no role inside another, and no text outside roles once a role was used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sglc.compiler import declaration, syntax
from sglc.compiler.check.appending import expressions_of
from sglc.compiler.check.effects import calls
from sglc.compiler.check.report import Report
from sglc.compiler.check.tables import Function, Tables
from sglc.compiler.diagnostics import nearest
from sglc.compiler.host import walk


@dataclass(frozen=True, slots=True)
class RoleState:
    """`role` is open (None: none), since `place`; `is_used` after any role was opened; `is_plain`
    after text was appended outside roles."""

    role: str | None = None
    is_used: bool = False
    is_plain: bool = False
    place: syntax.Node | None = field(default=None, compare=False)

    def __str__(self) -> str:
        if self.role is not None:
            return f"inside `{self.role}`"
        return "after a role" if self.is_used else "outside roles"


FRESH = RoleState()


def merge(*states: RoleState | None) -> RoleState | None:
    """Where paths meet: what any of them did. None is a point that no path reaches."""
    reached = [state for state in states if state is not None]
    if not reached:
        return None
    is_used = any(state.is_used for state in reached)
    is_plain = any(state.is_plain for state in reached)
    return replace(reached[0], is_used=is_used, is_plain=is_plain)


@dataclass(slots=True)
class Roles:
    """The check of functions, with all that they call. A role that the model lacks matters only
    where the `chosen` program goes, which is checked first."""

    tables: Tables
    report: Report
    knows_model: bool = False
    _ends: dict[tuple[declaration.Fragment, RoleState], RoleState | None] = field(
        default_factory=dict
    )

    def check(self, functions: Sequence[Function], chosen: declaration.Program | None) -> None:
        """Programs, and fragments that nothing calls: a fresh context allows them the most."""
        if chosen is not None:
            self.knows_model = True
            self.function(chosen)
        self.knows_model = False
        called = {callee for each in functions for _, callee in calls(each.body, self.tables)}
        for each in functions:
            if each is not chosen and each not in called:
                self.function(each)

    def function(self, function: Function) -> None:
        _Walk(self, None, FRESH).function(function.body)

    def call(
        self, fragment: declaration.Fragment, state: RoleState, call: syntax.Call
    ) -> RoleState | None:
        """The state after a call in `state`; None when it never comes back."""
        entry = RoleState(state.role, state.is_used, False, state.place)
        if (fragment, entry) not in self._ends:
            self._ends[fragment, entry] = entry  # what a circle of calls sees
            self._ends[fragment, entry] = _Walk(self, call, entry).function(fragment.body)
        end = self._ends[fragment, entry]
        return None if end is None else replace(end, is_plain=state.is_plain or end.is_plain)


@dataclass(slots=True)
class _Loop:
    role: str | None
    breaks: list[RoleState | None] = field(default_factory=list)
    continues: list[RoleState | None] = field(default_factory=list)


class _Walk:
    """One body in one state. `call` is where it is called, for messages."""

    def __init__(self, roles: Roles, call: syntax.Call | None, entry: RoleState) -> None:
        self.roles = roles
        self.call = call
        self.entry = entry
        self.state: RoleState | None = entry
        self.returns: list[RoleState | None] = []
        self.loops: list[_Loop] = []
        self.groups: dict[str, tuple[RoleState, RoleState]] = {}  # at the fork, after a branch

    def function(self, body: syntax.Block) -> RoleState | None:
        self.block(body)
        return merge(self.state, *self.returns)

    def block(self, body: syntax.Block) -> None:
        for stmt in body:
            if self.state is None:
                return
            self.calls(stmt, self.state)
            if self.state is not None:
                self.statement(stmt, self.state)

    def calls(self, stmt: syntax.Stmt, state: RoleState) -> None:
        """Fragments called by the statement's own expressions: here, or in a fresh context."""
        fresh: set[syntax.Call] = set()
        for expr in expressions_of(stmt):
            for node in walk(expr):
                if isinstance(node, syntax.Run):
                    fresh.add(node.call)
                if not isinstance(node, syntax.Call):
                    continue
                callee = self.roles.tables.callees.get(node)
                if not isinstance(callee, declaration.Fragment):
                    continue
                if node in fresh:
                    self.roles.call(callee, FRESH, node)
                else:
                    self.state = self.roles.call(callee, state, node)

    def statement(self, stmt: syntax.Stmt, state: RoleState) -> None:
        match stmt:
            case syntax.Text() | syntax.Gen() | syntax.Select():
                self.append(stmt, state)
            case syntax.Role():
                self.role(stmt, state)
            case (
                syntax.Capture(body=body) | syntax.Reasoning(body=body) | syntax.AnyOrder(body=body)
            ):
                self.block(body)
            case syntax.If(arms=arms, otherwise=otherwise):
                ends = []
                for body in (*(body for _, body in arms), otherwise or ()):
                    self.state = state
                    self.block(body)
                    ends.append(self.state)
                self.state = merge(*ends)
            case syntax.For(body=body) | syntax.While(body=body):
                self.loop(body, state)
            case syntax.Break() if self.loops:
                self.loops[-1].breaks.append(replace(state, role=self.loops[-1].role))
                self.state = None
            case syntax.Continue() if self.loops:
                self.loops[-1].continues.append(replace(state, role=self.loops[-1].role))
                self.state = None
            case syntax.Return():
                self.returns.append(replace(state, role=self.entry.role))
                self.state = None
            case syntax.Fork(group=group, body=body):
                self.state = replace(state, is_plain=False)
                self.block(body)
                self.groups[group.text] = state, self.state or state
                self.state = state
            case syntax.Join():
                self.join(stmt, state)

    def append(self, stmt: syntax.Stmt, state: RoleState) -> None:
        if state.role is None and state.is_used:
            word = "text" if isinstance(stmt, syntax.Text) else f"a {type(stmt).__name__.lower()}"
            self.error(
                "E0402",
                f"{word} cannot stand outside roles once a role was used",
                stmt,
                "no role is open here",
                help="put it into a role: `user:`, `assistant:`, ...",
            )
        elif state.role is None:
            self.state = replace(state, is_plain=True)

    def role(self, stmt: syntax.Role, state: RoleState) -> None:
        name = stmt.role.text
        self.check_known(stmt)
        if state.role is not None:
            self.error(
                "E0401",
                f"`{name}` cannot be opened inside `{state.role}`",
                stmt.role,
                f"`{state.role}` is open here",
                also=((state.place, f"`{state.role}` opens here"),) if state.place else (),
                help=f"end the `{state.role}` block first",
            )
            self.block(stmt.body)
            return
        self.state = replace(state, role=name, is_used=True, place=stmt.role)
        self.block(stmt.body)
        if self.state is not None:
            self.state = replace(self.state, role=None)

    def check_known(self, stmt: syntax.Role) -> None:
        """The model's own template must have the role."""
        spec = self.roles.tables.spec
        name = stmt.role.text
        if spec is None or not self.roles.knows_model or name in spec.markup.roles:
            return
        model = spec.identity.reference
        if not spec.markup.roles:
            self.roles.report.error(
                "E0702",
                f"the model `{model}` has no chat template, so it has no roles",
                stmt.role,
                "not known to the model",
                help="write the prompt as plain text, or compile for a chat model",
            )
            return
        near = nearest(name, spec.markup.roles)
        listed = ", ".join(f"`{role}`" for role in spec.markup.roles)
        self.roles.report.error(
            "E0702",
            f"the template of the model `{model}` has no role `{name}`",
            stmt.role,
            "not known to the model",
            help=f"did you mean `{near}`?" if near else f"it has {listed}",
        )

    def loop(self, body: syntax.Block, state: RoleState) -> None:
        """Rounds until the state at their start settles: roles used in one round are used in the
        next."""
        head = state
        while True:
            loop = _Loop(state.role)
            self.loops.append(loop)
            self.state = head
            self.block(body)
            self.loops.pop()
            back = merge(head, self.state, *loop.continues)
            if back is None or back == head:
                break
            head = back
        self.state = merge(head, *loop.breaks)

    def join(self, stmt: syntax.Join, state: RoleState) -> None:
        """What branches appended is appended here, so this place must be like the one they began
        at."""
        if stmt.group.text not in self.groups:
            return
        start, end = self.groups[stmt.group.text]
        if start.role != state.role:
            self.error(
                "E0411",
                f"`{stmt.group.text}` was forked {start}, and is joined {state}",
                stmt,
                "another role is open here",
                help="join where the same role is open as at the fork",
            )
        elif state.role is None and state.is_used and end.is_plain:
            self.error(
                "E0411",
                f"the branches of `{stmt.group.text}` append text outside roles",
                stmt,
                "a role was used before this join",
                help="put the text of the branches into a role",
            )
        else:
            is_used, is_plain = state.is_used or end.is_used, state.is_plain or end.is_plain
            self.state = replace(state, is_used=is_used, is_plain=is_plain)

    def error(
        self,
        code: str,
        message: str,
        at: syntax.Node,
        label: str,
        *,
        also: tuple[tuple[syntax.Node, str], ...] = (),
        help: str,
    ) -> None:
        """An error in this body, with the call that brought it about."""
        labels = also
        if self.call is not None and self.entry != FRESH:
            labels = (*labels, (self.call, f"called here, {self.entry}"))
        self.roles.report.error(code, message, at, label, secondary=labels, help=help)
