"""From a plan's IR to its dataflow.

What belongs to one stretch of a context is one node, its texts written out. Constants and unnamed
expressions stand where they are used; what the author named is a node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count

from sglc.codegen import instruction as p
from sglc.codegen.plan import Plan
from sglc.explain.dataflow import CONTEXT, OUTSIDE, VALUE, Dataflow, Edge, Node
from sglc.explain.values import Texts
from sglc.ir import graph, ops
from sglc.ir.ops import Op, Region, Value
from sglc.ir.text import parse_module
from sglc.passes.stages import Stage, stages

Sources = frozenset[int]  # ids of nodes
Place = tuple[str, tuple[int | None, ...]]  # kind of op, and its path with what varies left open


def dataflow(plan: Plan) -> Dataflow:
    """The graph of a plan's final IR. Gens, selects and externs have places in the source."""
    program = parse_module(plan.ir).program
    builder = _Builder(program.body, stages(program).by_value, _places(plan))
    for arg in program.body.args:
        draft = builder.add("input", arg.name, OUTSIDE, str(arg.type), stage=Stage.INPUT)
        builder.sources[arg.id] = frozenset((draft.id,))
    builder.region(program.body, OUTSIDE)
    return builder.finish()


def _places(plan: Plan) -> dict[Place, str]:
    found: dict[Place, str] = {}
    for i in plan.code:
        if isinstance(i, p.Gen | p.Select | p.Extern) and i.span is not None:
            pattern = tuple(item if isinstance(item, int) else None for item in i.path)
            source = plan.sources[i.span.file].name
            found.setdefault((type(i).__name__, pattern), f"{source}:{i.span.line}:{i.span.col}")
    return found


@dataclass(slots=True)
class _Draft:
    """A node that still grows: `roles` are those its text opens. `ended` tells when it grew last:
    what its text uses came before that."""

    id: int
    kind: str
    title: str
    inside: int
    detail: str
    options: tuple[str, ...]
    stage: Stage
    place: str
    times: int | None
    ended: int
    roles: list[str] = field(default_factory=list)

    def node(self, new_id: Mapping[int, int]) -> Node:
        title = self.title or ", ".join(dict.fromkeys(self.roles)) or self.kind
        return Node(
            new_id[self.id],
            self.kind,
            title,
            self.detail.strip("\n"),
            self.options,
            str(self.stage),
            self.place,
            new_id[self.inside],
            self.times,
        )


