"""The instructions of a plan: what the compiler emits and the runtime's machine carries out.

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

from dataclasses import dataclass

from sglc.ir.host.expr import Expr
from sglc.ir.span import Span
from sglc.ir.types import Type

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
