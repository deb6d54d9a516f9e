"""The stages of a compilation in order: check, lower, passes, analyses, plan.

Law: the plan depends on the source, the model and the version alone; each pass leaves a module that
the verifier accepts, or the error names the pass.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sglc import __version__
from sglc.codegen.build_plan import Facts, build_plan
from sglc.codegen.plan import Plan
from sglc.compiler import syntax
from sglc.compiler.budgets import constrain_gens
from sglc.compiler.check import check
from sglc.compiler.checked import CheckedProgram
from sglc.compiler.diagnostics import Diagnostic, nearest, sort
from sglc.compiler.fit import check_size, fit
from sglc.compiler.lower.module import lower
from sglc.compiler.pass_notes import warnings_of_removed
from sglc.compiler.sample import measure
from sglc.compiler.template_notes import template_notes
from sglc.ir.host.expr import Value
from sglc.ir.module import Module
from sglc.ir.span import Source
from sglc.ir.text import print_module
from sglc.ir.verify import verify
from sglc.passes import OPTIONAL, PIPELINE, REUSE, PassError, run_pipeline
from sglc.passes.stages import stages
from sglc.runtime.model.spec import ModelSpec

LOWER = "lower"  # the name of the first module, for --print-after


class UnknownPass(Exception):
    """A name in `skip` or `print_after` that no pass has; the text is a sentence for the user."""


class InternalError(Exception):
    """A stage failed on a program that the checker passed: a bug of ours, and the text says so."""


@dataclass(frozen=True, slots=True)
class CompileResult:
    """`notes` are sentences on what the model's template adds to what the program writes.
    `timings` are seconds by stage, in order. `sources` are what warnings point into."""

    plan: Plan
    warnings: tuple[Diagnostic, ...]
    notes: tuple[str, ...]
    timings: tuple[tuple[str, float], ...]
    sources: tuple[Source, ...]


def compile_file(
    path: Path | None,
    text: str | None = None,
    *,
    spec: ModelSpec,
    program: str | None = None,
    defines: Mapping[str, Value] | None = None,
    sample: Iterable[tuple[str, Value]] | None = None,
    skip: Collection[str] = (),
    print_after: Collection[str] = (),
    out: Callable[[str], None] = print,
) -> CompileResult:
    """Compile the program in the file `path`, or in `text`, for a model.

    `sample` are rows like those that it will run on, each with its place in words, to measure which
    order of an `any_order` block shares most.
    `skip` leaves out optimizations by name; `print_after` gives the IR after these passes (or
    "lower") to `out`. Raises CompileErrors with all that is wrong with the program, SampleError,
    UnknownPass, and InternalError for what is wrong with us.
    """
    _check_names(skip, print_after)
    clock = _Clock()
    checked = check(path, text, program=program, defines=defines or {}, spec=spec)
    clock.lap("check")
    measured = None if sample is None else measure(checked, sample)
    try:
        module = lower(checked, measured)
        verify(module)
    except Exception as error:
        raise InternalError(_accusation(LOWER, None, error, path)) from error
    check_size(module)
    after: dict[str, Module] = {}

    def passed(name: str, module: Module) -> None:
        clock.lap(name)
        after[name] = module
        if name in print_after:
            out(f"; after {name}\n{print_module(module)}")

    passed(LOWER, module)
    try:
        module = run_pipeline(module, skip=skip, on_pass=lambda p, m: passed(p.name, m))
    except PassError as error:
        cause = error.__cause__ or error
        raise InternalError(_accusation(error.name, error.before, cause, path)) from error
    bounds = fit(module.program, checked.sources, spec)
    clock.lap("lengths")
    constrained = constrain_gens(module.program, checked.sources, spec)
    clock.lap("constraints")
    facts = Facts(
        doc=checked.doc,
        bounds=bounds,
        stages=_stages(checked, after[LOWER], after["inline"]),
        sources=_portable(checked.sources, path),
        compiler_version=__version__,
        passes=tuple(after)[1:],
        reuses_results=REUSE not in skip,
    )
    plan = build_plan(module, constrained, facts, spec.identity, spec.markup, spec.tokenizer)
    clock.lap("plan")
    notes = template_notes(module.program, spec.markup)
    warnings = sort([*checked.warnings, *warnings_of_removed(module, checked.warnings)])
    return CompileResult(plan, tuple(warnings), notes, tuple(clock.seconds), checked.sources)


def _stages(
    checked: CheckedProgram, lowered: Module, inlined: Module
) -> tuple[tuple[str, str], ...]:
    """The stage of each name of the author's, consts first.

    Inlined, the program has all that calls do and nothing is folded away yet; but what a call's
    value is bound to is only seen before.
    """
    # the table also holds the names of control tokens, which are strings
    named = (n for n in checked.consts if isinstance(n, syntax.Name | syntax.Attribute))
    names = {_dotted(node): "const" for node in named}
    for module in (lowered, inlined):
        found = stages(module.program, module.functions)
        names |= {name: str(stage) for name, stage in found.names}
    return tuple(names.items())


def _dotted(node: syntax.Node) -> str:
    """`NAME`, or `module.NAME`."""
    if isinstance(node, syntax.Attribute):
        return f"{_dotted(node.value)}.{node.name.text}"
    assert isinstance(node, syntax.Name)
    return node.text


class _Clock:
    """Seconds between one lap and the next."""

    def __init__(self) -> None:
        self.seconds: list[tuple[str, float]] = []
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds.append((name, now - self._last))
        self._last = now


def _accusation(name: str, before: Module | None, error: BaseException, path: Path | None) -> str:
    """What to tell the user about a failed stage, once the IR before it is saved."""
    saved = None if before is None else _save(name, before, path)
    where = "" if saved is None else f"; the program before it is in {saved}"
    what = "the program" if saved is None else "that file and the program"
    return (
        f"`{name}` failed ({type(error).__name__}: {error}){where}. "
        f"This is a bug in sglc: please report it with {what}"
    )


def _save(name: str, module: Module, path: Path | None) -> str | None:
    """Write the IR beside the source; None where that is not allowed."""
    stem = "program" if path is None else path.stem
    folder = Path.cwd() if path is None else path.parent
    file = folder / f"sglc-crash-{stem}-{name}.txt"
    try:
        file.write_text(print_module(module), encoding="utf-8")
    except (OSError, ValueError, TypeError):
        return None
    return str(file)


def _check_names(skip: Collection[str], print_after: Collection[str]) -> None:
    known = [each.name for each in PIPELINE]
    for name in skip:
        if name in known and name not in OPTIONAL:
            raise UnknownPass(f"`{name}` cannot be skipped: what follows it needs it")
        _check_name(name, OPTIONAL)
    for name in print_after:
        _check_name(name, [LOWER, *known])


def _check_name(name: str, known: Sequence[str]) -> None:
    if name not in known:
        near = nearest(name, known)
        hint = f"did you mean `{near}`?" if near else f"there are {', '.join(known)}"
        raise UnknownPass(f"no pass is called `{name}`: {hint}")


def _portable(sources: Sequence[Source], path: Path | None) -> tuple[Source, ...]:
    """The sources under names that hold on any machine: relative to the program's file."""
    if path is None:
        return tuple(sources)
    folder = path.parent
    return tuple(
        replace(source, name=Path(os.path.relpath(source.name, folder)).as_posix())
        for source in sources
    )