class _Builder:
    """`sources` are the nodes that a value comes from. `tips` are the text nodes that a context
    ends in and that grow with it, since nobody else continues it. `scopes` and `loops` hold the
    results that jumps lead to, innermost last."""

    def __init__(
        self, body: Region, stages: Mapping[int, Stage], places: Mapping[Place, str]
    ) -> None:
        self.stages = stages
        self.places = places
        self.texts = Texts(body)
        self.uses = graph.uses(body)
        self.drafts: list[_Draft] = []
        self.clock = count()
        self.edges: set[Edge] = set()
        self.sources: dict[int, Sources] = {}
        self.tips: dict[int, _Draft] = {}
        self.scopes: list[tuple[Value, ...]] = []
        self.loops: list[tuple[Value, ...]] = []

    # ------------------------------------------------------------ nodes and edges

    def add(
        self,
        kind: str,
        title: str,
        inside: int,
        detail: str = "",
        *,
        options: Iterable[str] = (),
        stage: Stage = Stage.CONST,
        place: str = "",
        times: int | None = 1,
    ) -> _Draft:
        draft = _Draft(
            len(self.drafts),
            kind,
            title,
            inside,
            detail,
            tuple(options),
            stage,
            place,
            times,
            next(self.clock),
        )
        self.drafts.append(draft)
        return draft

    def link(self, kind: str, values: Iterable[Value], target: _Draft) -> None:
        self.edges.update(Edge(source, target.id, kind) for source in self.of(values))

    def finish(self) -> Dataflow:
        """The graph, its nodes in the order in which they were complete."""
        drafts = sorted(self.drafts, key=lambda draft: draft.ended)
        new_id = {draft.id: place for place, draft in enumerate(drafts)} | {OUTSIDE: OUTSIDE}
        edges = {Edge(new_id[e.source], new_id[e.target], e.kind) for e in self.edges}
        forward = sorted(edge for edge in edges if edge.source < edge.target)
        return Dataflow(tuple(draft.node(new_id) for draft in drafts), tuple(forward))

    def of(self, values: Iterable[Value]) -> Sources:
        return frozenset().union(*(self.sources.get(value.id, frozenset()) for value in values))

    def flow(self, values: Iterable[Value], targets: Iterable[Value]) -> None:
        """Each target comes from the value in its place, and from what it came from before."""
        for value, target in zip(values, targets, strict=False):
            self.sources[target.id] = self.of((value, target))

    def stage(self, values: Iterable[Value]) -> Stage:
        found = (self.stages.get(value.id, Stage.CONST) for value in values)
        return max(found, default=Stage.CONST)

    # ------------------------------------------------------------ regions

    def region(self, region: Region, inside: int) -> None:
        for op in region.ops:
            self.op(op, inside)
        match region.end:
            case ops.Leave(values) if self.scopes:
                self.flow(values, self.scopes[-1])
            case ops.Leave((_, value)):
                self.leave(value, inside)
            case ops.Continue(values) | ops.Break(values):
                self.flow(values, self.loops[-1])

    def leave(self, value: Value, inside: int) -> None:
        shown = self.texts.name(value)
        draft = self.add("result", "result", inside, shown, stage=self.stage((value,)))
        self.link(VALUE, (value,), draft)

    def op(self, op: Op, inside: int) -> None:
        match op:
            case ops.Start() | ops.Append() | ops.Control() | ops.Open() | ops.Close():
                self.text(op, inside)
            case ops.Let():
                self.let(op, inside)
            case ops.Gen() | ops.Select() | ops.Extern():
                self.answer(op, inside)
            case ops.Capture(result, _, after):
                self.sources[result.id] = self.of((after,))
            case ops.Join(result, context, _, branches):
                draft = self.add("join", "join", inside, "what each branch added")
                self.link(CONTEXT, (context, branches), draft)
                self.sources[result.id] = frozenset((draft.id,))
            case ops.Require(condition, message):
                shown = self.texts.name(condition)
                stage = self.stage((condition,))
                draft = self.add("require", "require", inside, shown, stage=stage)
                self.link(VALUE, (condition,), draft)
                self.region(message, draft.id)
            case _:
                self.group(op, inside)

    # ------------------------------------------------------------ ops

    def text(
        self, op: ops.Start | ops.Append | ops.Control | ops.Open | ops.Close, inside: int
    ) -> None:
        """A piece of a stretch: more of the node before it, where that may grow."""
        before = () if isinstance(op, ops.Start) else (op.context,)
        if isinstance(op, ops.Start) or (isinstance(op, ops.Close) and not self._tip(op, inside)):
            # nothing to read by itself
            self.sources[op.result.id] = self.of(before)
            return
        draft = self._tip(op, inside)
        if draft is None:
            draft = self.add("text", "", inside)
            self.link(CONTEXT, before, draft)
        draft.ended = next(self.clock)
        self.tips[op.result.id] = draft
        self.sources[op.result.id] = frozenset((draft.id,))
        match op:
            case ops.Open(_, _, role):
                draft.roles.append(role)
                draft.detail += f"\n[{role}] "
            case ops.Control(_, _, token):
                draft.detail += token
            case ops.Append(_, _, text):
                draft.detail += self.texts.template(text)
                draft.stage = max(draft.stage, self.stage((text,)))
                self.link(VALUE, (text,), draft)

    def _tip(
        self, op: ops.Append | ops.Control | ops.Open | ops.Close, inside: int
    ) -> _Draft | None:
        draft = self.tips.get(op.context.id)
        if draft is None or draft.inside != inside or self.uses[op.context.id] > 1:
            return None
        return draft

    def let(self, op: ops.Let, inside: int) -> None:
        found, stage = self.of(op.operands), self.stage((op.result,))
        if op.result.name and stage is not Stage.CONST:
            shown = self.texts.expression(op.result)
            draft = self.add("value", op.result.name, inside, shown, stage=stage)
            self.link(VALUE, op.operands, draft)
            found = frozenset((draft.id,))
        self.sources[op.result.id] = found

    def answer(self, op: ops.Gen | ops.Select | ops.Extern, inside: int) -> None:
        """What takes time: a gen, a select, or a call of a function outside."""
        kind = type(op).__name__.lower()
        detail, options, used = self._asked(op)
        if op.is_shared:
            options.append("once for all rows")
        pattern = tuple(item if isinstance(item, int) else None for item in op.path)
        draft = self.add(
            kind,
            op.name or kind,
            inside,
            detail,
            options=options,
            stage=Stage.GEN,
            place=self.places.get((type(op).__name__, pattern), ""),
        )
        if not isinstance(op, ops.Extern):
            self.link(CONTEXT, (op.context,), draft)
        self.link(VALUE, used, draft)
        for result in graph.results(op):
            self.sources[result.id] = frozenset((draft.id,))

    def _asked(
        self, op: ops.Gen | ops.Select | ops.Extern
    ) -> tuple[str, list[str], tuple[Value, ...]]:
        """The node's detail, its options, and the host values that it uses."""
        name = self.texts.short
        match op:
            case ops.Gen():
                options = [f"{key}={name(value)}" for key, value in op.options]
                return str(op.type), options, tuple(value for _, value in op.options)
            case ops.Select(choices=choices, method=method, temperature=temperature):
                heat = [] if temperature is None else [f"temperature={name(temperature)}"]
                used = (choices,) if temperature is None else (choices, temperature)
                return f"from {name(choices)}", [f"by {method}", *heat], used
            case ops.Extern(args=args):
                return f"({', '.join(map(name, args))})", [], args

    # ------------------------------------------------------------ groups

    def group(self, op: Op, inside: int) -> None:
        match op:
            case ops.For(results, items, inits, body):
                item, _, *args = body.args
                draft = self._over("for", item, items, inside)
                self.flow((items,), (item,))
                self.flow(inits, args)
                self.loop(results, inits, body, draft)
            case ops.Fork():
                self.fork(op, inside)
            case ops.While(results, limit, inits, test, body):
                most = self.texts.short(limit)
                draft = self.add("while", "while", inside, times=None)
                self.flow(inits, test.args[1:])
                self.flow(inits, body.args[1:])
                self.region(test, draft.id)
                draft.detail = f"{self.texts.name(test.end.values[0])}, at most {most} times"
                draft.stage = self.stage((limit, *test.end.values))
                self.link(VALUE, (limit,), draft)
                self.loop(results, inits, body, draft)
            case ops.If(results, condition, then, otherwise):
                shown, stage = self.texts.name(condition), self.stage((condition,))
                draft = self.add("if", "if", inside, shown, stage=stage)
                self.link(VALUE, (condition,), draft)
                self.arms(results, (("then", then), ("else", otherwise)), draft)
            case ops.Try(results, body, handler):
                draft = self.add("try", "try", inside)
                self.arms(results, (("try", body), ("on failure", handler)), draft)
            case ops.Run(result, body):
                draft = self.add("run", result.name or "run", inside, "beside what follows")
                self.region(body, draft.id)
                self.flow(body.end.values, (result,))
            case ops.Scope(results, body):
                self.scopes.append(results)
                self.region(body, inside)
                self.scopes.pop()
                self._yields(body, results)

    def fork(self, op: ops.Fork, inside: int) -> None:
        args = op.body.args
        if op.context is not None:
            self.flow((op.context,), args[:1])
            args = args[1:]
        draft = self._over("fork", args[0], op.items, inside)
        self.flow((op.items,), args[:1])
        self.region(op.body, draft.id)
        values = op.body.end.values
        if op.contexts is not None:
            self.sources[op.contexts.id] = self.of(values[:1])
            values = values[1:]
        self.sources[op.group.id] = self.of(values)

    def loop(
        self, results: tuple[Value, ...], inits: tuple[Value, ...], body: Region, draft: _Draft
    ) -> None:
        self.loops.append(results)
        self.region(body, draft.id)
        self.loops.pop()
        for result, init in zip(results, inits, strict=True):
            if not self.sources.get(result.id):
                self.flow((init,), (result,))

    def arms(
        self, results: tuple[Value, ...], arms: tuple[tuple[str, Region], ...], draft: _Draft
    ) -> None:
        for title, region in arms:
            num_before = len(self.drafts)
            arm = self.add("arm", title, draft.id)
            self.region(region, arm.id)
            self._yields(region, results)
            if len(self.drafts) == num_before + 1:
                self.drafts.pop()  # an arm without ops

    def _yields(self, region: Region, results: tuple[Value, ...]) -> None:
        if isinstance(region.end, ops.Yield):
            self.flow(region.end.values, results)

    def _over(self, kind: str, item: Value, items: Value, inside: int) -> _Draft:
        """A group for each item of a list."""
        times = self.texts.length(items)
        shown = f"for each of {self.texts.short(items)}"
        stage = self.stage((items,))
        draft = self.add(kind, item.name or kind, inside, shown, stage=stage, times=times)
        self.link(VALUE, (items,), draft)
        return draft
