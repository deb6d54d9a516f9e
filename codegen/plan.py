"""The plan: what the compiler hands to the runtime, as plain data.

A program is straight code for a small register machine. One *task* (a program counter and a list of
registers) runs it for one row; `Fork` and `Run` start tasks that share the code and copy the
registers. A register holds a host value (`ir/host/expr.py: Value`), a context, a list of contexts,
or a promise of one of these: an instruction that reads a promise waits for it, and that is how
branches are joined. An instruction at which a row may fail has a `span`: the place that is told.

Law: no instruction mutates a value; contexts and lists are shared between tasks freely.
Each instruction is: fields here, bytes by `plan_file.py`, a meaning in `runtime/machine/`.
Knows nothing about how it was made or how it is run; imports only the value language of `ir`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sglc.codegen.automata.constraint import Constraint
from sglc.codegen.automata.source import ConstraintSource
from sglc.ir.host.expr import Expr, Value
from sglc.ir.note import PassNote
from sglc.ir.span import Source, Span
from sglc.ir.types import Type

FORMAT_VERSION = 2

Reg = int
Target = int  # index of an instruction


# A path names a dynamic occurrence of a gen, select or extern: constants and int registers.
@dataclass(frozen=True, slots=True)
class PathReg:
    reg: Reg


Path = tuple[int | PathReg, ...]


# ---------------------------------------------------------------- contexts


@dataclass(frozen=True, slots=True)
class Start:
    dst: Reg


@dataclass(frozen=True, slots=True)
class Append:
    dst: Reg
    src: Reg
    text: Reg


@dataclass(frozen=True, slots=True)
class Control:
    dst: Reg
    src: Reg
    token: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Open:
    dst: Reg
    src: Reg
    role: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Close:
    dst: Reg
    src: Reg


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a value that is cut (`ir.ops.Piece`): of max_tokens, the tokens since context
    `base` are spent, and `reserve` are kept for what comes after this gen."""

    base: Reg
    reserve: int


@dataclass(frozen=True, slots=True)
class Gen:
    """`options`: option name -> register. `metas`: meta name -> register. `name` is for traces.
    `constraint` is an index into the plan's constraints; None for free text, and where an option
    regex, json_schema, ebnf or choices holds a constraint that the input decides. What `is_shared`
    is the same for all rows, and done once a run."""

    dst: Reg
    value: Reg
    src: Reg
    type: Type
    options: tuple[tuple[str, Reg], ...]
    metas: tuple[tuple[str, Reg], ...]
    path: Path
    splits_reasoning: bool
    name: str
    span: Span | None = None
    constraint: int | None = None
    piece: Piece | None = None
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class Select:
    dst: Reg
    value: Reg
    src: Reg
    choices: Reg
    method: str
    temperature: Reg | None
    metas: tuple[tuple[str, Reg], ...]
    path: Path
    name: str
    span: Span | None = None
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class Capture:
    dst: Reg
    before: Reg
    after: Reg
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Join:
    dst: Reg
    context: Reg
    base: Reg
    branches: Reg
    span: Span | None = None


# ---------------------------------------------------------------- host values


@dataclass(frozen=True, slots=True)
class Eval:
    """dst = expr, where Operand(i) is register args[i]."""

    dst: Reg
    expr: Expr
    args: tuple[Reg, ...]
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """All of `srcs` to all of `dsts` at once."""

    dsts: tuple[Reg, ...]
    srcs: tuple[Reg, ...]


@dataclass(frozen=True, slots=True)
class Extern:
    dst: Reg
    name: str
    args: tuple[Reg, ...]
    path: Path
    span: Span | None = None
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class Drop:
    """Last use is behind: the registers forget their values (and contexts free their KV)."""

    regs: tuple[Reg, ...]


# ---------------------------------------------------------------- control


@dataclass(frozen=True, slots=True)
class Jump:
    to: Target


@dataclass(frozen=True, slots=True)
class Branch:
    """Falls through when the condition is true (Python's truth), else goes to `otherwise`."""

    condition: Reg
    otherwise: Target


@dataclass(frozen=True, slots=True)
class Next:
    """item = items[index] if index < len(items), else goes to `done`. `index` is an int."""

    item: Reg
    items: Reg
    index: Reg
    done: Target
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Fork:
    """A task for each item, from `entry`, with registers (context,) item, index set. Their `End`
    values fill `group` (list of dicts by `fields`) and `contexts`; both are promises till then."""

    group: Reg
    contexts: Reg | None
    src: Reg | None
    items: Reg
    fields: tuple[str, ...]
    entry: Target
    arg_context: Reg | None
    arg_item: Reg
    arg_index: Reg
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Run:
    dst: Reg
    entry: Target
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class End:
    """The task of a Fork or Run ends with these values (a fork's context first)."""

    values: tuple[Reg, ...]


