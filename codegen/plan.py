"""The plan: what the compiler hands to the runtime, as plain data.

The program's code (`instruction.py`) and what stands around it: its parameters, the model that it
was compiled for, the tokens of its constants, its compiled constraints.

Law: a plan is a value; `plan_file.py` writes it and reads back an equal one.
Knows nothing about how it was made or how it is run; imports only the value language of `ir`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sglc.codegen.automata.constraint import Constraint
from sglc.codegen.automata.source import ConstraintSource
from sglc.codegen.instruction import Instruction, Reg
from sglc.ir.host.expr import Value
from sglc.ir.note import PassNote
from sglc.ir.span import Source
from sglc.ir.types import Type

FORMAT_VERSION = 2


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