@dataclass(frozen=True, slots=True)
class EnterTry:
    """Until the matching LeaveTry, a failing host value or extern goes to `handler`: one of this
    task, or of a task that was started in between."""

    handler: Target


@dataclass(frozen=True, slots=True)
class LeaveTry:
    """Waits for the tasks that were started since the matching EnterTry."""


@dataclass(frozen=True, slots=True)
class Fail:
    """A `require` that did not hold: the row fails with this message."""

    message: Reg
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Return:
    """The row is done. `context` is kept for --trace."""

    context: Reg
    value: Reg


Instruction = (
    Start
    | Append
    | Control
    | Open
    | Close
    | Gen
    | Select
    | Capture
    | Join
    | Eval
    | Move
    | Extern
    | Drop
    | Jump
    | Branch
    | Next
    | Fork
    | Run
    | End
    | EnterTry
    | LeaveTry
    | Fail
    | Return
)

# ---------------------------------------------------------------- what stands around the code


@dataclass(frozen=True, slots=True)
class Param:
    name: str
    type: Type
    reg: Reg
    has_default: bool
    default: Value = None


@dataclass(frozen=True, slots=True)
class ExternDecl:
    """Declaration of a host function. `timeout` in seconds."""

    name: str
    params: tuple[tuple[str, Type], ...]
    result: Type
    is_pure: bool
    timeout: float | None
    retries: int


@dataclass(frozen=True, slots=True)
class Markup:
    """A chat template taken apart. Each text is a tuple of pieces: a str of plain text, or the id
    of a control token.

    `opening[previous, role]` is what stands before the content of `role` when `previous` ("" at the
    start of a conversation) was the last role closed; `closing[role]` what stands after it.
    `start` is what stands at the start of a context that uses no roles (BOS, or nothing).
    `default_system` is the system text that the template adds by itself when a conversation does
    not begin with a system role, and `pinned_date` the date that it prints in place of today's
    (both are inside the openings; here for people).
    `notes` are sentences on what was decided when the template was taken apart (a role it lacks).
    """

    opening: dict[tuple[str, str], tuple[str | int, ...]]
    closing: dict[str, tuple[str | int, ...]]
    start: tuple[str | int, ...]
    default_system: str | None = None
    pinned_date: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(self.closing)


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """What a plan was compiled for. Hashes are sha256 hex of config and of tokenizer + template.

    `reference` is the name to find the model by (`runtime/model/locate.py`)."""

    reference: str
    architecture: str
    config_hash: str
    tokenizer_hash: str
    context_len: int


@dataclass(frozen=True, slots=True)
class Constant:
    """Constant text known to begin or to be a stretch, with its tokens.

    The first `stable_len` characters encode to the first `num_stable` ids whatever follows; the
    whole text encodes to `ids` when nothing follows.
    """

    text: str
    ids: tuple[int, ...]
    stable_len: int
    num_stable: int


@dataclass(frozen=True, slots=True)
class PlanConstraint:
    """A constraint known when compiling: its source, and what it was compiled to for the model."""

    source: ConstraintSource
    compiled: Constraint


@dataclass(frozen=True, slots=True)
class LengthBounds:
    """Bounds in tokens of the longest path: `shortest` is what any row needs at least; `longest` is
    None where no type bounds it."""

    shortest: int
    longest: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    program: str
    doc: str | None
    params: tuple[Param, ...]
    result: Type | None
    result_is_names: bool
    externs: tuple[ExternDecl, ...]
    code: tuple[Instruction, ...]
    num_regs: int
    model: ModelIdentity
    markup: Markup
    constants: tuple[Constant, ...]
    bounds: LengthBounds
    sources: tuple[Source, ...]
    stages: tuple[tuple[str, str], ...]  # value name -> const, input, gen (for explain)
    ir: str  # the final IR's text (for explain)
    compiler_version: str
    passes: tuple[str, ...] = field(default=())  # those that ran, in order
    constraints: tuple[PlanConstraint, ...] = ()
    notes: tuple[PassNote, ...] = ()  # what the passes did
    reuses_results: bool = True  # rows share the results of equal deterministic gens and selects
